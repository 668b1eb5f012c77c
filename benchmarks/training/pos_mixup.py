"""Pos-mixup (SupRank code): mixtures of pairs of positives, which make the ranking of small classes harder.

A pair (a, b) of images of one class gives the mixture alpha a + (1 - alpha) b with alpha uniform in [0, 1). By
linearity the score of a mixture is the mixture of the scores, which is what the published code mixes.

    value = loss(embeddings, labels, *mixed_gallery(embeddings, labels))

It differs from the published form in three ways: queries may have unequal numbers of positives; a pair has one alpha
for all queries; and mixtures of other classes are in the gallery too, as negatives at the finest level that share the
coarse labels of their class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hgld.benchmarks.ranking.levels import agreement
from hgld.benchmarks.ranking.similarity import AsGiven, unit_rows


def mixed_gallery(
    embeddings: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """The batch followed by a mixture of every pair that shares all labels, with those labels.

    embeddings (n, d), labels (n, L) -> (n + M, d), (n + M, L). Mixtures are not normalised, here nor by a loss
    (`AsGiven`): they lie inside the unit sphere, and their scores between those of the pair.

    >>> e, l = mixed_gallery(torch.eye(3), torch.tensor([[7], [8], [7]]))
    >>> l.flatten().tolist(), e[3].sum().item(), e[3, 1].item()
    ([7, 8, 7, 7], 1.0, 0.0)
    """
    embeddings = unit_rows(embeddings, "embeddings")
    same = agreement(labels, labels) == labels.shape[1]
    left, right = same.triu(1).nonzero(as_tuple=True)
    alpha = torch.rand(len(left), 1, generator=generator, device=embeddings.device, dtype=embeddings.dtype)
    mixed = alpha * embeddings[left] + (1.0 - alpha) * embeddings[right]
    gallery = torch.cat([embeddings, mixed])
    return gallery.as_subclass(AsGiven), torch.cat([labels, labels[left]])
