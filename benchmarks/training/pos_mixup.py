"""Positives mixed from pairs of positives (pos-mixup of the SupRank code), a harder ranking for small classes.

Every pair of positives (a, b) of a query gives one more, of score alpha s_a + (1 - alpha) s_b with alpha uniform in
[0, 1). `mixed_scores` is the published form, on the scores of one query, each with its own alphas; there all queries
had to have equally many positives, here any number. `mixed_gallery` is the same on embeddings, which every loss of
hgld.benchmarks.losses.registry takes as a gallery: by linearity the score of a mixture is the mixture of the scores.

    value = loss(embeddings, labels, *mixed_gallery(embeddings, labels))

It differs from the published form in two ways: a pair has one alpha for all queries, and the mixtures of other classes
stand in the gallery, as negatives at the finest level, with the coarse labels that their landmark has.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hgld.benchmarks.ranking.levels import agreement
from hgld.foundation.errors import HgldError

# Below every score of unit vectors, by much more than any surrogate's temperature.
ABSENT = -4.0


def mixed_scores(
    scores: Tensor, positive: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Add a mixture of every pair of a query's positives to its row.

    scores (B, N) cosines, positive (B, N) bool -> (B, N + M), (B, N + M) bool, M = P (P - 1) / 2 for the largest P;
    rows with fewer pairs are filled with negatives of score -4, which no rank counts. Raises HgldError when the shapes
    differ.

    >>> scores, positive = torch.tensor([[0.5, 0.5, 0.1]]), torch.tensor([[True, True, False]])
    >>> mixed_scores(scores, positive)
    (tensor([[0.5000, 0.5000, 0.1000, 0.5000]]), tensor([[ True,  True, False,  True]]))
    """
    if scores.shape != positive.shape or scores.dim() != 2:
        raise HgldError(
            f"scores and positive must both be (B, N); got {tuple(scores.shape)} and {tuple(positive.shape)}"
        )
    counts = positive.sum(1)
    width = int(counts.max()) if counts.numel() else 0
    places = positive.long().argsort(dim=1, descending=True, stable=True)[:, :width]
    left, right = torch.triu_indices(width, width, offset=1, device=scores.device)
    alpha = torch.rand(len(scores), len(left), generator=generator, device=scores.device, dtype=scores.dtype)
    a, b = scores.gather(1, places[:, left]), scores.gather(1, places[:, right])
    there = right < counts[:, None]  # places are filled from the left, and left < right
    mixed = torch.where(there, alpha * a + (1.0 - alpha) * b, ABSENT)
    return torch.cat([scores, mixed], 1), torch.cat([positive, there], 1)


def mixed_gallery(
    embeddings: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """The items followed by a mixture of every pair that shares all labels, with those labels.

    embeddings (n, d), labels (n, L) -> (n + M, d), (n + M, L). Mixtures are not normalised: they lie inside the sphere,
    and their scores between those of the pair.

    >>> e, l = mixed_gallery(torch.eye(3), torch.tensor([[7], [8], [7]]))
    >>> l.flatten().tolist(), e[3].sum().item(), e[3, 1].item()
    ([7, 8, 7, 7], 1.0, 0.0)
    """
    same = agreement(labels, labels) == labels.shape[1]
    left, right = same.triu(1).nonzero(as_tuple=True)
    alpha = torch.rand(len(left), 1, generator=generator, device=embeddings.device, dtype=embeddings.dtype)
    mixed = alpha * embeddings[left] + (1.0 - alpha) * embeddings[right]
    return torch.cat([embeddings, mixed]), torch.cat([labels, labels[left]])
