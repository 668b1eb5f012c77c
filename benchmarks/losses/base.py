"""What the losses share: the module with its settings, the gallery, the call, and the reduction over the queries.

Every loss compares embeddings by cosine: rows that are not of length 1 are normalised first, by the rule of
hgld.benchmarks.ranking.similarity. Labels with the coarsest level first are an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from hgld.benchmarks.ranking.levels import agreement, check_hierarchy, check_labels, reaches, signed
from hgld.benchmarks.ranking.similarity import as_tensor, unit_rows
from hgld.benchmarks.ranking.threads import one_core
from hgld.foundation.errors import HgldError, suggest

F = TypeVar("F", bound=Callable[..., Any])

REDUCTIONS = ("mean", "none")
# A batch is small, and there are many: levels that do not nest may seem to, by chance.
CHANCE = 1e-6
# Up to so many multiplications, some milliseconds of work, a loss is computed on one core (ranking.threads.one_core).
ONE_CORE = 1 << 27


@dataclass(frozen=True)
class Inputs:
    """Checked inputs of a loss: unit embeddings (B, d), labels (B, L) of the queries, and the gallery's (N, d), (N, L).

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
        """The inputs of a call. Raises HgldError for half a gallery, shapes that do not match, and zero embeddings."""
        if (ref_embeddings is None) != (ref_labels is None):
            raise HgldError("ref_embeddings and ref_labels belong together: give both or neither")
        query, query_labels = checked_side(embeddings, labels, "")
        if ref_embeddings is None or ref_labels is None:
            return cls(query, query_labels, query, query_labels, own_gallery=True)
        if ref_embeddings is embeddings and ref_labels is labels:
            return cls(query, query_labels, query, query_labels, own_gallery=False)
        ref, ref_labels = checked_side(ref_embeddings, ref_labels, "ref_")
        if query.shape[1] != ref.shape[1]:
            raise HgldError(
                f"embeddings are {query.shape[1]} wide and ref_embeddings {ref.shape[1]}: "
                "embed both with the same network"
            )
        if query.device != ref.device:
            raise HgldError(f"embeddings are on {query.device} and ref_embeddings on {ref.device}; use one device")
        return cls(query, query_labels, ref, ref_labels, own_gallery=False)

    def positives(self, level: int) -> Tensor:
        """Which pairs agree at `level` and every coarser one, (B, N) bool."""
        return reaches(agreement(self.labels, self.ref_labels), level, self.labels.shape[1])


def checked_side(embeddings: Tensor, labels: Tensor, prefix: str) -> tuple[Tensor, Tensor]:
    """Unit embeddings (n, d) and labels (n, L) as tensors. Raises HgldError when they do not fit each other.

    On a GPU the values and the order of the labels are not looked at, which would force it to synchronise at every
    step.
    """
    embeddings, labels = as_tensor(embeddings, f"{prefix}embeddings"), signed(as_tensor(labels, f"{prefix}labels"))
    if embeddings.dim() != 2 or len(embeddings) != len(labels) or not embeddings.shape[1]:
        raise HgldError(
            f"{prefix}embeddings must be (n, d) with one row of {prefix}labels each; "
            f"got {tuple(embeddings.shape)} and {tuple(labels.shape)}"
        )
    if not embeddings.is_floating_point():
        raise HgldError(f"{prefix}embeddings must be floating-point numbers; got {embeddings.dtype}")
    if embeddings.device != labels.device:
        raise HgldError(
            f"{prefix}embeddings are on {embeddings.device} and {prefix}labels on {labels.device}; "
            "put both on one device"
        )
    if labels.device.type == "cpu":
        check_hierarchy(labels, f"{prefix}labels", chance=CHANCE)
    else:
        check_labels(labels, f"{prefix}labels")
    return unit_rows(embeddings, f"{prefix}embeddings"), labels


def is_on_cpu(value: object) -> bool:
    """Whether a value, which may be anything, is a tensor on a CPU or a NumPy array."""
    return isinstance(value, np.ndarray) or (isinstance(value, Tensor) and value.device.type == "cpu")


def outside_graphs(function: F) -> F:
    """Decorator: torch.compile does not trace the function, whose checks read values, but calls it."""
    return cast(F, torch.compiler.disable(function))  # type: ignore[no-untyped-call]


class FrozenSettingError(HgldError, AttributeError):
    """The error of an assignment to a setting: a loss keeps those that were checked when it was made."""


class Loss(nn.Module):
    """A loss: embeddings and labels in, a value out. Its settings are attributes, fixed when it is made.

    A loss without proxies has no parameters and an empty state dict; one with proxies has the parameter `weight`, and
    the state dict of CSL also its label table, `table`.
    """

    SETTINGS: ClassVar[tuple[str, ...]] = ()  # their names, filled in by `strict`

    def __init__(self, *, reduction: str, **settings: object) -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction
        for name, value in settings.items():
            # a list could be changed after it was checked
            setattr(self, name, tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.SETTINGS and hasattr(self, name):
            kind = type(self).__name__
            raise FrozenSettingError(
                f"{kind}: {name} is fixed when the loss is made; make another one, {kind}({name}=...)"
            )
        super().__setattr__(name, value)

    def extra_repr(self) -> str:
        """The settings, for `repr` and `print`."""
        return ", ".join(f"{name}={_shown(getattr(self, name))}" for name in self.SETTINGS)

    @outside_graphs
    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Value of the loss, scalar or (B,); see hgld.benchmarks.losses.registry for shapes."""
        small = is_on_cpu(embeddings) and self.multiplications(embeddings, ref_embeddings) <= ONE_CORE
        try:
            with one_core() if small else nullcontext():
                return self.value(embeddings, labels, ref_embeddings, ref_labels)
        except RuntimeError as error:
            if torch._C._functorch.peek_interpreter_stack() is None:
                raise
            raise HgldError(
                f"{type(self).__name__}: torch.func.grad and vmap do not support this loss, which looks at values; "
                "use torch.autograd.grad, and one call per batch"
            ) from error

    def value(
        self, embeddings: Tensor, labels: Tensor, ref_embeddings: Tensor | None, ref_labels: Tensor | None
    ) -> Tensor:
        """The value for `forward`."""
        raise NotImplementedError

    def multiplications(self, embeddings: Tensor, ref_embeddings: Tensor | None) -> int:
        """How many multiplications the scores take."""
        others = embeddings if ref_embeddings is None else ref_embeddings
        return len(embeddings) * math.prod(others.shape) if is_on_cpu(others) and embeddings.ndim else 0

    if TYPE_CHECKING:

        def __call__(
            self,
            embeddings: Tensor,
            labels: Tensor,
            ref_embeddings: Tensor | None = None,
            ref_labels: Tensor | None = None,
        ) -> Tensor:
            """As `forward`, which torch declares with any arguments."""
            ...


def _shown(value: object) -> str:
    """A setting for `repr`."""
    return f"tensor{tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)


class GalleryLoss(Loss):
    """A loss of queries against a gallery, which by default is the batch itself."""

    def per_query(self, inputs: Inputs) -> Tensor:
        """Value per query (B,), NaN where undefined."""
        raise NotImplementedError

    def value(
        self, embeddings: Tensor, labels: Tensor, ref_embeddings: Tensor | None, ref_labels: Tensor | None
    ) -> Tensor:
        """The checked inputs through `per_query`, and the reduction."""
        inputs = Inputs.checked(embeddings, labels, ref_embeddings, ref_labels)
        return reduce_per_query(self.per_query(inputs), self.reduction, inputs.embeddings, inputs.ref_embeddings)


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
