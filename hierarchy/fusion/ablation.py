"""How good each evidence is alone, and all together: accuracy and calibration where the label is known."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from hgld.hierarchy.fusion.calibration import Floats, calibration_error, folds
from hgld.hierarchy.fusion.pooling import calibrated, fit_one, fit_weights, fuse

FUSED = "fused"

# Enough that each fit sees most landmarks, few enough that a fit is stable on a hundred of them.
FOLDS = 5

Truth = npt.NDArray[np.int64]


def says(found: Floats) -> npt.NDArray[np.bool_]:
    """Which rows say anything at all: those that are not uniform."""
    return np.asarray(np.ptp(found, axis=1) > 1e-9)


def fuse_all(
    evidence: Mapping[str, Floats], truth: Truth, names: list[str]
) -> tuple[dict[str, Floats], dict[str, dict[str, float]]]:
    """Every evidence calibrated, and `fused`; and the weights, by which evidence speaks.

    evidence: name → (C, L); truth (C,) the column of the right label, or -1 where it is not known; names (C,).

    What is fitted is fitted on the known rows, and apart for every set of evidence that speaks together: the weights
    of a name and images are those that serve best where nothing else is heard. A known row is itself judged by what
    was fitted without its fold, so that its probabilities are as good as those of an unknown row and no better.
    """
    known = truth >= 0
    fold = np.where(known, folds(names, FOLDS), -1)
    heard = {name: says(found) for name, found in evidence.items()}
    told = {name: np.array(found) for name, found in evidence.items()}
    told[FUSED] = np.full_like(next(iter(evidence.values())), 1 / next(iter(evidence.values())).shape[1])
    weights: dict[str, dict[str, float]] = {}
    for one in (*range(FOLDS), -1):
        rows, taught = fold == one, known & (fold != one)
        single = {}
        for name, found in evidence.items():
            fit = fit_one(found[taught & heard[name]], truth[taught & heard[name]])
            single[name] = calibrated(found, fit)
            told[name][rows] = single[name][rows]
        for group in _groups(heard):
            own = rows & np.all([heard[name] == (name in group) for name in evidence], axis=0)
            like = taught & np.all([heard[name] for name in group], axis=0)
            weighed = fit_weights({name: single[name][like] for name in group}, truth[like])
            pooled = fuse({name: single[name] for name in group}, weighed)
            told[FUSED][own] = calibrated(pooled, fit_one(pooled[like], truth[like]))[own]
            if one == -1:
                weights["+".join(group)] = weighed
    return told, weights


def _groups(heard: Mapping[str, npt.NDArray[np.bool_]]) -> list[tuple[str, ...]]:
    """The sets of evidence that speak together for some row, without the empty one."""
    names = sorted(heard)
    patterns = np.unique(np.column_stack([heard[name] for name in names]), axis=0)
    return [
        tuple(name for name, there in zip(names, row, strict=True) if there) for row in patterns if row.any()
    ]


def table(told: Mapping[str, Floats], truth: Truth) -> dict[str, dict[str, float | None]]:
    """For each evidence, over the known rows: how often it speaks, how often it is right, and its calibration error.

    To say nothing is to be wrong in `accuracy`; `accuracy_where_it_speaks` and `ece` leave such rows out.
    """
    known = truth >= 0
    return {name: _row(found[known], truth[known]) for name, found in told.items()}


def _row(found: Floats, truth: Truth) -> dict[str, float | None]:
    heard = says(found)
    right = heard & (np.round(found, 4).argmax(axis=1) == truth)
    return {
        "speaks": _share(heard),
        "accuracy": _share(right),
        "accuracy_where_it_speaks": _share(right[heard]),
        "ece": _number(calibration_error(found[heard].max(axis=1), right[heard])),
    }


def _share(column: npt.NDArray[np.bool_]) -> float | None:
    return _number(float(column.mean())) if len(column) else None


def _number(value: float) -> float | None:
    """Four decimals; None for NaN, which is no JSON."""
    return None if np.isnan(value) else round(value, 4)


def curve(counts: list[int], accuracy: Callable[[int], float]) -> dict[str, float | None]:
    """A figure for each number of images a landmark."""
    return {str(count): _number(accuracy(count)) for count in counts}
