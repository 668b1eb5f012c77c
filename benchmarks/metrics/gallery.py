"""A gallery made ready to be ranked for any query: what is found once, and what is done for each block of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hgld.benchmarks.metrics.ranked_hits import Ranking, Scales
from hgld.benchmarks.ranking.duplicates import copies
from hgld.benchmarks.ranking.levels import UNKNOWN, agreement, check_labels
from hgld.benchmarks.ranking.similarity import similarity
from hgld.benchmarks.ranking.sorting import ordered
from hgld.foundation.errors import HgldError

# Gallery rows widened to float32 at once where they come in half precision.
WIDENED = 1 << 16


@dataclass(frozen=True)
class Gallery:
    """Embeddings (N, d); labels (N, L), each column in one piece; which rows copy an earlier one, and which one."""

    embeddings: Tensor
    labels: Tensor
    ragged: bool
    copies: Tensor
    originals: Tensor
    scales: Scales

    @classmethod
    def of(cls, embeddings: Tensor, labels: Tensor) -> Gallery:
        """Look at a gallery once."""
        labels = narrowed(labels).T.contiguous().T
        ragged = bool((labels == UNKNOWN).any())
        return cls(embeddings, labels, ragged, *copies(embeddings), Scales.to(len(labels), embeddings.device))

    def scores(self, query: Tensor) -> Tensor:
        """Scores of the whole gallery (Q, N), in float32 at least; equal embeddings have equal scores."""
        wide = torch.promote_types(query.dtype, torch.float32)
        if self.embeddings.dtype == torch.promote_types(wide, self.embeddings.dtype):
            scores = similarity(query, self.embeddings)
        else:
            parts = torch.split(self.embeddings, WIDENED)
            scores = torch.cat([similarity(query, part) for part in parts], dim=1)
        if len(self.copies):
            scores[:, self.copies] = scores[:, self.originals]
        return scores

    def ranking(
        self, scores: Tensor, query_labels: Tensor, own: Sequence[Sequence[int]], ragged: bool
    ) -> Ranking:
        """The gallery as each query ranks it, without the query's own items. Writes over `scores`."""
        depth = agreement(query_labels, self.labels, ragged=ragged or self.ragged)
        hidden = [(row, item) for row, items in enumerate(own) for item in items]
        pairs = torch.tensor(hidden, device=scores.device).T if hidden else None
        ranked = ordered(scores, depth, None if pairs is None else (pairs[0], pairs[1]))
        return Ranking(*ranked, self.labels.shape[1], self.scales)


def narrowed(labels: Tensor) -> Tensor:
    """Integer labels as int32 where they fit, as int64 elsewhere."""
    if not labels.numel():
        return labels.int()
    low, high = torch.aminmax(labels)
    fits = torch.iinfo(torch.int32)
    return labels.int() if fits.min <= int(low) and int(high) <= fits.max else labels.long()


def check_side(embeddings: Tensor, labels: Tensor, ids: Sequence[Any] | None, what: str) -> None:
    """Raise HgldError unless embeddings, labels and ids belong together and the embeddings are finite."""
    check_labels(labels, f"{what} labels")
    if embeddings.dim() != 2 or len(embeddings) != len(labels) or not embeddings.is_floating_point():
        raise HgldError(
            f"{what}: embeddings {embeddings.dtype} {tuple(embeddings.shape)} do not fit labels {tuple(labels.shape)}"
        )
    if ids is not None and len(ids) != len(labels):
        raise HgldError(f"{what}: {len(ids)} ids for {len(labels)} rows")
    # The extremes need no copy of the embeddings, and NaN is one of them where there is any.
    if embeddings.numel() and not bool(torch.isfinite(torch.stack(torch.aminmax(embeddings))).all()):
        row = next(n for n, one in enumerate(embeddings) if not bool(torch.isfinite(one).all()))
        raise HgldError(
            f"{what}: the embedding of row {row} is not finite; the model has diverged or the image is bad"
        )


def own_items(
    queries: int, query_ids: Sequence[Any] | None, gallery_ids: Sequence[Any] | None
) -> list[list[int]]:
    """For each query the gallery rows that carry its id; none where either side has no ids."""
    if query_ids is None or gallery_ids is None:
        return [[]] * queries
    carry: dict[Any, list[int]] = {name: [] for name in _names(query_ids)}
    for row, name in enumerate(_names(gallery_ids)):
        if name in carry:
            carry[name].append(row)
    return [carry[name] for name in _names(query_ids)]


def _names(ids: Sequence[Any]) -> Sequence[Any]:
    """Ids that can be looked up: tensors and arrays as plain numbers or strings."""
    names: Sequence[Any] = ids.tolist() if hasattr(ids, "tolist") else ids
    return names
