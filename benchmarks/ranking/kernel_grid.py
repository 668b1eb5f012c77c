"""Sums of a smooth kernel over all pairs of points on a line, in O(N) and an FFT.

To sum k(y_i - y_j) over the points j for many i, the points are put on a uniform grid: each is replaced by a few masses
at the nodes around it, the weights of Lagrange interpolation. The masses are convolved with the kernel by FFT, and the
result is interpolated back with the same weights. The error is that of interpolating the kernel between nodes. For the
sigmoid, whose nearest singularity lies at distance pi tau from the real line, `points` nodes of step tau / steps give
about

    (1/2 . 3/2 ... (points - 1)/2)^2 / (pi steps)^points          2e-6 for 8 and 3;  1e-11 for 16 and 5

of the kernel's size *there* (a far tail is computed as well as the middle), see docs/near_linear.md. Everything is
float64: an FFT spreads its rounding over the whole row, and a rank of 1 may stand beside one of 60,000.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How finely: nodes a point, grid steps a tau, and what a cut series may leave out."""

    points: int
    steps: float
    series: float


SINGLE = Precision(points=8, steps=3.0, series=1e-6)
DOUBLE = Precision(points=16, steps=5.0, series=1e-10)


class Places(NamedTuple):
    """Points on the grid: `nodes` (K,) int64, the first node of each, and `weights`, one (K,) float64 a node."""

    nodes: Tensor
    weights: list[Tensor]


# In taus: sigmoid(-40) is 4e-18, less than float64 can add to 1. Points further apart need no nodes in between.
GAP = 40.0


class Grid:
    """Where the points of some rows lie on a grid that they share. y (R, N) float64, ascending in each row.

    A query's own score of 1 lies far from all others: where a row leaves a gap of more than GAP taus, it is closed to
    that. The grid is shorter for it (a third at 384 x 384, and with it a tenth of the loss's time), and no sum differs.
    """

    def __init__(self, y: Tensor, tau: float, precision: Precision) -> None:
        self.step = tau / precision.steps
        self.points = precision.points
        place = torch.zeros_like(y)
        torch.cumsum((y[:, 1:] - y[:, :-1]).clamp_(max=GAP * tau), 1, out=place[:, 1:])
        place = place.div_(self.step).view(-1)
        first = place.floor()
        self.nodes, self.fraction = first.long(), place.sub_(first)
        self.size = int(first.amax()) + precision.points
        self.every = Places(self.nodes, lagrange(self.fraction, self.points))

    def places(self, at: Tensor) -> Places:
        """Of the points `at` (K,). (To work weights out anew is cheaper than to fetch them.)"""
        return Places(self.nodes.gather(0, at), lagrange(self.fraction.gather(0, at), self.points))

    def spread(self, slots: int, slot: Tensor, places: Places, mass: Tensor | None = None) -> Tensor:
        """The masses (K,; 1 by default) of some points on rows of nodes, each in its slot (K,) -> (slots, size)."""
        grid = self.fraction.new_zeros(slots * self.size)
        node = slot * self.size + places.nodes
        for k, weight in enumerate(places.weights):
            grid[k:].scatter_add_(0, node, weight if mass is None else weight * mass)
        return grid.view(slots, self.size)

    def read(self, fields: Sequence[Tensor], slot: Tensor, places: Places) -> list[Tensor]:
        """The fields (slots, size) interpolated at some points, each in its slot (K,) -> (K,) a field."""
        node = slot * self.size + places.nodes
        flat = [field.reshape(-1) for field in fields]
        found = [torch.zeros_like(places.weights[0]) for _ in flat]
        for k, weight in enumerate(places.weights):
            for total, field in zip(found, flat, strict=True):
                total.addcmul_(field[k:].gather(0, node), weight)
        return found

    def convolved(self, masses: Tensor, kernels: Sequence[Tensor]) -> list[Tensor]:
        """Masses (S, size) with kernels (2 size - 1,), lag 0 in the middle -> (S, size) each."""
        length = fft_length(2 * self.size - 1)
        spectrum = torch.fft.rfft(masses, length)
        shift = self.size - 1
        return [
            torch.fft.irfft(spectrum * torch.fft.rfft(torch.roll(_padded(kernel, length), -shift)), length)[
                :, : self.size
            ]
            for kernel in kernels
        ]

    def lags(self) -> Tensor:
        """The distances between nodes, -(size - 1) .. size - 1 steps."""
        like = self.fraction
        return torch.arange(-(self.size - 1), self.size, dtype=like.dtype, device=like.device) * self.step


def _padded(kernel: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(kernel, (0, length - len(kernel)))


def fft_length(least: int) -> int:
    """The smallest 2^a 3^b >= least, b at most 2.

    >>> fft_length(700)
    768
    """
    sizes: list[int] = [3**b * 2 ** max(1, math.ceil(math.log2(least / 3**b))) for b in range(3)]
    return min(size for size in sizes if size >= least)


def lagrange(fraction: Tensor, points: int) -> list[Tensor]:
    """Weights of `points` nodes for a place `fraction` (0..1) of a step past the middle one: (K,) -> (K,) a node.

    >>> [round(float(w), 4) for w in lagrange(torch.tensor([0.5]), 4)]
    [-0.0625, 0.5625, 0.5625, -0.0625]
    """
    middle, last = points // 2 - 1, points - 1

    def apart(k: int, share: float) -> Tensor:
        """How far the place lies from node k, times a share of the denominator k! (last - k)! (-1)^(last - k)."""
        return torch.add(fraction.new_tensor((middle - k) * share), fraction, alpha=share)

    weights = [torch.ones_like(fraction), apart(0, 1.0)]
    for k in range(1, last):
        weights.append(weights[k] * apart(k, 1.0 / (k + 1)))
    right = apart(last, -1.0)
    for k in reversed(range(1, last)):
        weights[k].mul_(right)
        right.mul_(apart(k, -1.0 / (points - k)))
    weights[0] = right
    return weights
