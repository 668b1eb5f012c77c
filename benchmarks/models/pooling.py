"""Poolings over what a timm network's `forward_features` returns, and the network with such a pooling.

A feature map (B, C, H, W) or (B, H, W, C) has P = H·W positions; the tokens (B, T + P, C) of a transformer begin with
T = `num_prefix_tokens` tokens that belong to no position: the class token, then the distillation token or registers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hgld.benchmarks.models.network import Average, GeM
from hgld.foundation.errors import HgldError


def split_features(features: Tensor, prefix: int, channels: int) -> tuple[Tensor, Tensor]:
    """Prefix tokens (B, T, C) and positions (B, C, P) of features in any layout of timm.

    Raises HgldError for another shape.
    """
    if not isinstance(features, Tensor):
        raise HgldError(f"forward_features returns a {type(features).__name__}: this network has only its own pooling")
    if features.dim() == 3:
        return features[:, :prefix], features[:, prefix:].transpose(1, 2)
    if features.dim() == 4 and features.shape[1] == channels:
        return features.new_empty((len(features), 0, channels)), features.flatten(2)
    if features.dim() == 4 and features.shape[3] == channels:
        return features.new_empty((len(features), 0, channels)), features.flatten(1, 2).transpose(1, 2)
    raise HgldError(
        f"forward_features returns {tuple(features.shape)}; expected a feature map (B, C, H, W) or (B, H, W, C), or "
        f"tokens (B, P, C), with C = {channels} channels"
    )


class ClassToken(nn.Module):
    """The class token."""

    def forward(self, prefix: Tensor, positions: Tensor) -> Tensor:
        """(B, T, C), (B, C, P) -> (B, C)."""
        return prefix[:, 0]


class Positions(nn.Module):
    """A pooling of the positions alone; the prefix tokens are left out."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, prefix: Tensor, positions: Tensor) -> Tensor:
        """(B, T, C), (B, C, P) -> (B, C)."""
        pooled: Tensor = self.pool(positions)
        return pooled


class Maximum(nn.Module):
    """Maximum pooling."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, P) -> (B, C)."""
        return features.amax(2)


class AverageAndMaximum(nn.Module):
    """The mean of average and maximum pooling, as timm's `avgmax`; Proxy-Anchor's code takes their sum."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, P) -> (B, C)."""
        return 0.5 * (features.mean(2) + features.amax(2))


class PatchAndClassToken(nn.Module):
    """The mean of the class token and of the average patch token."""

    def forward(self, prefix: Tensor, positions: Tensor) -> Tensor:
        """(B, T, C), (B, C, P) -> (B, C)."""
        return 0.5 * (prefix[:, 0] + positions.mean(2))


POOLINGS: dict[str, type[nn.Module]] = {
    "cls": ClassToken,
    "avg": Average,
    "max": Maximum,
    "gem": GeM,
    "avg+max": AverageAndMaximum,
    "patch-cls": PatchAndClassToken,
}
NEEDS_CLASS_TOKEN = ("cls", "patch-cls")


def prefix_tokens(backbone: nn.Module) -> int:
    """The number of tokens before the patches."""
    return int(getattr(backbone, "num_prefix_tokens", None) or 0)


def has_class_token(backbone: nn.Module) -> bool:
    """Whether the first prefix token is a class token, not a register."""
    stated = getattr(backbone, "has_class_token", None)
    present = getattr(backbone, "cls_token", None) is not None if stated is None else bool(stated)
    return present and prefix_tokens(backbone) > 0


class PooledBackbone(nn.Module):
    """A timm network, a pooling, and a head: inputs (B, 3, H, W) -> (B, C), or (B, dim) with a head.

    pooling: None is the network's own, `forward_head(…, pre_logits=True)`; a name of POOLINGS replaces all that follows
    `forward_features`, except for the `fc_norm` of transformers that normalise after the pooling.
    """

    def __init__(self, backbone: Any, pooling: str | None, head: nn.Module | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.pool: nn.Module | None = None
        self.head = head or nn.Identity()
        if pooling is not None:
            if pooling in NEEDS_CLASS_TOKEN and not has_class_token(backbone):
                kind = type(backbone).__name__
                raise HgldError(f"pooling {pooling!r} needs a class token, which this {kind} has not; take avg or gem")
            pool = POOLINGS[pooling]()
            self.pool = pool if pooling in NEEDS_CLASS_TOKEN else Positions(pool)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (B, 3, H, W) -> (B, C) or (B, dim)."""
        features: Tensor = self.backbone.forward_features(pixels)
        if self.pool is None:
            pooled = self.backbone.forward_head(features, pre_logits=True)
        else:
            pooled = self.pool(*split_features(features, prefix_tokens(self.backbone), self.backbone.num_features))
            pooled = getattr(self.backbone, "fc_norm", nn.Identity())(pooled)
        result: Tensor = self.head(pooled)
        return result


def set_gem_power(network: PooledBackbone, power: Tensor) -> None:
    """Give the pooling `gem` the power that a file states."""
    assert network.pool is not None
    gem = network.pool.get_submodule("pool")
    assert isinstance(gem, GeM)
    with torch.no_grad():
        gem.power.copy_(power.reshape(()))
