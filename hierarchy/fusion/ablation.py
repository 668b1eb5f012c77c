"""Ablation: accuracy and calibration of each kind of evidence alone, and fused, where the label is known."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hgld.hierarchy.fusion.calibration import Floats, adaptive_ece, folds
from hgld.hierarchy.fusion.pooling import fit_recalibration, fit_weights, log_linear_pool, recalibrated
from hgld.hierarchy.fusion.proposals import DECIMALS

FUSED = "fused"

# Enough that each fit sees most landmarks, few enough that a fit is stable on a hundred of them.
FOLDS = 5

Truth = npt.NDArray[np.int64]


def informative(probabilities: Floats) -> npt.NDArray[np.bool_]:
    """(C, L) → (C,): which rows carry information, i.e. are not uniform."""
    return np.asarray(np.ptp(probabilities, axis=1) > 1e-9)


def cross_fit_fusion(
    evidence: Mapping[str, Floats], truth: Truth, names: list[str]
) -> tuple[dict[str, Floats], dict[str, dict[str, float]]]:
    """Each kind of evidence calibrated, and `fused`, their log-linear pool; and the weights of the pool.

    evidence: name → (C, L); truth (C,) the column of the right label, or -1 where it is unknown; names (C,).

    Weights and calibration are fitted on the known rows, separately for every combination of informative evidence: the
    weights of name and image are those that fit best where the class has no information. They are cross-fitted: a
    known row gets the fit without its own fold, so that its probabilities are no better than those of an unknown row.
    """
    known = truth >= 0
    fold_of = np.where(known, folds(names, FOLDS), -1)  # -1: the fit on all known rows, for the unknown ones
    has = {name: informative(probabilities) for name, probabilities in evidence.items()}
    result = {name: np.array(probabilities) for name, probabilities in evidence.items()}
    any_source = next(iter(evidence.values()))
    result[FUSED] = np.full_like(any_source, 1 / any_source.shape[1])
    weights: dict[str, dict[str, float]] = {}
    for fold in (*range(FOLDS), -1):
        rows, training = fold_of == fold, known & (fold_of != fold)
        single = {}
        for name, probabilities in evidence.items():
            fit_on = training & has[name]
            single[name] = recalibrated(probabilities, fit_recalibration(probabilities[fit_on], truth[fit_on]))
            result[name][rows] = single[name][rows]
        for group in _combinations(has):
            exactly = rows & np.all([has[name] == (name in group) for name in evidence], axis=0)
            fit_on = training & np.all([has[name] for name in group], axis=0)
            group_weights = fit_weights({name: single[name][fit_on] for name in group}, truth[fit_on])
            pooled = log_linear_pool({name: single[name] for name in group}, group_weights)
            calibration = fit_recalibration(pooled[fit_on], truth[fit_on])
            result[FUSED][exactly] = recalibrated(pooled, calibration)[exactly]
            if fold == -1:
                weights["+".join(group)] = group_weights
    return result, weights


def _combinations(has: Mapping[str, npt.NDArray[np.bool_]]) -> list[tuple[str, ...]]:
    """The combinations of evidence that are informative together in some row, without the empty one."""
    names = sorted(has)
    patterns = np.unique(np.column_stack([has[name] for name in names]), axis=0)
    return [
        tuple(name for name, present in zip(names, pattern, strict=True) if present)
        for pattern in patterns
        if pattern.any()
    ]


def ablation_table(evidence: Mapping[str, Floats], truth: Truth) -> dict[str, dict[str, float | None]]:
    """For each kind of evidence, over the known rows: coverage (`speaks`), accuracy, and adaptive ECE (`ece`).

    Rows without information count as wrong in `accuracy`; `accuracy_where_it_speaks` and `ece` leave them out.
    """
    known = truth >= 0
    return {name: _row(probabilities[known], truth[known]) for name, probabilities in evidence.items()}


def _row(probabilities: Floats, truth: Truth) -> dict[str, float | None]:
    has = informative(probabilities)
    correct = has & (np.round(probabilities, DECIMALS).argmax(axis=1) == truth)
    return {
        "speaks": _fraction(has),
        "accuracy": _fraction(correct),
        "accuracy_where_it_speaks": _fraction(correct[has]),
        "ece": _json_number(adaptive_ece(probabilities[has].max(axis=1), correct[has])),
    }


def _fraction(flags: npt.NDArray[np.bool_]) -> float | None:
    return _json_number(float(flags.mean())) if len(flags) else None


def _json_number(value: float) -> float | None:
    """Rounded to four decimals; None for NaN, which JSON lacks."""
    return None if np.isnan(value) else round(value, 4)
