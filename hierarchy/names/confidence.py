"""The probability that the best label of a name is right, from the margins of the classifier and the name's hints.

The margin of a linear model measures how well a name fits a label, not how often such names have it: at the same
margin, a name that ends in "kirche" is nearly always a church, but one that starts with "Château" may be a castle, a
palace, a house or a hotel. A logistic regression learns the difference on held-out names, from the margin, the label,
and the lexicon hints for and against the label. On published names it halves the calibration error of plain
temperature scaling (tests/hierarchy/names/test_confidence.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MaxAbsScaler

from hgld.hierarchy.fusion.calibration import Floats, row_chunks
from hgld.hierarchy.names.name_words import Hints, split_parentheses

# Each label adds a few parameters: with fewer names they would overfit single ones.
MIN_NAMES = 1000

# Strong regularisation: three names of a label say little about a fourth. Half or twice of it makes no measurable
# difference.
_C = 0.1

# The range and the number of bisection steps of the inverse temperature.
_INVERSE_TEMPERATURES = (1e-3, 1e3)
_BISECTIONS = 40


@dataclass(frozen=True)
class NameConfidence:
    """A fitted model of the probability that the best label of a name is right."""

    labels: tuple[str, ...]
    vectorizer: Any
    scaler: Any
    model: Any

    def predict(self, names: Sequence[str], scores: Floats, hints: Sequence[Hints]) -> Floats:
        """(N,) in (0, 1). scores (N, L): margins of the name classifier; hints: those of each name."""
        features = self.scaler.transform(self.vectorizer.transform(_features(names, scores, hints, self.labels)))
        return np.asarray(self.model.predict_proba(features)[:, 1], dtype=np.float64)


def fit_confidence(
    names: Sequence[str],
    scores: Floats,
    hints: Sequence[Hints],
    truth: npt.NDArray[np.int64],
    labels: tuple[str, ...],
) -> NameConfidence | None:
    """Fit on held-out names; None for fewer than MIN_NAMES, or if all best labels are right or all are wrong.

    scores (N, L), hints (N,), truth (N,) the column of the right label.
    """
    correct = scores.argmax(axis=1) == truth if len(names) else np.zeros(0, dtype=bool)
    if len(names) < MIN_NAMES or correct.all() or not correct.any():
        return None
    vectorizer, scaler = DictVectorizer(dtype=np.float64), MaxAbsScaler()
    features = scaler.fit_transform(vectorizer.fit_transform(_features(names, scores, hints, labels)))
    model = LogisticRegression(C=_C, solver="liblinear", random_state=0)
    model.fit(features, correct)
    return NameConfidence(labels, vectorizer, scaler, model)


def _features(
    names: Sequence[str], scores: Floats, hints: Sequence[Hints], labels: tuple[str, ...]
) -> list[dict[str, float]]:
    """The features of each best label: its margins, its name, and the hints for and against it."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    best_scores = np.take_along_axis(scores, order, axis=1)
    return [
        {
            "margin": best[0],
            "over second": best[0] - best[1],
            "over third": best[0] - best[-1],
            "second": best[1],
            f"label {labels[columns[0]]}": 1.0,
            f"over second {labels[columns[0]]}": best[0] - best[1],
            f"second label {labels[columns[1]]}": 0.5,
            **_name_features(name, hints_of_name, labels[columns[0]]),
        }
        for name, best, columns, hints_of_name in zip(names, best_scores, order, hints, strict=True)
    ]


def _name_features(name: str, hints: Hints, label: str) -> dict[str, float]:
    """The form of the name, and the weight of each kind of hint for and against the label."""
    outside, inside = split_parentheses(name)
    features = {
        "words": float(len(outside.split())),
        "in parentheses": float(bool(inside)),
        "comma": float("," in outside),
    }
    for hint, weight in hints.items():
        *kind, hinted_label = hint.split(":")
        if not kind:  # "none": no word of the name is in the lexicons
            features["no hint"] = weight
            continue
        side = "for" if hinted_label == label else "against"
        for feature in (side, f"{side} {' '.join(kind)}"):
            features[feature] = features.get(feature, 0.0) + weight
    return features


def softmax_with_top(scores: Floats, top: Floats) -> Floats:
    """Softmax with a temperature per row, such that the largest probability of each row is `top`.

    scores (N, L), top (N,) in (0, 1) → (N, L), rows sum to 1, in the order of the scores. The temperature is found by
    bisection; a `top` outside of what its range can give, such as below 1 / L, is approximated.

    >>> softmax_with_top(np.array([[2.0, 1.0, 0.0]]), np.array([0.8])).round(2).tolist()
    [[0.8, 0.17, 0.03]]
    """
    result = np.empty(scores.shape)
    for rows in row_chunks(len(scores)):
        result[rows] = _softmax_with_top(scores[rows], top[rows])
    return result


def _softmax_with_top(scores: Floats, top: Floats) -> Floats:
    behind = scores - scores.max(axis=1, keepdims=True)
    low, high = (np.full(len(scores), np.log(limit)) for limit in _INVERSE_TEMPERATURES)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        reached = 1 / np.exp(behind * np.exp(middle)[:, None]).sum(axis=1)
        low, high = np.where(reached < top, middle, low), np.where(reached < top, high, middle)
    return np.asarray(softmax(behind * np.exp(low)[:, None], axis=1), dtype=np.float64)
