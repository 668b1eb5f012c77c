import csv
import gzip

import numpy as np
import pytest

from hgld.hierarchy.fusion.calibration import calibration_error, folds
from hgld.hierarchy.names.class_names import load_class_names
from hgld.hierarchy.names.confidence import ENOUGH, fit_trust, sharpened
from hgld.hierarchy.names.name_classifier import Lexicon, fit, fit_held_out
from hgld.hierarchy.names.name_rules import class_reader
from hgld.hierarchy.names.name_words import load_name_words
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from tests.paths import SHARED

PUBLISHED = SHARED / "gldv2/train_label_to_hierarchical.part.csv.gz"


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon(class_reader(load_class_names(), load_taxonomy()), load_name_words())


def test_sharpening_keeps_the_order_and_reaches_the_top():
    scores = np.array([[1.0, 0.5, -2.0], [0.2, 0.1, 0.0], [0.0, 0.0, -1.0]])
    top = np.array([0.99, 0.34, 0.45])
    found = sharpened(scores, top)
    assert found.max(axis=1) == pytest.approx(top, abs=1e-6)
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert (np.argsort(-found, axis=1, kind="stable") == np.argsort(-scores, axis=1, kind="stable")).all()


def test_two_equal_labels_never_get_more_than_half():
    assert sharpened(np.array([[1.0, 1.0, 0.0]]), np.array([0.9])).max() == pytest.approx(0.5)


def test_what_is_right_at_one_margin_for_one_label_only_is_learnt():
    dice = np.random.default_rng(0)
    margins = dice.uniform(0.2, 0.4, 2 * ENOUGH)
    best = dice.integers(0, 2, len(margins))
    scores = np.zeros((len(margins), 3))
    scores[np.arange(len(margins)), best] = margins
    right = np.where(best == 0, True, dice.random(len(margins)) < 0.3)
    names, told = [f"name {n}" for n in range(len(margins))], [{"none": 1.0}] * len(margins)
    trust = fit_trust(names, scores, told, np.where(right, best, 2), ("castle", "palace", "zoo"))
    assert trust is not None
    found = trust.of(names, scores, told)
    assert found[best == 0].mean() > 0.9
    assert found[best == 1].mean() == pytest.approx(0.3, abs=0.1)


def test_few_names_are_not_enough():
    few = [f"name {n}" for n in range(ENOUGH - 1)]
    truth = np.zeros(len(few), dtype=np.int64)
    assert fit_trust(few, np.zeros((len(few), 2)), [{}] * len(few), truth, ("lake", "zoo")) is None


def test_a_label_that_only_one_name_has_is_learnt_too(lexicon):
    names = [f"Zork {n}" for n in range(9)] + ["Blorb"]
    labels = ["lake"] * 9 + ["spaceport"]
    model, held_out = fit_held_out(names, labels, lexicon)
    assert "spaceport" in model.labels
    assert held_out["Blorb"].shape == (len(model.labels),)
    assert model.labels[int(model.probabilities(["Blorb"]).argmax())] == "spaceport"


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published labels are not beside this checkout")
def test_it_halves_the_calibration_error_on_published_names(lexicon):
    """On names that neither the model nor the trust has seen."""
    with gzip.open(PUBLISHED, "rt", encoding="utf-8", newline="") as handle:
        rows = [(normalise(row["category"]), row["hierarchical_label"]) for row in csv.DictReader(handle)]
    rows = sorted({row for row in rows if row[1]})
    fold = folds([name for name, _ in rows], 2)
    known, unseen = ([row for row, own in zip(rows, fold, strict=True) if own == part] for part in (0, 1))
    model = fit(*zip(*known, strict=True), lexicon)
    names = [name for name, _ in unseen]
    truth = np.array([model.labels.index(label) for _, label in unseen])
    found = model.probabilities(names)
    right = found.argmax(axis=1) == truth
    assert right.mean() > 0.65
    plain = model.calibration.probabilities(model.scores(names, model.hints(names)))
    errors = [calibration_error(one.max(axis=1), right) for one in (found, plain)]
    assert errors[0] < 0.03 and errors[0] < 0.6 * errors[1], errors
    surest = np.argsort(-found.max(axis=1), kind="stable")[: len(found) // 4]
    assert right[surest].mean() > 0.94
