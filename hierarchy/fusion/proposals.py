"""From the similarity of images and labels to one proposal per category: a label, a score, and a margin."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from hgld.foundation.errors import HgldError

COLUMNS = ["category", "hierarchical_label", "score", "margin", "runner_up", "images", "evidence"]

OUTCOMES = ("accepted", "review", "empty")

# Scores are rounded before they are ranked, so that the last bits of a sum, which depend on the order of the images
# and on the processor, decide nothing.
DECIMALS = 4

_CHUNK = 1 << 16

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def softmax(similarities: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """Probabilities of the labels for each image.

    similarities (N, L) cosine in [-1, 1], temperature > 0 → (N, L) in [0, 1], rows sum to 1:
    exp(s / T) / sum exp(s / T), as CLIP does (there 1 / T is the logit scale).

    >>> softmax(np.array([[0.5, 0.5]]), 0.1).tolist()
    [[0.5, 0.5]]
    """
    logits = np.asarray(similarities, dtype=np.float64) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


def label_vectors(prompts: Floats, labels: Sequence[str]) -> tuple[list[str], npt.NDArray[np.float64]]:
    """One vector a label: the mean of its prompts' vectors, L2-normalised (CLIP's prompt ensemble).

    prompts (P, D), labels (P,) the label of each prompt → sorted labels (L,) and their vectors (L, D).
    """
    names = sorted(set(labels))
    places = np.searchsorted(names, list(labels))
    sums = np.zeros((len(names), prompts.shape[1]))
    np.add.at(sums, places, np.asarray(prompts, dtype=np.float64))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return names, np.divide(sums, lengths, out=sums, where=lengths > 0)


def mean_probabilities(
    images: Floats, categories: Sequence[str], vectors: Floats, temperature: float
) -> tuple[list[str], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The mean over a category's images of each image's probabilities.

    images (N, D) and vectors (L, D) L2-normalised, categories (N,) → sorted categories (C,), their probabilities
    (C, L), and how many images each has (C,). `images` may be memory-mapped: it is read in pieces.
    """
    names, places = np.unique(np.asarray(categories, dtype=object), return_inverse=True)
    sums = np.zeros((len(names), len(vectors)))
    for start in range(0, len(images), _CHUNK):
        piece = np.asarray(images[start : start + _CHUNK], dtype=np.float64)
        np.add.at(sums, places[start : start + _CHUNK], softmax(piece @ vectors.T, temperature))
    counts = np.bincount(places, minlength=len(names)).astype(np.int64)
    return [str(name) for name in names], sums / counts[:, None], counts


def propose(
    categories: Sequence[str],
    probabilities: Floats,
    counts: npt.NDArray[np.int64],
    labels: Sequence[str],
    by: str,
) -> pd.DataFrame:
    """One proposal a category (columns COLUMNS): its most probable label and how far ahead of the next it is.

    probabilities (C, L) of the sorted `labels`; score = the highest one, margin = score - the second, both in [0, 1]
    and rounded to four decimals. Equal scores go to the label that is first in the alphabet.

    by: what computed them, for the evidence column.

    Raises HgldError when there are fewer than two labels: a margin needs a runner-up.
    """
    if len(labels) < 2:
        raise HgldError(f"zero-shot labelling needs at least two labels; found {list(labels)}")
    rounded = np.round(np.asarray(probabilities, dtype=np.float64), DECIMALS).reshape(
        len(categories), len(labels)
    )
    order = np.argsort(-rounded, axis=1, kind="stable")[:, :2]
    best, second = np.take_along_axis(rounded, order, axis=1).T
    names = np.asarray(labels, dtype=object)
    frame = pd.DataFrame(
        {
            "category": list(categories),
            "hierarchical_label": names[order[:, 0]],
            "score": best,
            "margin": np.round(best - second, DECIMALS),
            "runner_up": names[order[:, 1]],
            "images": counts,
            "evidence": [f"{by}: {_pictures(count)}" for count in counts],
        },
        columns=COLUMNS,
    )
    text = dict.fromkeys(("category", "hierarchical_label", "runner_up", "evidence"), "str")
    return frame.astype(text).sort_values("category", ignore_index=True)


def outcome(proposals: pd.DataFrame, score: float, margin: float, review: float) -> "pd.Series[str]":
    """How each proposal ends (one of OUTCOMES): above both thresholds accepted, else below `review` left empty."""
    ends = pd.Series("review", index=proposals.index, dtype="str")
    ends[proposals["score"] < review] = "empty"
    ends[accepted(proposals, score, margin)] = "accepted"
    return ends


def _pictures(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def accepted(proposals: pd.DataFrame, score: float, margin: float) -> "pd.Series[bool]":
    """Which proposals are sure enough: at or above both thresholds."""
    return (proposals["score"] >= score) & (proposals["margin"] >= margin)
