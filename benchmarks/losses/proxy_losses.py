"""Losses against learned proxies: Cluster (normalised softmax), ArcFace, ProxyNCA++; and what CSL shares with them.

Each is a module whose only parameter is `weight`, (num_classes * centres, dim); give it its own optimiser. The
embeddings are (B, dim), labels (B, L), checked and normalised as for every loss (base.py). A gallery is ignored: the
proxies are the gallery. Every query has a proxy, so none is undefined; a label without a proxy raises HgldError. `seed`
determines the initial proxies.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pytorch_metric_learning.losses import ArcFaceLoss, ProxyNCALoss
from pytorch_metric_learning.reducers import DoNothingReducer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from hgld.benchmarks.losses.base import Loss, checked_side, reduce_per_query
from hgld.benchmarks.losses.strict import CLASSES, LEVEL, POSITIVE, SEED, TEMPERATURE, WIDTH, Range, strict
from hgld.benchmarks.ranking.similarity import similarity
from hgld.foundation.errors import HgldError

# Numbers of all proxies: 17 GB in float32.
LARGEST = 1 << 32


class ProxyLoss(Loss):
    """What the proxy losses share: the proxies, the call and the checks."""

    RANGES: ClassVar = {"dim": WIDTH, "level": LEVEL, "seed": SEED}
    dim: int
    level: int
    seed: int
    weight: nn.Parameter

    def __init__(self, rows: int, *, reduction: str, dim: int, seed: int, **settings: object) -> None:
        super().__init__(reduction=reduction, dim=dim, seed=seed, **settings)
        if not 1 <= rows * dim <= LARGEST:
            raise HgldError(
                f"{type(self).__name__}: {rows:,} proxies of {dim:,} numbers; expected 1 to {LARGEST:,} numbers"
            )
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(rows, dim, generator=generator) / dim**0.5)

    def value(
        self, embeddings: Tensor, labels: Tensor, ref_embeddings: Tensor | None, ref_labels: Tensor | None
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

    def multiplications(self, embeddings: Tensor, ref_embeddings: Tensor | None) -> int:
        """How many multiplications the cosines to all proxies take."""
        return len(embeddings) * self.weight.numel() if embeddings.ndim else 0

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
class Cluster(ProxyLoss):
    """Cross entropy over cosine to the class proxies: CE(e . normalise(W) / temperature).

    With several centres, class-major in `weight`, the logit of a class is sum_c softmax(l / temperature_centers)_c l_c
    (SoftTriple, Qian et al., ICCV 2019). Source: normalised softmax, Zhai and Wu, BMVC 2019.

    embeddings (B, dim), labels (B, L) -> scalar; (B,) with reduction="none".

    Args:
        num_classes: number of classes at `level` (1 to 1e8); the labels there run from 0 to num_classes - 1.
        dim: width of the embeddings (1 to 65536).
        temperature: of the cosines in the softmax over the classes (1e-12 to 1e6).
        num_centers: number of proxies per class (1 to 10000).
        temperature_centers: of the softmax over the proxies of a class (1e-12 to 1e6).
        level: column of the labels that holds the classes, 0 the finest (0 to 63).
        reduction: "mean" over the queries, or "none".
        seed: of the initial proxies, a 64-bit integer.
    """

    RANGES: ClassVar = {
        "num_classes": CLASSES,
        "temperature": TEMPERATURE,
        "temperature_centers": TEMPERATURE,
        "num_centers": Range(1, 10_000, whole=True),
    }
    num_classes: int
    temperature: float
    num_centers: int
    temperature_centers: float

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
        super().__init__(
            num_classes * num_centers,
            reduction=reduction,
            dim=dim,
            seed=seed,
            level=level,
            num_classes=num_classes,
            temperature=temperature,
            num_centers=num_centers,
            temperature_centers=temperature_centers,
        )

    def values(self, embeddings: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
        """Cross entropy per query (B,)."""
        target = self.targets(labels, self.num_classes)
        cosine = similarity(embeddings, normalize(weight, dim=1))
        logits = cosine.reshape(len(cosine), self.num_classes, self.num_centers)
        logits = (torch.softmax(logits / self.temperature_centers, dim=2) * logits).sum(2)
        return cross_entropy(logits / self.temperature, target, reduction="none")


@strict
class ArcFace(ProxyLoss):
    """ArcFace (Deng et al., CVPR 2019), computed by pytorch-metric-learning: cross entropy over s cos(theta).

    For the true class cos(theta + m) replaces cos(theta), and beyond theta = pi - m it is cos(theta) - m sin(m). s is
    the scale, m is in radians.

    embeddings (B, dim), labels (B, L) -> scalar; (B,) with reduction="none".

    Args:
        num_classes: number of classes at `level` (1 to 1e8); the labels there run from 0 to num_classes - 1.
        dim: width of the embeddings (1 to 65536).
        s: scale of the cosines (1e-9 to 1e6).
        m: margin in radians (0 to 1.570796).
        level: column of the labels that holds the classes, 0 the finest (0 to 63).
        reduction: "mean" over the queries, or "none".
        seed: of the initial proxies, a 64-bit integer.
    """

    RANGES: ClassVar = {"num_classes": CLASSES, "s": POSITIVE, "m": Range(0, math.pi / 2)}
    num_classes: int
    s: float
    m: float

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
        own = {"num_classes": num_classes, "s": s, "m": m}
        super().__init__(num_classes, reduction=reduction, dim=dim, seed=seed, level=level, **own)

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
class ProxyNCA(ProxyLoss):
    """ProxyNCA++ (Teh et al., ECCV 2020), by pytorch-metric-learning: CE over -|scale (e/|e| - p/|p|)|^2.

    The published temperature 1/9 is scale 3.

    embeddings (B, dim), labels (B, L) -> scalar; (B,) with reduction="none".

    Args:
        num_classes: number of classes at `level` (1 to 1e8); the labels there run from 0 to num_classes - 1.
        dim: width of the embeddings (1 to 65536).
        scale: of the distances (1e-9 to 1e6).
        level: column of the labels that holds the classes, 0 the finest (0 to 63).
        reduction: "mean" over the queries, or "none".
        seed: of the initial proxies, a 64-bit integer.
    """

    RANGES: ClassVar = {"num_classes": CLASSES, "scale": POSITIVE}
    num_classes: int
    scale: float

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
        own = {"num_classes": num_classes, "scale": scale}
        super().__init__(num_classes, reduction=reduction, dim=dim, seed=seed, level=level, **own)

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
