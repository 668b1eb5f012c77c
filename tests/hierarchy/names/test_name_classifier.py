"""The name classifier: its features, and fits in several processes."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from hgld.hierarchy.names import name_classifier
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.name_classifier import Lexicon, _TfIdf, cross_fit_classifier
from hgld.hierarchy.names.name_rules import build_name_rules
from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy

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


def test_processes_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"kirche": "church", "église": "church", "castle": "castle / fort", "lake": "lake", "see": "lake"}
    names = [f"{kind} {place} {number}" for number, kind in enumerate(list(kinds) * 14) for place in ("anna", "x")]
    labels = [kinds[name.split()[0]] for name in names]
    lexicon = Lexicon(build_name_rules(load_class_names(), load_taxonomy()), load_name_words())
    here, held_out = cross_fit_classifier(names, labels, lexicon)
    monkeypatch.setattr(name_classifier, "PARALLEL", 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    there, held_out_there = cross_fit_classifier(names, labels, lexicon)
    new = ["Kirche am See", "Schloss Anna", "京都 寺"]
    assert np.array_equal(here.probabilities(new), there.probabilities(new))
    assert list(held_out) == list(held_out_there)
    assert all(np.array_equal(held_out[name], held_out_there[name]) for name in held_out)
