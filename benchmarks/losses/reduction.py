"""What every loss shares: its gallery, and how the values of the queries become one."""

import torch
from torch import Tensor

from hgld.foundation.errors import HgldError, suggest

REDUCTIONS = ("mean", "none")


def reduced(per_query: Tensor, reduction: str, embeddings: Tensor, other: Tensor) -> Tensor:
    """Mean over the defined queries, or the values themselves.

    per_query (B,) with NaN where undefined; embeddings, and the gallery or the proxies that they were held against.
    """
    if reduction == "none":
        return per_query
    defined = per_query.isnan().logical_not()
    value = torch.where(defined, per_query, 0.0).sum() / defined.sum().clamp(min=1)
    # What is not finite makes queries undefined, or so it seems: it must not pass for a loss of 0.
    return value + (embeddings.sum(dtype=value.dtype) + other.detach().sum(dtype=value.dtype)) * 0.0


def known_reduction(reduction: str) -> None:
    """Raise HgldError for a reduction that does not exist."""
    if reduction not in REDUCTIONS:
        raise HgldError(
            f"unknown reduction {reduction!r}{suggest(reduction, REDUCTIONS)}; known: {', '.join(REDUCTIONS)}"
        )


def gallery_of(
    embeddings: Tensor, labels: Tensor, ref_embeddings: Tensor | None, ref_labels: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The gallery of a loss: the one given, or the batch itself. Raises HgldError when only half of it is given."""
    if (ref_embeddings is None) != (ref_labels is None):
        raise HgldError("ref_embeddings and ref_labels belong together: give both or neither")
    if ref_embeddings is None or ref_labels is None:
        ref_embeddings, ref_labels = embeddings, labels
    for rows, names, what in ((embeddings, labels, ""), (ref_embeddings, ref_labels, "ref_")):
        if rows.dim() != 2 or len(rows) != len(names):
            raise HgldError(
                f"{what}embeddings must be (n, d) with one row of {what}labels each; "
                f"got {tuple(rows.shape)} and {tuple(names.shape)}"
            )
    if embeddings.shape[1] != ref_embeddings.shape[1]:
        raise HgldError(
            f"embeddings are {embeddings.shape[1]} wide and ref_embeddings {ref_embeddings.shape[1]}: "
            "embed both with the same network"
        )
    return ref_embeddings, ref_labels
