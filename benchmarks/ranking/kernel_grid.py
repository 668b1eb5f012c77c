"""Sums of a smooth kernel over all pairs of points on a line, in O(N) and an FFT.

To sum k(y_i - y_j) over the points j for many i, the points are gridded: each is replaced by a few masses at the nodes
around it, the weights of Lagrange interpolation. The masses are convolved with the kernel by FFT, and the result is
interpolated back with the same weights. The error is that of interpolating the kernel between nodes. For the sigmoid,
whose nearest singularity is at distance pi tau from the real line, `points` nodes of step tau / steps give about

    (1/2 . 3/2 ... (points - 1)/2)^2 / (pi steps)^points          2e-6 for 8 and 3;  1e-11 for 16 and 5

relative to the kernel's size *there* (a far tail is as accurate as the middle), see docs/near_linear.md. Everything is
float64: an FFT spreads its rounding over the whole row, and a rank of 1 may stand beside one of 60,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Nodes per point, grid steps per tau, and the remainder at which a series is truncated."""

    points: int
    steps: float
    series: float


SINGLE = Precision(points=8, steps=3.0, series=1e-6)
DOUBLE = Precision(points=16, steps=5.0, series=1e-10)


class Stencil(NamedTuple):
    """K points on the grid: `nodes` (K,) int64, the first node of each, and `weights`, (K,) float64 for every node."""

    nodes: Tensor
    weights: list[Tensor]


# In taus: sigmoid(-40) is 4e-18, which vanishes beside 1 in float64. Wider gaps need no nodes in between.
GAP = 40.0


class Grid:
    """The grid that some rows share, and where their points lie on it. y (R, N) float64, ascending in each row.

    A query's own score of 1 is far from all others. A gap of more than GAP taus is therefore closed to GAP: the grid is
    a third shorter at 384 x 384, the loss a tenth faster, and no sum changes.
    """

    def __init__(self, y: Tensor, tau: float, precision: Precision) -> None:
        self.step = tau / precision.steps
        self.points = precision.points
        position = torch.zeros_like(y)
        torch.cumsum((y[:, 1:] - y[:, :-1]).clamp_(max=GAP * tau), 1, out=position[:, 1:])
        position = position.div_(self.step).view(-1)
        first = position.floor()
        self.nodes, self.fraction = first.long(), position.sub_(first)
        self.size = int(first.amax()) + precision.points
        self.all_points = Stencil(self.nodes, lagrange_weights(self.fraction, self.points))

    def stencil(self, index: Tensor) -> Stencil:
        """The points with this index (K,). Computing their weights again is cheaper than gathering them."""
        weights = lagrange_weights(self.fraction.gather(0, index), self.points)
        return Stencil(self.nodes.gather(0, index), weights)

    def spread(self, slots: int, slot: Tensor, stencil: Stencil, mass: Tensor | None = None) -> Tensor:
        """Add the masses (K,), by default 1, of some points to the nodes of their slots (K,) -> (slots, size)."""
        grid = self.fraction.new_zeros(slots * self.size)
        node = slot * self.size + stencil.nodes
        for k, weight in enumerate(stencil.weights):
            grid[k:].scatter_add_(0, node, weight if mass is None else weight * mass)
        return grid.view(slots, self.size)

    def interpolate(self, fields: Sequence[Tensor], slot: Tensor, stencil: Stencil) -> list[Tensor]:
        """The fields (slots, size) at some points, each in its slot (K,) -> (K,) for every field."""
        node = slot * self.size + stencil.nodes
        flat = [field.reshape(-1) for field in fields]
        values = [torch.zeros_like(stencil.weights[0]) for _ in flat]
        for k, weight in enumerate(stencil.weights):
            for total, field in zip(values, flat, strict=True):
                total.addcmul_(field[k:].gather(0, node), weight)
        return values

    def convolve(self, masses: Tensor, kernels: Sequence[Tensor]) -> list[Tensor]:
        """Masses (S, size) with kernels (2 size - 1,), lag 0 in the middle -> (S, size) for every kernel."""
        length = next_fast_len(2 * self.size - 1, real=True)
        spectrum = torch.fft.rfft(masses, length)
        fields = []
        for kernel in kernels:
            padded = torch.nn.functional.pad(kernel, (0, length - len(kernel)))
            transfer = torch.fft.rfft(torch.roll(padded, 1 - self.size))
            fields.append(torch.fft.irfft(spectrum * transfer, length)[:, : self.size])
        return fields

    def lags(self) -> Tensor:
        """The distances between nodes, -(size - 1) .. size - 1 steps."""
        like = self.fraction
        return torch.arange(-(self.size - 1), self.size, dtype=like.dtype, device=like.device) * self.step


def lagrange_weights(fraction: Tensor, points: int) -> list[Tensor]:
    """Weights of `points` nodes for a position `fraction` (0..1) of a step past the middle one: `points` times (K,).

    >>> [round(float(w), 4) for w in lagrange_weights(torch.tensor([0.5]), 4)]
    [-0.0625, 0.5625, 0.5625, -0.0625]
    """
    middle, last = points // 2 - 1, points - 1

    def distance(k: int, scale: float) -> Tensor:
        """Distance to node k, scaled by a factor of the denominator k! (last - k)! (-1)^(last - k)."""
        return torch.add(fraction.new_tensor((middle - k) * scale), fraction, alpha=scale)

    weights = [torch.ones_like(fraction), distance(0, 1.0)]
    for k in range(1, last):
        weights.append(weights[k] * distance(k, 1.0 / (k + 1)))
    right = distance(last, -1.0)
    for k in reversed(range(1, last)):
        weights[k].mul_(right)
        right.mul_(distance(k, -1.0 / (points - k)))
    weights[0] = right
    return weights
