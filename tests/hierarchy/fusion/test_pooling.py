"""Calibration, votes, and the fusion of evidence: what they promise, whatever the order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.hierarchy.fusion.ablation import FUSED, fuse_all, table
from hgld.hierarchy.fusion.calibration import Calibration, calibration_error, fit_calibration, folds
from hgld.hierarchy.fusion.pooling import ENOUGH, fit_weights, fuse
from hgld.hierarchy.fusion.voting_baselines import neighbour_votes, prompt_votes, vote_shares


def _evidence(seed: int, rows: int, labels: int, skill: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that favour the right label in a share `skill` of the rows."""
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(0).integers(labels, size=rows)
    told = np.where(random.random(rows) < skill, truth, random.integers(labels, size=rows))
    found = np.full((rows, labels), 0.4 / (labels - 1))
    found[np.arange(rows), told] = 0.6
    return found, truth


def test_a_temperature_is_found_again() -> None:
    random = np.random.default_rng(1)
    scores = random.normal(size=(4000, 5))
    chances = Calibration(0.5).probabilities(scores)
    truth = np.array([random.choice(5, p=row) for row in chances])
    fitted = fit_calibration(scores, truth)
    assert fitted.temperature == pytest.approx(0.5, rel=0.15)
    told = fitted.probabilities(scores)
    assert calibration_error(told.max(axis=1), told.argmax(axis=1) == truth) < 0.03


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    right = np.array([True] * 70 + [False] * 30)
    assert calibration_error(np.full(100, 0.7), np.random.default_rng(0).permutation(right)) < 0.15
    assert calibration_error(np.full(100, 1.0), right) == pytest.approx(0.3)
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, dtype=bool)))


def test_nothing_to_fit_on_leaves_things_as_they_are() -> None:
    assert fit_calibration(np.zeros((0, 3)), np.zeros(0, dtype=np.int64)) == Calibration()
    found, truth = _evidence(1, ENOUGH - 1, 3, 0.9)
    assert fit_weights({"a": found}, truth) == {"a": 1.0}


def test_folds_depend_on_the_name_alone() -> None:
    names = [f"n{number}" for number in range(50)]
    assert dict(zip(names, folds(names, 5), strict=True)) == dict(
        zip(names[::-1], folds(names[::-1], 5), strict=True)
    )
    assert set(folds(names, 5)) == set(range(5))


def test_two_that_agree_are_surer_than_either_and_silence_changes_nothing() -> None:
    one, flat = np.array([[0.7, 0.2, 0.1]]), np.full((1, 3), 1 / 3)
    ones = {"a": 1.0, "b": 1.0}
    assert fuse({"a": one, "b": one}, ones)[0, 0] > 0.7
    assert fuse({"a": one, "b": flat}, ones) == pytest.approx(one)
    assert fuse({"a": one, "b": one[:, ::-1]}, {"a": 1.0, "b": 0.0}) == pytest.approx(one)


@settings(deadline=None, max_examples=30)
@given(st.permutations(["class", "image", "name"]))
def test_the_order_of_the_evidence_does_not_matter(names: list[str]) -> None:
    found = {name: _evidence(len(name), 20, 4, 0.7)[0] for name in names}
    expected = fuse({name: found[name] for name in sorted(names)}, dict.fromkeys(names, 0.5))
    assert (fuse(found, dict.fromkeys(names, 0.5)) == expected).all()


def test_what_misleads_gets_no_weight() -> None:
    good, truth = _evidence(1, 300, 4, 0.9)
    noise = np.random.default_rng(9).dirichlet(np.ones(4), size=300)
    weights = fit_weights({"good": good, "noise": noise}, truth)
    assert weights["good"] == 1.0 and weights["noise"] <= 0.25


def test_fused_evidence_is_better_than_each_and_known_rows_are_judged_by_other_folds() -> None:
    rows, names = 600, [f"n{number}" for number in range(600)]
    evidence = {
        name: _evidence(seed, rows, 6, 0.75)[0] for seed, name in ((1, "class"), (2, "image"), (3, "name"))
    }
    truth = _evidence(1, rows, 6, 0.75)[1]
    told, weights = fuse_all(evidence, truth, names)
    figures = table(told, truth)
    alone = [figures[name]["accuracy"] for name in evidence]
    assert figures[FUSED]["accuracy"] > max(alone) + 0.05
    assert figures[FUSED]["ece"] < 0.06
    assert set(weights) == {"class+image+name"}
    # a row's own truth must not change what is said of it
    changed = truth.copy()
    changed[0] = (truth[0] + 1) % 6
    again, _ = fuse_all(evidence, changed, names)
    assert again[FUSED][0] == pytest.approx(told[FUSED][0])


def test_rows_that_hear_one_evidence_alone_have_that() -> None:
    found, truth = _evidence(1, 200, 4, 0.8)
    silent = np.full_like(found, 0.25)
    silent[:100] = found[:100]
    told, weights = fuse_all({"image": found, "class": silent}, truth, [str(number) for number in range(200)])
    assert set(weights) == {"image", "class+image"}
    assert (told[FUSED][100:].argmax(axis=1) == found[100:].argmax(axis=1)).all()
    nothing = np.full_like(found, 0.25)
    told, weights = fuse_all({"image": nothing}, truth, [str(number) for number in range(200)])
    assert weights == {} and (told[FUSED] == 0.25).all()


def test_votes_go_to_the_nearest_and_ties_to_the_first() -> None:
    labels = np.eye(2)
    images = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [2**-0.5, 2**-0.5]])
    assert prompt_votes(images, labels).tolist() == [0, 1, 1, 0]
    categories = ["a", "a", "b", "c"]
    names, shares, counts = vote_shares(np.array([0, 1, 1, -1]), categories, 2)
    assert (names, shares.tolist(), counts.tolist()) == (["a", "b"], [[0.5, 0.5], [0.0, 1.0]], [2, 1])


def test_neighbours_are_of_other_landmarks() -> None:
    images = np.array([[1.0, 0.0], [1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    known = np.array([0, 0, 1, 1])
    votes = neighbour_votes(images, ["a", "a", "b", "c"], known, 2, 1)
    assert votes.tolist() == [1, 1, 0, 1]
    assert neighbour_votes(images, ["a"] * 4, known, 2, 3).tolist() == [-1] * 4
    assert neighbour_votes(images, ["a", "a", "b", "c"], np.full(4, -1), 2, 3).tolist() == [-1] * 4
