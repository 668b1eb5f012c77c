"""What the losses share: the gallery, the call, and the reduction over the queries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hgld.benchmarks.ranking.levels import agreement, reaches
from hgld.foundation.errors import HgldError, suggest

REDUCTIONS = ("mean", "none")


@dataclass(frozen=True)
class Inputs:
    """Checked inputs of a loss: embeddings (B, d) and labels (B, L) of the queries, and the gallery's (N, d), (N, L).

    own_gallery: no gallery was given, the batch is its own; then the same tensors appear on both sides.
    """

    embeddings: Tensor
    labels: Tensor
    ref_embeddings: Tensor
    ref_labels: Tensor
    own_gallery: bool

    @classmethod
    def checked(
        cls, embeddings: Tensor, labels: Tensor, ref_embeddings: Tensor | None, ref_labels: Tensor | None
    ) -> Inputs:
        """The inputs of a call. Raises HgldError for half a gallery and for shapes that do not match."""
        if (ref_embeddings is None) != (ref_labels is None):
            raise HgldError("ref_embeddings and ref_labels belong together: give both or neither")
        own_gallery = ref_embeddings is None
        if ref_embeddings is None or ref_labels is None:
            ref_embeddings, ref_labels = embeddings, labels
        for rows, row_labels, prefix in ((embeddings, labels, ""), (ref_embeddings, ref_labels, "ref_")):
            if rows.dim() != 2 or len(rows) != len(row_labels):
                raise HgldError(
                    f"{prefix}embeddings must be (n, d) with one row of {prefix}labels each; "
                    f"got {tuple(rows.shape)} and {tuple(row_labels.shape)}"
                )
        if embeddings.shape[1] != ref_embeddings.shape[1]:
            raise HgldError(
                f"embeddings are {embeddings.shape[1]} wide and ref_embeddings {ref_embeddings.shape[1]}: "
                "embed both with the same network"
            )
        return cls(embeddings, labels, ref_embeddings, ref_labels, own_gallery)

    def positives(self, level: int) -> Tensor:
        """Which pairs agree at `level` and every coarser one, (B, N) bool."""
        return reaches(agreement(self.labels, self.ref_labels), level, self.labels.shape[1])


@dataclass(frozen=True, kw_only=True)
class GalleryLoss:
    """A loss of queries against a gallery, which by default is the batch itself."""

    reduction: str = "mean"

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def per_query(self, inputs: Inputs) -> Tensor:
        """Value per query (B,), NaN where undefined."""
        raise NotImplementedError

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Value of the loss, scalar or (B,); see hgld.benchmarks.losses.registry for shapes."""
        inputs = Inputs.checked(embeddings, labels, ref_embeddings, ref_labels)
        return reduce_per_query(self.per_query(inputs), self.reduction, embeddings, inputs.ref_embeddings)


def check_reduction(reduction: str) -> None:
    """Raise HgldError for a reduction that does not exist."""
    if reduction not in REDUCTIONS:
        raise HgldError(
            f"unknown reduction {reduction!r}{suggest(reduction, REDUCTIONS)}; known: {', '.join(REDUCTIONS)}"
        )


def reduce_per_query(per_query: Tensor, reduction: str, embeddings: Tensor, other: Tensor) -> Tensor:
    """The values (B,) themselves for "none", their mean for "mean"; NaN marks undefined queries, which it leaves out.

    embeddings, and the gallery or the proxies they were compared with: anything not finite in them makes the mean NaN.
    """
    if reduction == "none":
        return per_query
    defined = per_query.isnan().logical_not()
    value = torch.where(defined, per_query, 0.0).sum() / defined.sum().clamp(min=1)
    # Inputs that are not finite look like undefined queries; the loss of a diverged model must not be 0.
    return value + (embeddings.sum(dtype=value.dtype) + other.detach().sum(dtype=value.dtype)) * 0.0
