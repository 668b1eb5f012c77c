"""Ranks of whole rows without their pairs: O(N log N) a row where the formula has O(P N).

A rank loss needs, for every positive i of a query, the sum of h-(s_j - s_i) over the items j that agree less, for its
gradient the same sum of the derivative, and the adjoint of that. Each piece of h-,

    sigmoid(x/tau)            x <= 0
    start + sigmoid(x/tau)    0 < x <= delta
    rho (x - delta) + offset  x > delta

is summed by what suits it, once the row is sorted from best to worst:

    counts, and the linear part     prefix sums, one per level of agreement
    sigmoid over all x              a sum of a smooth kernel: hgld.benchmarks.kernel_grid
    sigmoid over x > delta,         1 - exp(-x/tau) + exp(-2x/tau) - ... ; as a prefix sum of exp(-n s_j / tau), times
    which must not count            exp(n s_i / tau). From the best item down the terms only grow, so nothing cancels.

Rows are given as y = -s ascending, so that x = y_i - y_j and "better than" is "before". Groups are levels of agreement,
0 .. G. docs/near_linear.md draws the errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hgld.benchmarks.kernel_grid import DOUBLE, SINGLE, Grid, Precision
from hgld.benchmarks.ranks import Smooth, SupRank, Surrogate

WIDEST = 20_000.0  # taus between the best and the worst score; a grid of three steps a tau is then 0.5 MB a row
TALLEST = 690.0  # exp of more than this leaves float64


class Ranked(NamedTuple):
    """Ranks of the targets of sorted rows, and how to pull a gradient back to the scores of the rows.

    rank, hrank (M,) float64; pullback(a, b) with the gradients of rank and hrank (M,) -> (R, N) float64, of s.
    """

    rank: Tensor
    hrank: Tensor
    pullback: Callable[[Tensor, Tensor], Tensor]


class Rows:
    """Sorted rows, with a source weight an item: y (R, N) float64 ascending, group (R, N) int64 in 0 .. groups.

    The targets are the items of a group above 0, and the sources of a target those of its row in a *smaller* group.
    """

    def __init__(self, y: Tensor, group: Tensor, groups: int, weight: Tensor | None = None) -> None:
        self.y, self.group, self.groups = y, group, groups
        flat = group.reshape(-1)
        self.target = flat.gt(0).nonzero()[:, 0]
        self.row = torch.div(self.target, y.shape[1], rounding_mode="floor")
        self.own = y.reshape(-1)[self.target]
        self.level = flat[self.target]
        self.slot = self.row * groups + self.level - 1
        below = group[:, None, :] < torch.arange(1, groups + 1, device=group.device)[:, None]
        self.source = below.to(y.dtype) if weight is None else below * weight[:, None, :]

    def before(self, shift: float, *, ties: bool) -> Tensor:
        """For each target, how many items of its row have y < its own + shift; <= with ties -> (M,)."""
        return torch.searchsorted(self.y, self.y + shift, right=ties).view(-1)[self.target]

    def prefix(self, values: Tensor | None = None) -> Tensor:
        """Running sums of the sources' weights times `values` (R, N), with a leading 0 -> (R * G * (N + 1),)."""
        rows, items = self.y.shape
        sums = self.y.new_zeros(rows, self.groups, items + 1)
        torch.cumsum(self.source if values is None else self.source * values[:, None, :], 2, out=sums[..., 1:])
        return sums.view(-1)

    def pick(self, sums: Tensor, count: Tensor) -> Tensor:
        """What `prefix` found for the sources among the first `count` (M,) items of each target's row -> (M,)."""
        return sums[self.slot * (self.y.shape[1] + 1) + count]

    def mirrored(self, weight: Tensor) -> Rows:
        """Seen from below: sources and targets change places, so that sums over rows become their adjoint."""
        return Rows(-self.y.flip(1), self.groups - self.group.flip(1), self.groups, weight.flip(1))


def precision_of(scores: Tensor) -> Precision:
    """What the dtype of the scores can show."""
    return DOUBLE if scores.dtype == torch.float64 else SINGLE


def applies(surrogate: Surrogate, spread: float, precision: Precision) -> bool:
    """Whether these sums can do the surrogate, for scores `spread` (max - min) apart; False for NaN."""
    if isinstance(surrogate, Smooth):
        return spread <= WIDEST * surrogate.tau
    if not isinstance(surrogate, SupRank) or surrogate.lifts or surrogate.delta < 2 * surrogate.tau:
        return False  # below two tau the series for x > delta converges slowly
    tallest = TALLEST / max(1, _terms(surrogate, precision))
    return spread <= min(WIDEST, tallest) * surrogate.tau


def ranked(rows: Rows, table: Tensor | None, surrogate: Surrogate, precision: Precision) -> Ranked:
    """Surrogate ranks of the targets. table (R, G + 1): the relevance of each group, None if no Hrank is wanted."""
    if isinstance(surrogate, Smooth):
        return _smooth(rows, table, surrogate.tau, precision)
    if isinstance(surrogate, SupRank):
        return _sup(rows, table, surrogate, precision)
    raise TypeError(f"no near-linear sums for {surrogate}")


def _sup(rows: Rows, table: Tensor | None, step: SupRank, precision: Precision) -> Ranked:
    """SupRank: h- over the sources, the plain count over the others; the exact Hrank."""
    grid = Grid(rows.y, step.tau, precision)
    count, equal = rows.prefix(), rows.before(0.0, ties=True)
    value, slope = _sigmoid_over_sources(rows, grid, step.tau)
    far, far_slope, middle = _far(rows, step, precision, count)
    rank = equal - rows.pick(count, equal) + value + far + step.start * middle
    slope = slope + far_slope
    hrank = rank if table is None else _exact_hrank(rows, table, count, equal)

    def pullback(a: Tensor, b: Tensor) -> Tensor:
        back = _sigmoid_adjoint(rows, grid, step.tau, a)
        mirror = rows.mirrored(_placed(rows, a))
        far_back = torch.zeros_like(back).view(-1)
        far_back[mirror.target] = _far(mirror, step, precision, mirror.prefix())[1]
        back += far_back.view_as(back).flip(1)
        back.view(-1)[rows.target] -= a * slope
        return back

    return Ranked(rank, hrank, pullback)


def _exact_hrank(rows: Rows, table: Tensor, count: Tensor, equal: Tensor) -> Tensor:
    """sum of min(rel_i, rel_j) over the items j with s_j >= s_i, the target itself among them -> (M,)."""
    width = rows.y.shape[1] + 1
    own, first = table[rows.row, rows.level], rows.row * rows.groups * width + equal
    total, before = torch.zeros_like(own), count[first]
    for level in range(1, rows.groups + 1):
        upto = count[first + level * width] if level < rows.groups else equal
        total += torch.minimum(own, table[rows.row, level]) * (upto - before)
        before = upto
    return total


def _placed(rows: Rows, values: Tensor) -> Tensor:
    """Values (M,) of the targets at their places, 0 elsewhere -> (R, N)."""
    return rows.y.new_zeros(rows.y.numel()).index_copy_(0, rows.target, values).view_as(rows.y)


def _far(rows: Rows, step: SupRank, precision: Precision, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the sources more than delta better add to the sum over all sigmoids, and to the slopes -> (M,), (M,).

    Third, how many sources are better by at most delta. count: rows.prefix().
    """
    beyond = rows.before(-step.delta, ties=False)
    above = rows.pick(count, beyond)
    middle = rows.pick(count, rows.before(0.0, ties=False)) - above
    excess = above * (rows.own - step.delta) - rows.pick(rows.prefix(rows.y), beyond)
    value = step.rho * excess + (step.joint - 1.0) * above
    slope = step.rho * above
    for n in range(1, _terms(step, precision) + 1):
        tail = _tail(rows, n / step.tau, beyond)
        sign = -1.0 if n % 2 else 1.0
        value.sub_(tail, alpha=sign)
        slope.add_(tail, alpha=sign * n / step.tau)
    return value, slope, middle


def _terms(step: SupRank, precision: Precision) -> int:
    """Terms of the series after the leading 1 that leave out less than the precision, in value and derivative."""
    ratio, small = step.delta / step.tau, precision.series * min(1.0, step.rho * step.tau)
    return next(n for n in range(1000) if (n + 1) * math.exp(-(n + 1) * ratio) < small)


def _tail(rows: Rows, rate: float, beyond: Tensor) -> Tensor:
    """The sum of exp(-rate (s_j - s_i)) over the sources among the first `beyond` items -> (M,)."""
    best = rows.y[:, :1]
    sums = rows.prefix(torch.exp((rows.y - best) * rate))
    return rows.pick(sums, beyond) * torch.exp((best.view(-1)[rows.row] - rows.own) * rate)


def _sigmoid_over_sources(rows: Rows, grid: Grid, tau: float) -> tuple[Tensor, Tensor]:
    """Sum of sigmoid((s_j - s_i) / tau) and of its derivative over the sources of each target -> (M,), (M,)."""
    masses = _by_group(rows, grid)[:, :-1].cumsum(1).view(-1, grid.size)
    value, slope = grid.read(grid.convolved(masses, _kernels(grid, tau)), rows.slot, rows.target)
    return value, slope


def _sigmoid_adjoint(rows: Rows, grid: Grid, tau: float, weight: Tensor) -> Tensor:
    """For each item j, the sum of weight_i (M,) times the derivative over the targets i it is a source of -> (R, N)."""
    masses = grid.spread(len(rows.y) * rows.groups, rows.slot, rows.target, weight)
    masses = masses.view(len(rows.y), rows.groups, -1).flip(1).cumsum(1).flip(1).reshape(-1, grid.size)
    flat = rows.group.reshape(-1)
    at = flat.lt(rows.groups).nonzero()[:, 0]
    slot = torch.div(at, rows.y.shape[1], rounding_mode="floor") * rows.groups + flat[at]
    (found,) = grid.read(grid.convolved(masses, _kernels(grid, tau)[1:]), slot, at)
    return rows.y.new_zeros(rows.y.numel()).index_copy_(0, at, found).view_as(rows.y)


def _by_group(rows: Rows, grid: Grid) -> Tensor:
    """All items on the grid, a row of nodes for each (row, group) -> (R, G + 1, size)."""
    masses = grid.spread(len(rows.y) * (rows.groups + 1), _slot_of_group(rows))
    return masses.view(len(rows.y), rows.groups + 1, grid.size)


def _slot_of_group(rows: Rows) -> Tensor:
    """The number of each item's (row, group) -> (R * N,)."""
    first = torch.arange(len(rows.y), device=rows.y.device)[:, None] * (rows.groups + 1)
    return (first + rows.group).view(-1)


def _kernels(grid: Grid, tau: float) -> tuple[Tensor, Tensor]:
    """sigmoid and its derivative at the distances of the grid."""
    sigmoid = torch.sigmoid(grid.lags() / tau)
    return sigmoid, sigmoid * (1.0 - sigmoid) / tau


def _smooth(rows: Rows, table: Tensor | None, tau: float, precision: Precision) -> Ranked:
    """Smooth: the sigmoid over all other items, in both sums, group by group."""
    grid = Grid(rows.y, tau, precision)
    masses = _by_group(rows, grid).view(-1, grid.size)
    fields = grid.convolved(masses, _kernels(grid, tau))
    gains = [_shared_gain(rows, table, group) for group in range(rows.groups + 1)]
    own = torch.zeros_like(rows.own) if table is None else table[rows.row, rows.level]
    # The target itself is among the items, with 1/2, where the formulas have 1 and rel_i for it.
    rank, hrank = torch.full_like(own, 0.5), 0.5 * own
    slope, hslope = torch.zeros_like(own), torch.zeros_like(own)
    for group, gain in enumerate(gains):
        value, rise = grid.read(fields, rows.row * (rows.groups + 1) + group, rows.target)
        rank += value
        hrank += gain * value
        slope += rise
        hslope += gain * rise

    def pullback(a: Tensor, b: Tensor) -> Tensor:
        spread = [grid.spread(len(rows.y), rows.row, rows.target, a + b * gain) for gain in gains]
        masses = torch.stack(spread, 1).view(-1, grid.size)
        every = torch.arange(rows.y.numel(), device=rows.y.device)
        (back,) = grid.read(grid.convolved(masses, _kernels(grid, tau)[1:]), _slot_of_group(rows), every)
        back[rows.target] -= a * slope + b * hslope
        return back.view_as(rows.y)

    return Ranked(rank, hrank, pullback)


def _shared_gain(rows: Rows, table: Tensor | None, group: int) -> Tensor:
    """min(rel_i, rel_j) of each target and the items of a group -> (M,)."""
    if table is None:
        return torch.zeros_like(rows.own)
    return torch.minimum(table[rows.row, rows.level], table[rows.row, group])
