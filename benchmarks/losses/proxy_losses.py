"""Losses against learned proxies: Cluster (normalised softmax), ArcFace, ProxyNCA++, CSL.

Each is a module whose only parameter is `weight`, (num_classes * centres, dim); give it its own optimiser. The
embeddings are (B, dim), labels (B, L), checked and normalised as for every loss (base.py). A gallery is ignored: the
proxies are the gallery. Every query has a proxy, so none is undefined; a label without a proxy raises HgldError. `seed`
determines the initial proxies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from pytorch_metric_learning.losses import ArcFaceLoss, ProxyNCALoss
from pytorch_metric_learning.reducers import DoNothingReducer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, softplus

from hgld.benchmarks.losses.base import check_reduction, checked_side, reduce_per_query
from hgld.benchmarks.losses.strict import CLASSES, LEVEL, MARGIN, POSITIVE, SEED, TEMPERATURE, WIDTH, Range, strict
from hgld.benchmarks.ranking.levels import agreement, check_hierarchy, signed
from hgld.benchmarks.ranking.similarity import as_tensor, similarity
from hgld.foundation.errors import HgldError, reason

# Numbers of all proxies: 17 GB in float32.
LARGEST = 1 << 32


class _ProxyLoss(nn.Module):
    """What the proxy losses share: the proxies, the call and the checks."""

    RANGES: ClassVar = {"dim": WIDTH, "level": LEVEL, "seed": SEED}
    weight: nn.Parameter

    def __init__(self, rows: int, dim: int, level: int, reduction: str, seed: int) -> None:
        super().__init__()
        check_reduction(reduction)
        if not 1 <= rows * dim <= LARGEST:
            raise HgldError(
                f"{type(self).__name__}: {rows:,} proxies of {dim:,} numbers; expected 1 to {LARGEST:,} numbers"
            )
        self.level, self.reduction = level, reduction
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(rows, dim, generator=generator) / dim**0.5)

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        """Mean over the queries, or (B,) with reduction="none"; raises HgldError for a label without a proxy."""
        rows, labels = checked_side(embeddings, labels, "")
        if rows.shape[1] != self.weight.shape[1]:
            raise HgldError(
                f"{type(self).__name__}: embeddings must be (n, {self.weight.shape[1]}) like the proxies; "
                f"got {tuple(rows.shape)}"
            )
        wide = torch.promote_types(torch.promote_types(rows.dtype, self.weight.dtype), torch.float32)
        with torch.autocast(rows.device.type, enabled=False):
            per_query = self.values(rows.to(wide), labels, self.weight.to(wide))
        return reduce_per_query(per_query, self.reduction, rows, self.weight)

    def values(self, embeddings: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        """Loss per query (B,); embeddings and weight share a dtype, float32 at least."""
        raise NotImplementedError

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """The classes (B,) at `level`; raises HgldError for a class without a proxy and a level that does not exist."""
        if not 0 <= self.level < labels.shape[1]:
            raise HgldError(f"level {self.level} does not exist: the labels have {labels.shape[1]} levels")
        target = labels[:, self.level].long()
        if target.numel() and not 0 <= int(target.min()) <= int(target.max()) < classes:
            raise HgldError(
                f"{type(self).__name__}: labels run from {int(target.min())} to {int(target.max())}, "
                f"proxies from 0 to {classes - 1}"
            )
        return target


@strict
class Cluster(_ProxyLoss):
    """Cross entropy over cosine to the class proxies: CE(e . normalise(W) / temperature).

    With several centres, class-major in `weight`, the logit of a class is sum_c softmax(l / temperature_centers)_c l_c
    (SoftTriple, Qian et al., ICCV 2019). Source: normalised softmax, Zhai and Wu, BMVC 2019.
    """

    RANGES: ClassVar = {
        "num_classes": CLASSES,
        "temperature": TEMPERATURE,
        "temperature_centers": TEMPERATURE,
        "num_centers": Range(1, 10_000, whole=True),
    }

    def __init__(
        self,
        *,
        num_classes: int,
        dim: int,
        temperature: float = 0.05,
        num_centers: int = 1,
        temperature_centers: float = 0.1,
        level: int = 0,
        reduction: str = "mean",
        seed: int = 0,
    ) -> None:
        super().__init__(num_classes * num_centers, dim, level, reduction, seed)
        self.num_classes, self.num_centers = num_classes, num_centers
        self.temperature, self.temperature_centers = temperature, temperature_centers

    def values(self, embeddings: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        """Cross entropy per query (B,)."""
        target = self.targets(labels, self.num_classes)
        cosine = similarity(embeddings, normalize(weight, dim=1))
        logits = cosine.reshape(len(cosine), self.num_classes, self.num_centers)
        logits = (torch.softmax(logits / self.temperature_centers, dim=2) * logits).sum(2)
        return cross_entropy(logits / self.temperature, target, reduction="none")


@strict
class ArcFace(_ProxyLoss):
    """ArcFace (Deng et al., CVPR 2019), computed by pytorch-metric-learning: cross entropy over s cos(theta).

    For the true class cos(theta + m) replaces cos(theta), and beyond theta = pi - m it is cos(theta) - m sin(m). s is
    the scale, m is in radians.
    """

    RANGES: ClassVar = {"num_classes": CLASSES, "s": POSITIVE, "m": Range(0, math.pi / 2)}

    def __init__(
        self,
        *,
        num_classes: int,
        dim: int,
        s: float = 30.0,
        m: float = 0.3,
        level: int = 0,
        reduction: str = "mean",
        seed: int = 0,
    ) -> None:
        super().__init__(num_classes, dim, level, reduction, seed)
        self.num_classes, self.s, self.m = num_classes, s, m

    def values(self, embeddings: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        """Cross entropy per query (B,)."""
        target = self.targets(labels, self.num_classes)
        library = ArcFaceLoss(
            self.num_classes,
            weight.shape[1],
            margin=math.degrees(self.m),
            scale=self.s,
            reducer=DoNothingReducer(),
        )
        del library.W  # a parameter there; ours may be any tensor
        library.W = weight.T
        values: Tensor = library(embeddings, target)["loss"]["losses"]
        return values


@strict
class ProxyNCA(_ProxyLoss):
    """ProxyNCA++ (Teh et al., ECCV 2020), by pytorch-metric-learning: CE over -|scale (e/|e| - p/|p|)|^2.

    The published temperature 1/9 is scale 3.
    """

    RANGES: ClassVar = {"num_classes": CLASSES, "scale": POSITIVE}

    def __init__(
        self,
        *,
        num_classes: int,
        dim: int,
        scale: float = 3.0,
        level: int = 0,
        reduction: str = "mean",
        seed: int = 0,
    ) -> None:
        super().__init__(num_classes, dim, level, reduction, seed)
        self.num_classes, self.scale = num_classes, scale

    def values(self, embeddings: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        """Cross entropy per query (B,)."""
        target = self.targets(labels, self.num_classes)
        library = ProxyNCALoss(
            self.num_classes, weight.shape[1], softmax_scale=self.scale**2, reducer=DoNothingReducer()
        )
        del library.proxies
        library.proxies = weight
        unreduced = library(embeddings, target)["loss"]
        # The library omits a query whose probability rounds to 0; here it stays, with a loss of 0.
        return embeddings.new_zeros(len(target)).index_add(0, unreduced["indices"], unreduced["losses"])


def csl_margins(levels: int) -> tuple[float, ...]:
    """Published margins for 2, 3 and 7 levels, finest level first; for other numbers .15, .25, ...

    >>> csl_margins(3), csl_margins(4)
    ((0.25, 0.35, 0.45), (0.15, 0.25, 0.35, 0.45))
    """
    published = {1: (0.25,), 2: (0.25, 0.45), 3: (0.25, 0.35, 0.45)}
    return published.get(levels) or tuple(round(0.15 + 0.1 * level, 2) for level in range(levels))


@strict
class CSL(_ProxyLoss):
    """CSL (DyML, Sun et al., CVPR 2021): one proxy per class, compared at every level l with that level's margin.

    sum_l mean softplus(LSE_{proxies that differ at l}(scale s) + LSE_{own proxy}(-scale s) + margins_l scale), s the
    cosine to the normalised proxies. `num_classes` is the label table of the
    classes, (C, L) integers; its unique rows, sorted, are the order of `weight`. A level at which no proxy differs adds
    nothing. margins: finest level first, by default `csl_margins`.
    """

    RANGES: ClassVar = {"margins": MARGIN._replace(many=True), "scale": POSITIVE}
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
        super().__init__(len(table), dim, 0, reduction, seed)
        self.margins = csl_margins(table.shape[1]) if margins is None else tuple(margins)
        if len(self.margins) != table.shape[1]:
            raise HgldError(
                f"CSL: {len(self.margins)} margins for {table.shape[1]} levels; give one per level, finest first"
            )
        self.scale = scale
        self.register_buffer("table", table)

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
