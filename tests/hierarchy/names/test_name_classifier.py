"""The features of the name classifier."""

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from hgld.hierarchy.names.name_classifier import _TfIdf

NAMES = [f"{kind} {place} {number}" for number, (kind, place) in enumerate(
    [("kirche", "st. anna"), ("église", "saint-rémy"), ("castle", "of x"), ("museum", "anna"), ("寺", "京都")] * 8
)]  # fmt: skip


def test_features_have_the_bits_of_scikit_learns_fit_and_transform() -> None:
    settings = {"analyzer": "char_wb", "ngram_range": (2, 5), "min_df": 2, "dtype": np.float64}
    reference = TfidfVectorizer(sublinear_tf=True, **settings).fit(NAMES)
    own = _TfIdf(CountVectorizer(**settings))
    for texts, features in ((NAMES, own.fit_transform(NAMES)), (NAMES[:7], own.transform(NAMES[:7]))):
        expected = reference.transform(texts)
        for name in ("indptr", "indices", "data"):
            assert np.array_equal(getattr(features, name), getattr(expected, name))
