"""How far the best label of a name can be trusted: the probability that it is right, from what spoke for it.

The margins of a linear model say how well a name fits a label, not how often names that fit so well have it: one that
ends in "kirche" is a church nearly always, one that begins with "Château" may be a castle, a palace, a house or a hotel
by now, at the same margin. A logistic regression learns the difference on names that the model has not seen, from the
margin, the label, and which words of the lexicons spoke for and against it. On published names it halves the
calibration error of one temperature for all (tests/hierarchy/names/test_confidence.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MaxAbsScaler

from hgld.hierarchy.fusion.calibration import Floats
from hgld.hierarchy.names.name_words import split

Hints = Mapping[str, float]

# Each label has a parameter or two of its own: with fewer names they would follow single ones.
ENOUGH = 1000

# Strong: a label of three names says little about a fourth. Half or twice of it changes nothing that can be measured.
_C = 0.1

_HALVINGS = 40
_POWERS = (1e-3, 1e3)


@dataclass(frozen=True)
class Trust:
    """A fitted model of the probability that the best label of a name is right."""

    labels: tuple[str, ...]
    steps: tuple[Any, ...]

    def of(self, names: Sequence[str], scores: Floats, told: Sequence[Hints]) -> Floats:
        """(N,) in (0, 1). scores (N, L) margins of the name model; told: the hints of each name."""
        vectorizer, scaler, model = self.steps
        found = scaler.transform(vectorizer.transform(_signs(names, scores, told, self.labels)))
        return np.asarray(model.predict_proba(found)[:, 1], dtype=np.float64)


def fit_trust(
    names: Sequence[str],
    scores: Floats,
    told: Sequence[Hints],
    truth: npt.NDArray[np.int64],
    labels: tuple[str, ...],
) -> Trust | None:
    """Fit on names that the model of the scores has not seen; None where there are too few.

    scores (N, L), told (N,) hints, truth (N,) the column of the right label.
    """
    right = scores.argmax(axis=1) == truth if len(names) else np.zeros(0, dtype=bool)
    if len(names) < ENOUGH or right.all() or not right.any():
        return None
    vectorizer, scaler = DictVectorizer(dtype=np.float64), MaxAbsScaler()
    found = scaler.fit_transform(vectorizer.fit_transform(_signs(names, scores, told, labels)))
    model = LogisticRegression(C=_C, solver="liblinear", random_state=0)
    model.fit(found, right)
    return Trust(labels, (vectorizer, scaler, model))


def _signs(
    names: Sequence[str], scores: Floats, told: Sequence[Hints], labels: tuple[str, ...]
) -> list[dict[str, float]]:
    """What is known of each best label: how far it is ahead, which it is, and which hints are for and against it."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    ahead = np.take_along_axis(scores, order, axis=1)
    return [
        {
            "margin": best[0],
            "over second": best[0] - best[1],
            "over third": best[0] - best[-1],
            "second": best[1],
            f"label {labels[columns[0]]}": 1.0,
            f"over second {labels[columns[0]]}": best[0] - best[1],
            f"second label {labels[columns[1]]}": 0.5,
            **_about(name, hints, labels[columns[0]]),
        }
        for name, best, columns, hints in zip(names, ahead, order, told, strict=True)
    ]


def _about(name: str, hints: Hints, label: str) -> dict[str, float]:
    """The name's form, and how much of each kind of hint is for the label, and how much for others."""
    outer, inner = split(name)
    found = {
        "words": float(len(outer.split())),
        "in parentheses": float(bool(inner)),
        "comma": float("," in outer),
    }
    for hint, weight in hints.items():
        *kind, of = hint.split(":")
        if not kind:  # "none": no word of the name is known
            found["no hint"] = weight
            continue
        side = "for" if of == label else "against"
        for key in (side, f"{side} {' '.join(kind)}"):
            found[key] = found.get(key, 0.0) + weight
    return found


def sharpened(scores: Floats, top: Floats) -> Floats:
    """Probabilities (N, L) in the order of the scores (N, L), the best of each row with the probability `top` (N,).

    A softmax of the scores with a power for each row, found by bisection; `top` is reached within the powers' range.

    >>> sharpened(np.array([[2.0, 1.0, 0.0]]), np.array([0.8])).round(2).tolist()
    [[0.8, 0.17, 0.03]]
    """
    behind = scores - scores.max(axis=1, keepdims=True)
    low, high = (np.full(len(scores), np.log(power)) for power in _POWERS)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        reached = 1 / np.exp(behind * np.exp(middle)[:, None]).sum(axis=1)
        low, high = np.where(reached < top, middle, low), np.where(reached < top, high, middle)
    powers = np.exp(behind * np.exp(low)[:, None])
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)
