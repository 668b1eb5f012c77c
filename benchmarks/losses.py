"""The losses by name.

    loss = LOSSES["sup_hap"](tau=0.01, offset=None, alpha=1.0)      keyword-only; a typo raises HgldError
    value = loss(embeddings, labels)                                the batch against itself
    value = loss(embeddings, labels, ref_embeddings, ref_labels)    the batch against a gallery

(B, d) L2-normalised, (B, L) integers with column 0 the finest, (N, d), (N, L) -> scalar.

Single-level losses take level=0; every loss takes reduction="mean" | "none" (per query; NaN where undefined, and the
mean leaves those out). Settings and formulas stand with each class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from hgld.benchmarks.pair_losses import Calibration
from hgld.benchmarks.proxy_losses import Cluster
from hgld.benchmarks.rank_losses import RANK_LOSSES
from hgld.hierarchy.errors import HgldError, suggest


class Loss(Protocol):
    """What every loss is: embeddings and labels in, a value out."""

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Scalar, or (B,) with reduction="none"."""
        ...


LOSSES: dict[str, Callable[..., Loss]] = {**RANK_LOSSES, "calibration": Calibration, "cluster": Cluster}


def make_loss(name: str, **settings: Any) -> Loss:
    """The loss of that name; an unknown name is an error with a suggestion.

    >>> make_loss("sup_hpa")
    Traceback (most recent call last):
        ...
    hgld.hierarchy.errors.HgldError: unknown loss 'sup_hpa'; did you mean 'sup_hap'?
    """
    if name not in LOSSES:
        hint = suggest(name, LOSSES) or f"; known: {', '.join(LOSSES)}"
        raise HgldError(f"unknown loss {name!r}{hint}")
    return LOSSES[name](**settings)
