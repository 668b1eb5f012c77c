"""The name classifier: its features, and what it holds out of many names."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from hgld.hierarchy.fusion.calibration import Floats, hash_sample
from hgld.hierarchy.names import name_classifier
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.name_classifier import (
    Lexicon,
    _held_out_scores,
    _TfIdf,
    _TrainingData,
    cross_fit_classifier,
    fit_classifier,
)
from hgld.hierarchy.names.name_rules import build_name_rules
from hgld.hierarchy.names.name_words import NameWords
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.paths import ROOT

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


KINDS = {"kirche": "church", "église": "church", "castle": "castle / fort", "lake": "lake", "see": "lake"}
MANY_NAMES = [f"{kind} {place} {number}" for number, kind in enumerate(list(KINDS) * 14) for place in ("anna", "x")]
LABELS = [KINDS[name.split()[0]] for name in MANY_NAMES]
NEW = ["Kirche am See", "Schloss Anna", "京都 寺"]


def tiny_lexicon() -> Lexicon:
    """Almost empty, so that a fit takes no time."""
    rules = build_name_rules(load_class_names(), load_taxonomy())
    return Lexicon(dataclasses.replace(rules, names={}), NameWords({("chapel",): ("church",)}, {}, {}, 1))


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return tiny_lexicon()


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that are held out when there are too many to hold out all."""
    monkeypatch.setattr(name_classifier, "MANY", 100)
    monkeypatch.setattr(name_classifier, "SAMPLE", 30)
    return hash_sample(MANY_NAMES, 30)


def test_of_many_names_only_a_sample_is_held_out(lexicon: Lexicon, sampled: list[str]) -> None:
    model, held_out = cross_fit_classifier(MANY_NAMES, LABELS, lexicon)
    assert sorted(held_out) == sorted(sampled)
    for name, probabilities in held_out.items():
        assert model.labels[int(probabilities.argmax())] == KINDS[name.split()[0]]


@pytest.mark.parametrize("many", [100, 1000])
def test_held_out_names_are_scored_by_models_that_have_not_seen_their_labels(
    lexicon: Lexicon, sampled: list[str], monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(name_classifier, "MANY", many)
    church = next(name for name in sampled if name.startswith("kirche"))
    wrong = ["lake" if name == church else label for name, label in zip(MANY_NAMES, LABELS, strict=True)]
    scores, scores_of_wrong = (_scores_of(church, MANY_NAMES, labels, lexicon) for labels in (LABELS, wrong))
    scores_of_both = _scores_of(church, [*MANY_NAMES, church], [*LABELS, "lake"], lexicon)
    assert np.array_equal(scores, scores_of_wrong)
    assert np.array_equal(np.vstack([scores, scores]), scores_of_both)  # a row for each of its labels
    hints = lexicon.hints([church])
    seen, seen_wrong = (fit_classifier(MANY_NAMES, labels, lexicon) for labels in (LABELS, wrong))
    assert not np.array_equal(seen.scores([church], hints), seen_wrong.scores([church], hints))


def _scores_of(name: str, names: list[str], labels: list[str], lexicon: Lexicon) -> Floats:
    """The held-out scores of the rows of a name."""
    data = _TrainingData.of(sorted(zip(names, labels, strict=True)), lexicon)
    held_out, scores = _held_out_scores(data, tuple(sorted(set(KINDS.values()))))
    return scores[[data.rows[row][0] == name for row in held_out]]


PROGRAM = """
import sys
import numpy as np
from hgld.hierarchy.names import name_classifier
from tests.hierarchy.names.test_name_classifier import LABELS, MANY_NAMES, NEW, tiny_lexicon
name_classifier.MANY, name_classifier.SAMPLE = 100, 30
step = int(sys.argv[1])
model, held_out = name_classifier.cross_fit_classifier(MANY_NAMES[::step], LABELS[::step], tiny_lexicon())
print(np.array([*held_out.values()]).tobytes().hex(), *held_out, model.probabilities(NEW).tobytes().hex())
"""


def test_hash_seed_and_row_order_change_no_bit() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, step],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT / '.typing'}:{ROOT}"},
            capture_output=True,
            check=True,
        ).stdout
        for seed, step in (("1", "1"), ("2", "-1"))
    }
    assert len(outputs) == 1 and b"kirche" in outputs.pop()
