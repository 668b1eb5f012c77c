"""The two published ways from images to a label: every image has one vote, and the majority decides.

A vote is the label of the prompt that is most like the image (`clip`), or the commonest label among the image's nearest
images of landmarks whose label is known (`knn`). Both are kept to compare with: they give no probability.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hgld.hierarchy.fusion.proposals import Floats

_CHUNK = 1 << 13

# so that the last bits of a product, which depend on the processor, order nothing
_DECIMALS = 5

Votes = npt.NDArray[np.int64]


def prompt_votes(images: Floats, vectors: Floats) -> Votes:
    """The most similar label of each image; equal similarities go to the first.

    images (N, D) and vectors (L, D) L2-normalised → (N,) columns in [0, L).
    """
    votes = np.zeros(len(images), dtype=np.int64)
    for start in range(0, len(images), _CHUNK):
        piece = np.asarray(images[start : start + _CHUNK], dtype=np.float64)
        votes[start : start + _CHUNK] = np.round(piece @ vectors.T, _DECIMALS).argmax(axis=1)
    return votes


def neighbour_votes(
    images: Floats, categories: Sequence[str], known: Votes, labels: int, neighbours: int
) -> Votes:
    """The commonest label among each image's nearest images of *other* categories whose label is known.

    images (N, D) L2-normalised, categories (N,), known (N,) the label of each image or -1 → (N,) columns; -1 where
    no other category is known. Equal counts go to the label of the nearest; equal distances to the earlier image.
    """
    teachers = np.flatnonzero(known >= 0)
    names = np.asarray(categories, dtype=object)
    votes = np.full(len(images), -1, dtype=np.int64)
    if not len(teachers):
        return votes
    shelf = np.asarray(images[teachers], dtype=np.float64)
    for start in range(0, len(images), _CHUNK):
        piece = np.asarray(images[start : start + _CHUNK], dtype=np.float64)
        near = np.round(piece @ shelf.T, _DECIMALS)
        near[names[start : start + _CHUNK, None] == names[None, teachers]] = -np.inf
        order = np.argsort(-near, axis=1, kind="stable")[:, :neighbours]
        for row, places in enumerate(order):
            kept = [int(known[teachers[place]]) for place in places if np.isfinite(near[row, place])]
            if kept:
                counts = np.bincount(kept, minlength=labels)
                votes[start + row] = max(kept, key=lambda one: (counts[one], -kept.index(one)))
    return votes


def vote_shares(
    votes: Votes, categories: Sequence[str], labels: int
) -> tuple[list[str], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The share of a category's votes that each label has; categories without a vote are left out.

    votes (N,) columns or -1, categories (N,) → sorted categories (C,), shares (C, L), number of votes (C,).
    """
    cast = votes >= 0
    names, places = np.unique(np.asarray(categories, dtype=object)[cast], return_inverse=True)
    counts = np.zeros((len(names), labels))
    np.add.at(counts, (places, votes[cast]), 1.0)
    totals = counts.sum(axis=1)
    return [str(name) for name in names], counts / totals[:, None], totals.astype(np.int64)
