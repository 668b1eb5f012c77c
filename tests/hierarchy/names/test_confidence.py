import csv
import gzip

import numpy as np
import pytest

from hgld.hierarchy.fusion.calibration import adaptive_ece, folds
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.confidence import MIN_NAMES, fit_confidence, softmax_with_top
from hgld.hierarchy.names.name_classifier import Lexicon, cross_fit_classifier, fit_classifier
from hgld.hierarchy.names.name_rules import build_name_rules
from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.paths import PUBLISHED_LABELS


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon(build_name_rules(load_class_names(), load_taxonomy()), load_name_words())


def test_the_softmax_keeps_the_order_and_reaches_the_top_probability():
    scores = np.array([[1.0, 0.5, -2.0], [0.2, 0.1, 0.0], [0.0, 0.0, -1.0]])
    top = np.array([0.99, 0.34, 0.45])
    result = softmax_with_top(scores, top)
    assert result.max(axis=1) == pytest.approx(top, abs=1e-6)
    assert result.sum(axis=1) == pytest.approx(1.0)
    assert (np.argsort(-result, axis=1, kind="stable") == np.argsort(-scores, axis=1, kind="stable")).all()


def test_two_labels_with_equal_scores_get_at_most_half():
    assert softmax_with_top(np.array([[1.0, 1.0, 0.0]]), np.array([0.9])).max() == pytest.approx(0.5)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_precision_at_the_same_margin_is_learnt_per_label(seed):
    random = np.random.default_rng(seed)
    margins = random.uniform(0.2, 0.4, 2 * MIN_NAMES)
    best = random.integers(0, 2, len(margins))
    scores = np.zeros((len(margins), 3))
    scores[np.arange(len(margins)), best] = margins
    correct = np.where(best == 0, True, random.random(len(margins)) < 0.3)
    names, hints = [f"name {n}" for n in range(len(margins))], [{"none": 1.0}] * len(margins)
    model = fit_confidence(names, scores, hints, np.where(correct, best, 2), ("castle", "palace", "zoo"))
    assert model is not None
    confidence = model.predict(names, scores, hints)
    assert confidence[best == 0].mean() > 0.9
    assert confidence[best == 1].mean() == pytest.approx(0.3, abs=0.1)


def test_too_few_names_fit_nothing():
    few = [f"name {n}" for n in range(MIN_NAMES - 1)]
    truth = np.zeros(len(few), dtype=np.int64)
    assert fit_confidence(few, np.zeros((len(few), 2)), [{}] * len(few), truth, ("lake", "zoo")) is None


def test_a_label_of_a_single_name_is_learnt(lexicon):
    names = [f"Zork {n}" for n in range(9)] + ["Blorb"]
    labels = ["lake"] * 9 + ["spaceport"]
    model, held_out = cross_fit_classifier(names, labels, lexicon)
    assert "spaceport" in model.labels
    assert held_out["Blorb"].shape == (len(model.labels),)
    assert model.labels[int(model.probabilities(["Blorb"]).argmax())] == "spaceport"


@pytest.mark.skipif(not PUBLISHED_LABELS.is_file(), reason="the published labels are not beside this checkout")
def test_confidence_halves_the_calibration_error_on_published_names(lexicon):
    """On names that neither the classifier nor its confidence was fitted on."""
    with gzip.open(PUBLISHED_LABELS, "rt", encoding="utf-8", newline="") as handle:
        rows = [(normalise(row["category"]), row["hierarchical_label"]) for row in csv.DictReader(handle)]
    rows = sorted({row for row in rows if row[1]})
    fold_of = folds([name for name, _ in rows], 2)
    known, unseen = ([row for row, own in zip(rows, fold_of, strict=True) if own == fold] for fold in (0, 1))
    model = fit_classifier(*zip(*known, strict=True), lexicon)
    names = [name for name, _ in unseen]
    truth = np.array([model.labels.index(label) for _, label in unseen])
    probabilities = model.probabilities(names)
    correct = probabilities.argmax(axis=1) == truth
    assert correct.mean() > 0.65
    plain = model.calibration.probabilities(model.scores(names, lexicon.hints(names)))
    error, plain_error = (adaptive_ece(rows.max(axis=1), correct) for rows in (probabilities, plain))
    assert error < 0.03 and error < 0.6 * plain_error, (error, plain_error)
    surest = np.argsort(-probabilities.max(axis=1), kind="stable")[: len(probabilities) // 4]
    assert correct[surest].mean() > 0.94
