"""Ranks of all positives from the package's pairs, and the exact step as a surrogate: what tests compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from hgld.benchmarks.ranking.surrogates import Surrogate, heaviside, pair_ranks, pairs_of


@dataclass(frozen=True)
class Exact:
    """The Heaviside step itself: true ranks, no gradient."""

    def step(self, x: Tensor, lower: Tensor) -> tuple[Tensor, Tensor | None]:
        return heaviside(x), None

    def gain_step(self, x: Tensor, higher: Tensor) -> tuple[Tensor, Tensor | None]:
        return heaviside(x), None


class Ranks(NamedTuple):
    """Ranks of M positives: item `item[n]` of query `query[n]`, both (M,) int64; `rank` and `hrank` (M,) float."""

    query: Tensor
    item: Tensor
    rank: Tensor
    hrank: Tensor


def positive_ranks(scores: Tensor, depth: Tensor, surrogate: Surrogate, table: Tensor | None = None) -> Ranks:
    """Surrogate ranks of every item with a positive agreement.

    scores (B, N) float; depth (B, N) uint8 agreement; table (B, L + 1) the relevance of each agreement, None for 0/1,
    with which hrank is rank+.
    """
    query, item = depth.gt(0).nonzero(as_tuple=True)
    if table is None:
        depth, table = depth.gt(0).to(torch.uint8), torch.tensor([0.0, 1.0]).expand(len(scores), 2)
    ranks = pair_ranks(pairs_of(scores, depth, table.to(scores), query, item), surrogate)
    return Ranks(query, item, ranks.rank, ranks.hrank)
