"""From probabilities per label to one proposal per category: a label, a score, and a margin."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import softmax

from hgld.foundation.errors import HgldError

COLUMNS = ["category", "hierarchical_label", "score", "margin", "runner_up", "images", "evidence"]

OUTCOMES = ("accepted", "review", "empty")

# Scores are rounded before they are ranked, so that the last bits of a sum, which depend on the order of the images
# and on the processor, decide nothing.
DECIMALS = 4

_CHUNK = 1 << 16

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


class TopTwo(NamedTuple):
    """The two best columns of each row: best and runner_up (N,); score and margin (N,) in [0, 1]."""

    best: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    margin: npt.NDArray[np.float64]
    runner_up: npt.NDArray[np.int64]


def top_two(probabilities: Floats) -> TopTwo:
    """The best column of each row, its score, its lead over the runner-up, and the runner-up.

    probabilities (N, L), L ≥ 2, rounded to four decimals before they are ranked. Ties go to the first column.

    >>> best, score, margin, runner_up = top_two(np.array([[0.2, 0.5, 0.3]]))
    >>> best.item(), score.item(), margin.item(), runner_up.item()
    (1, 0.5, 0.2, 2)
    """
    rounded = np.round(np.asarray(probabilities, dtype=np.float64), DECIMALS)
    order = np.argsort(-rounded, axis=1, kind="stable")[:, :2]
    first, second = np.take_along_axis(rounded, order, axis=1).T
    return TopTwo(order[:, 0], first, np.round(first - second, DECIMALS), order[:, 1])


def label_vectors(prompts: Floats, labels: Sequence[str]) -> tuple[list[str], npt.NDArray[np.float64]]:
    """One vector per label: the L2-normalised mean of the vectors of its prompts (CLIP's prompt ensemble).

    prompts (P, D), labels (P,) the label of each prompt → sorted labels (L,) and their vectors (L, D).
    """
    names = sorted(set(labels))
    columns = np.searchsorted(names, list(labels))
    sums = np.zeros((len(names), prompts.shape[1]))
    np.add.at(sums, columns, np.asarray(prompts, dtype=np.float64))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return names, np.divide(sums, lengths, out=sums, where=lengths > 0)


def mean_probabilities(
    images: Floats, categories: Sequence[str], vectors: Floats, temperature: float
) -> tuple[list[str], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """CLIP zero-shot: the mean over a category's images of softmax(cosine / temperature).

    images (N, D) and vectors (L, D) L2-normalised, categories (N,), temperature > 0 (CLIP's logit scale is 1 / T) →
    sorted categories (C,), their probabilities (C, L), and the number of images of each (C,). `images` may be
    memory-mapped: it is read in chunks.
    """
    names, rows = np.unique(np.asarray(categories, dtype=object), return_inverse=True)
    sums = np.zeros((len(names), len(vectors)))
    for start in range(0, len(images), _CHUNK):
        chunk = np.asarray(images[start : start + _CHUNK], dtype=np.float64)
        np.add.at(sums, rows[start : start + _CHUNK], softmax(chunk @ vectors.T / temperature, axis=1))
    counts = np.bincount(rows, minlength=len(names)).astype(np.int64)
    return [str(name) for name in names], sums / counts[:, None], counts


def propose(
    categories: Sequence[str],
    probabilities: Floats,
    counts: npt.NDArray[np.int64],
    labels: Sequence[str],
    by: str,
) -> pd.DataFrame:
    """One proposal per category (columns COLUMNS, sorted): its most probable label and the lead over the runner-up.

    probabilities (C, L) of the sorted `labels`, so that ties go to the first label of the alphabet; counts (C,) images;
    score and margin as in `top_two`.

    by: what computed the probabilities, for the evidence column.

    Raises HgldError when there are fewer than two labels: a margin needs a runner-up.
    """
    if len(labels) < 2:
        raise HgldError(f"zero-shot labelling needs at least two labels; found {list(labels)}")
    top = top_two(np.asarray(probabilities, dtype=np.float64).reshape(len(categories), len(labels)))
    names = np.asarray(labels, dtype=object)
    frame = pd.DataFrame(
        {
            "category": list(categories),
            "hierarchical_label": names[top.best],
            "score": top.score,
            "margin": top.margin,
            "runner_up": names[top.runner_up],
            "images": counts,
            "evidence": [f"{by}: {'1 image' if count == 1 else f'{count} images'}" for count in counts],
        },
        columns=COLUMNS,
    )
    text = dict.fromkeys(("category", "hierarchical_label", "runner_up", "evidence"), "str")
    return frame.astype(text).sort_values("category", ignore_index=True)


def accepted(proposals: pd.DataFrame, score: float, margin: float) -> "pd.Series[bool]":
    """Which proposals reach both thresholds."""
    return (proposals["score"] >= score) & (proposals["margin"] >= margin)


def outcome(proposals: pd.DataFrame, score: float, margin: float, review: float) -> "pd.Series[str]":
    """The outcome of each proposal (one of OUTCOMES): `accepted`, else `empty` below the score `review`."""
    outcomes = pd.Series("review", index=proposals.index, dtype="str")
    outcomes[proposals["score"] < review] = "empty"
    outcomes[accepted(proposals, score, margin)] = "accepted"
    return outcomes
