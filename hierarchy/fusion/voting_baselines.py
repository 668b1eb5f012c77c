"""The two published baselines from images to a label: each image casts one vote, and the majority decides.

A vote is the label of the most similar prompt (`clip`), or the majority label among the nearest images of landmarks
with a known label (`knn`). Both serve for comparison only: vote fractions are not calibrated probabilities.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hgld.hierarchy.fusion.proposals import Floats

_CHUNK = 1 << 13

# Similarities are rounded, so that the last bits of a product, which depend on the processor, decide no order.
_DECIMALS = 5

Votes = npt.NDArray[np.int64]


def prompt_votes(images: Floats, vectors: Floats) -> Votes:
    """The most similar label of each image; ties go to the first.

    images (N, D) and vectors (L, D) L2-normalised → (N,) columns in [0, L).
    """
    votes = np.zeros(len(images), dtype=np.int64)
    for start in range(0, len(images), _CHUNK):
        chunk = np.asarray(images[start : start + _CHUNK], dtype=np.float64)
        votes[start : start + _CHUNK] = np.round(chunk @ vectors.T, _DECIMALS).argmax(axis=1)
    return votes


def neighbour_votes(images: Floats, categories: Sequence[str], known: Votes, labels: int, neighbours: int) -> Votes:
    """The majority label of each image's nearest images of *other* categories with a known label.

    images (N, D) L2-normalised, categories (N,), known (N,) the label of each image or -1 → (N,) columns; -1 where
    no other category is known. Ties between labels go to the label of the nearest image, ties between distances to
    the earlier image.
    """
    references = np.flatnonzero(known >= 0)
    names = np.asarray(categories, dtype=object)
    votes = np.full(len(images), -1, dtype=np.int64)
    if not len(references):
        return votes
    reference_vectors = np.asarray(images[references], dtype=np.float64)
    for start in range(0, len(images), _CHUNK):
        chunk = np.asarray(images[start : start + _CHUNK], dtype=np.float64)
        similarity = np.round(chunk @ reference_vectors.T, _DECIMALS)
        similarity[names[start : start + _CHUNK, None] == names[None, references]] = -np.inf
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :neighbours]
        for row, nearest in enumerate(order):
            ballots = known[references[nearest[np.isfinite(similarity[row, nearest])]]].tolist()
            if ballots:
                counts = np.bincount(ballots, minlength=labels)
                votes[start + row] = max(ballots, key=lambda label: (counts[label], -ballots.index(label)))
    return votes


def vote_fractions(
    votes: Votes, categories: Sequence[str], labels: int
) -> tuple[list[str], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The fraction of a category's votes for each label; categories without a vote are left out.

    votes (N,) columns or -1, categories (N,) → sorted categories (C,), fractions (C, L), number of votes (C,).
    """
    cast = votes >= 0
    names, rows = np.unique(np.asarray(categories, dtype=object)[cast], return_inverse=True)
    counts = np.zeros((len(names), labels))
    np.add.at(counts, (rows, votes[cast]), 1.0)
    totals = counts.sum(axis=1)
    return [str(name) for name in names], counts / totals[:, None], totals.astype(np.int64)
