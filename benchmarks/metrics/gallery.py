"""A gallery prepared for ranking: what is computed once, and what for every block of queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hgld.benchmarks.metrics.ranked_hits import Ranking, Scales
from hgld.benchmarks.ranking.duplicates import Duplicates, find_duplicates
from hgld.benchmarks.ranking.levels import UNKNOWN, agreement, check_hierarchy
from hgld.benchmarks.ranking.similarity import inverse_lengths, similarity
from hgld.benchmarks.ranking.sorting import Hidden, rank_all
from hgld.foundation.errors import HgldError

# Gallery rows converted to float32 at a time, if they are in half precision.
CHUNK = 1 << 16


@dataclass(frozen=True)
class Gallery:
    """Embeddings (N, d) with their duplicates; labels (N, L) with contiguous columns; whether a label is missing.

    factors: by what scores are multiplied to be cosines, (N,); None where every embedding is of length 1. shuffled:
    other labels (N, L) under which the same ranking is measured too.
    """

    embeddings: Tensor
    factors: Tensor | None
    duplicates: Duplicates
    labels: Tensor
    ragged: bool
    scales: Scales
    shuffled: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, embeddings: Tensor, labels: Tensor, shuffles: Iterable[Tensor] = ()) -> Gallery:
        """Prepare a gallery; shuffles: orders (N,) of its labels. Raises HgldError for zero or infinite embeddings."""
        narrow = narrowed(labels)
        return cls(
            embeddings=embeddings,
            factors=inverse_lengths(embeddings, "gallery"),
            duplicates=find_duplicates(embeddings),
            labels=narrow.T.contiguous().T,
            ragged=bool((labels == UNKNOWN).any()),
            scales=Scales.of(len(labels), embeddings.device),
            shuffled=tuple(narrow[order].T.contiguous().T for order in shuffles),
        )

    def scores(self, query: Tensor) -> Tensor:
        """Scores of the whole gallery (Q, N), in float32 at least; duplicates have equal scores."""
        wide = torch.promote_types(query.dtype, torch.float32)
        if self.embeddings.dtype == torch.promote_types(wide, self.embeddings.dtype):
            scores = similarity(query, self.embeddings)
        else:
            chunks = torch.split(self.embeddings, CHUNK)
            scores = torch.cat([similarity(query, chunk) for chunk in chunks], dim=1)
        if len(self.duplicates.repeats):
            scores[:, self.duplicates.repeats] = scores[:, self.duplicates.first]
        return scores if self.factors is None else scores.mul_(self.factors)

    def rankings(
        self, scores: Tensor, query_labels: Tensor, own: Sequence[Sequence[int]], ragged: bool, nearest: int = 0
    ) -> tuple[list[Ranking], Tensor]:
        """The gallery as ranked for each query, without the query's own items: with its labels, then as shuffled.

        Also the first `nearest` items (Q, nearest). Overwrites `scores`.
        """
        ragged = ragged or self.ragged
        depths = [agreement(query_labels, labels, ragged=ragged) for labels in (self.labels, *self.shuffled)]
        pairs = [(row, item) for row, items in enumerate(own) for item in items]
        hidden = Hidden(*torch.tensor(pairs, device=scores.device).T) if pairs else None
        ranked = rank_all(scores, depths, hidden, nearest)
        levels = self.labels.shape[1]
        return [Ranking(depth, ranked.values, levels, self.scales) for depth in ranked.depths], ranked.nearest


def comparable(query: Tensor) -> Tensor:
    """Queries (Q, d) whose scores neither overflow nor vanish. Raises HgldError for rows that are zero or not finite.

    A ranking does not depend on the length of the query: it is changed by a power of two, which rounds nothing.
    """
    factors = inverse_lengths(query, "query")
    if factors is None:
        return query
    return query * torch.ldexp(torch.ones_like(factors), torch.frexp(factors).exponent)[:, None]


def narrowed(labels: Tensor) -> Tensor:
    """Integer labels as int32 if they fit, otherwise as int64."""
    if not labels.numel():
        return labels.int()
    low, high = torch.aminmax(labels)
    int32 = torch.iinfo(torch.int32)
    return labels.int() if int32.min <= int(low) and int(high) <= int32.max else labels.long()


def check_side(embeddings: Tensor, labels: Tensor, ids: Sequence[Any] | None, side: str) -> None:
    """Raise HgldError unless embeddings, labels and ids match in length, and the labels are ordered finest first."""
    check_hierarchy(labels, f"{side} labels")
    fits = embeddings.dim() == 2 and len(embeddings) == len(labels) and embeddings.shape[1] > 0
    if not fits or not embeddings.is_floating_point():
        raise HgldError(
            f"{side}: embeddings {embeddings.dtype} {tuple(embeddings.shape)} do not fit labels "
            f"{tuple(labels.shape)}; give one row of floating-point numbers per row of labels"
        )
    if embeddings.device != labels.device:
        raise HgldError(f"{side}: embeddings are on {embeddings.device} and labels on {labels.device}; use one device")
    if ids is not None and len(ids) != len(labels):
        raise HgldError(f"{side}: {len(ids)} ids for {len(labels)} rows; give one id per row")
