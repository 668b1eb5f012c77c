"""CSL, the hierarchical loss of DyML: proxies of the finest classes, compared at every level.

Called as all losses with proxies (proxy_losses.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from hgld.benchmarks.losses.proxy_losses import ProxyLoss
from hgld.benchmarks.losses.strict import MARGIN, POSITIVE, strict
from hgld.benchmarks.ranking.levels import agreement, check_hierarchy, signed
from hgld.benchmarks.ranking.similarity import as_tensor, similarity
from hgld.foundation.errors import HgldError, reason


def csl_margins(levels: int) -> tuple[float, ...]:
    """Margins, finest level first: the published ones of 2, 3 and 7 levels; .25 for one level; else .15, .25, ...

    >>> csl_margins(3), csl_margins(4)
    ((0.25, 0.35, 0.45), (0.15, 0.25, 0.35, 0.45))
    """
    published = {1: (0.25,), 2: (0.25, 0.45), 3: (0.25, 0.35, 0.45)}
    return published.get(levels) or tuple(round(0.15 + 0.1 * level, 2) for level in range(levels))


@strict
class CSL(ProxyLoss):
    """CSL (DyML, Sun et al., CVPR 2021): one proxy per class, compared at every level l with that level's margin.

    sum_l mean softplus(LSE_{proxies that differ at l}(scale s) + LSE_{own proxy}(-scale s) + margins_l scale), s the
    cosine to the normalised proxies. A level at which no proxy differs adds nothing.

    embeddings (B, dim), labels (B, L) -> scalar; (B,) with reduction="none".

    Args:
        num_classes: the label table of the classes, (C, L) integers; `weight` has the order of its sorted unique rows.
        dim: width of the embeddings (1 to 65536).
        margins: cosines, finest level first (each 0 to 2); None: `csl_margins`.
        scale: of the cosines (1e-9 to 1e6).
        reduction: "mean" over the queries, or "none".
        seed: of the initial proxies, a 64-bit integer.
    """

    RANGES: ClassVar = {"margins": MARGIN._replace(many=True), "scale": POSITIVE}
    margins: Sequence[float]
    scale: float
    table: Tensor

    def __init__(
        self,
        *,
        num_classes: Tensor | Sequence[Sequence[int]],
        dim: int,
        margins: Sequence[float] | None = None,
        scale: float = 32.0,
        reduction: str = "mean",
        seed: int = 0,
    ) -> None:
        table = _class_table(num_classes)
        check_hierarchy(table, "CSL: num_classes, the table of the classes' labels")
        table = torch.unique(table, dim=0)
        margins = csl_margins(table.shape[1]) if margins is None else tuple(margins)
        own = {"level": 0, "margins": margins, "scale": scale}
        super().__init__(len(table), reduction=reduction, dim=dim, seed=seed, **own)
        if len(self.margins) != table.shape[1]:
            raise HgldError(
                f"CSL: {len(self.margins)} margins for {table.shape[1]} levels; give one per level, finest first"
            )
        self.register_buffer("table", table)

    @property
    def num_classes(self) -> Tensor:
        """The label table of the classes, (C, L), in the order of `weight`."""
        return self.table

    def values(self, embeddings: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        """Sum over the levels per query (B,)."""
        levels = labels.shape[1]
        depth = agreement(labels, self.table)
        own = depth == levels
        if not bool(own.any(1).all()):
            row = labels[int((~own.any(1)).nonzero()[0])].tolist()
            raise HgldError(f"CSL: labels {row} are not in the table given as num_classes")
        scores = similarity(embeddings, normalize(weight, dim=1)) * self.scale
        pull = masked_logsumexp(-scores, own)
        total = pull.new_zeros(len(pull))
        for level, margin in enumerate(self.margins):
            differs = depth < levels - level
            push = masked_logsumexp(scores, differs)
            value = softplus(push + pull + margin * self.scale)
            total = total + torch.where(differs.any(1), value, 0.0)
        return total


def _class_table(value: Any) -> Tensor:
    """The table of the classes' labels as a tensor, also from a list of rows."""
    name = "CSL: num_classes, the table of the classes' labels"
    if not isinstance(value, (list, tuple)):
        return signed(as_tensor(value, name))
    try:
        return torch.tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise HgldError(f"{name} must be rows of integers, all of one length ({reason(error)})") from None


def masked_logsumexp(values: Tensor, keep: Tensor) -> Tensor:
    """Logsumexp over the kept columns, (B, N) -> (B,); 0 where none is kept, and always a finite gradient."""
    nonempty = keep.any(1, keepdim=True)
    masked = values.masked_fill(~keep & nonempty, -torch.inf)
    return masked.logsumexp(1).where(nonempty[:, 0], values.new_zeros(()))
