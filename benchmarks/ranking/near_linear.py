"""Ranks of whole rows without their pairs: O(N log N) a row where the formula has O(P N).

A rank loss needs, for every positive i of a query, the sum of h-(s_j - s_i) over the items j that agree less, for its
gradient the same sum of the derivative, and the adjoint of that. Each piece of h-,

    sigmoid(x/tau)            x <= 0
    start + sigmoid(x/tau)    0 < x <= delta
    rho (x - delta) + offset  x > delta

is summed by what suits it, once the row is sorted from best to worst:

    counts, and the linear part     prefix sums, one per level of agreement
    sigmoid over all x              a sum of a smooth kernel: hgld.benchmarks.ranking.kernel_grid
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

from hgld.benchmarks.ranking.kernel_grid import DOUBLE, SINGLE, Grid, Places, Precision
from hgld.benchmarks.ranking.surrogates import Smooth, SupRank, Surrogate

WIDEST = (
    20_000.0  # taus between the best and the worst score; a grid of three steps a tau is then 0.5 MB a row
)
TALLEST = 690.0  # exp of more than this leaves float64


class Ranked(NamedTuple):
    """Ranks of the targets of sorted rows, and how to pull a gradient back to the scores of the rows.

    rank, hrank (M,) float64; pullback(a, b) with the gradients of rank and hrank (M,) -> (R, N) float64, of s.
    """

    rank: Tensor
    hrank: Tensor
    pullback: Callable[[Tensor, Tensor], Tensor]


class Rows:
    """Sorted rows: y (R, N) float64 ascending, group (R, N) int64 in 0 .. groups.

    The targets are the items of a group above 0, and the sources of a target those of its row in a *smaller* group.
    """

    def __init__(self, y: Tensor, group: Tensor, groups: int) -> None:
        self.y, self.group, self.groups = y, group, groups
        flat = group.view(-1)
        self.target = flat.gt(0).nonzero()[:, 0]
        self.row = torch.div(self.target, y.shape[1], rounding_mode="floor")
        self.own = y.view(-1).gather(0, self.target)
        self.level = flat.gather(0, self.target)
        self.sums = Sums(y, group, groups, None)
        self.slot = self.row * groups + self.level - 1

    def ties(self) -> tuple[Tensor, Tensor]:
        """For each target, how many items of its row are better, and how many at least as good -> (M,), (M,)."""
        new = torch.ones_like(self.y, dtype=torch.bool)
        torch.ne(self.y[:, 1:], self.y[:, :-1], out=new[:, 1:])
        run = new.view(-1).cumsum(0).gather(0, self.target)
        first = torch.nn.functional.pad(new.view(-1).nonzero()[:, 0], (0, 1), value=self.y.numel())
        start = self.row * self.y.shape[1]
        return first.gather(0, run - 1) - start, first.gather(0, run) - start


class Sums:
    """Running sums over sorted rows, for each group over the items of smaller groups, each with its weight (R, N)."""

    def __init__(self, y: Tensor, group: Tensor, groups: int, weight: Tensor | None) -> None:
        self.y, self.groups = y, groups
        levels = torch.arange(1, groups + 1, dtype=y.dtype, device=y.device)
        self.source = (levels[:, None] - group.to(y.dtype)[:, None, :]).clamp_(0.0, 1.0)
        if weight is not None:
            self.source *= weight[:, None, :]

    def over(self, values: Tensor | None = None) -> Tensor:
        """Sums of the weights times `values` (R, N), from the best item down -> (R * G * (N + 1),), first a 0."""
        rows, items = self.y.shape
        sums = self.y.new_empty(rows, self.groups, items + 1)
        sums[..., 0] = 0.0
        torch.cumsum(
            self.source if values is None else self.source * values[:, None, :], 2, out=sums[..., 1:]
        )
        return sums.view(-1)

    def place(self, slot: Tensor, count: Tensor) -> Tensor:
        """Where `over` keeps the sum of the first `count` items for slot = row * groups + group - 1 -> (M,)."""
        return slot * (self.y.shape[1] + 1) + count

    def tail(self, rate: float, at: Tensor, row: Tensor, own: Tensor) -> Tensor:
        """The sum of exp(-rate (own - y_j)) over the items before the places `at` (M,), own (M,) in row (M,)."""
        best = self.y[:, :1]
        sums = self.over(torch.exp((self.y - best) * rate))
        return sums.gather(0, at) * torch.exp((best.view(-1).gather(0, row) - own) * rate)


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
    places = grid.places(rows.target)
    count = rows.sums.over()
    better, equal = rows.ties()
    value, slope = _sigmoid_over_sources(rows, grid, places, step.tau)
    beyond = torch.searchsorted(rows.y, rows.y - step.delta)
    far, far_slope, above = _far(rows, step, precision, count, beyond)
    middle = count.gather(0, rows.sums.place(rows.slot, better)) - above
    lower = count.gather(0, rows.sums.place(rows.slot, equal))
    rank = equal - lower + value + far + step.start * middle
    slope = slope + far_slope
    hrank = rank if table is None else _exact_hrank(rows, table, count, equal)

    def pullback(a: Tensor, b: Tensor) -> Tensor:
        back = _sigmoid_adjoint(rows, grid, places, step.tau, a)
        back += _far_adjoint(rows, step, precision, a, beyond)
        back.view(-1).scatter_add_(0, rows.target, -a * slope)
        return back

    return Ranked(rank, hrank, pullback)


def _exact_hrank(rows: Rows, table: Tensor, count: Tensor, equal: Tensor) -> Tensor:
    """Sum of min(rel_i, rel_j) over the items j with s_j >= s_i, the target itself among them -> (M,)."""
    own = _of_level(rows, table, rows.level)
    total, before = torch.zeros_like(own), torch.zeros_like(own)
    for level in range(rows.groups + 1):
        upto = equal
        if level < rows.groups:
            upto = count.gather(0, rows.sums.place(rows.row * rows.groups + level, equal))
        if level > 0:
            total += torch.minimum(own, _of_level(rows, table, level)) * (upto - before)
        before = upto
    return total


def _of_level(rows: Rows, table: Tensor, level: Tensor | int) -> Tensor:
    """The relevance of a level to the query of each target: table (R, G + 1) -> (M,)."""
    return table.reshape(-1).gather(0, rows.row * table.shape[1] + level)


def _far(
    rows: Rows, step: SupRank, precision: Precision, count: Tensor, beyond: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What the sources more than delta better add to the sum over all sigmoids, and to the slopes -> (M,), (M,).

    Third, how many they are. count: rows.sums.over(); beyond (R, N): how many items of the row are more than delta
    better.
    """
    at = rows.sums.place(rows.slot, beyond.view(-1).gather(0, rows.target))
    above = count.gather(0, at)
    value = step.rho * (above * (rows.own - step.delta) - rows.sums.over(rows.y).gather(0, at))
    value += (step.joint - 1.0) * above
    slope = step.rho * above
    for n in range(1, _terms(step, precision) + 1):
        tail = rows.sums.tail(n / step.tau, at, rows.row, rows.own)
        sign = -1.0 if n % 2 else 1.0
        value.sub_(tail, alpha=sign)
        slope.add_(tail, alpha=sign * n / step.tau)
    return value, slope, above


def _far_adjoint(rows: Rows, step: SupRank, precision: Precision, weight: Tensor, beyond: Tensor) -> Tensor:
    """For each item j, the sum of weight_i times `_far`'s slope of (i, j) over the targets i of which j is a source.

    Seen from below (scores negated, groups counted from the other end) sources and targets change places. weight (M,),
    beyond (R, N) as for `_far` -> (R, N).
    """
    (count, items), groups = rows.y.shape, rows.groups
    y = -rows.y.flip(1)
    placed = torch.zeros_like(rows.y)
    placed.view(-1).scatter_(0, rows.target, weight)
    group = groups - rows.group.flip(1)
    sums = Sums(y, group, groups, placed.flip(1))
    row = torch.arange(count, device=y.device)[:, None].expand(count, items)
    at = sums.place(row * groups + (group - 1).clamp(min=0), _worse(beyond).flip(1)).view(-1)
    row, own = row.reshape(-1), y.view(-1)
    slope = step.rho * sums.over().gather(0, at)
    for n in range(1, _terms(step, precision) + 1):
        sign = -1.0 if n % 2 else 1.0
        slope.add_(sums.tail(n / step.tau, at, row, own), alpha=sign * n / step.tau)
    return slope.view_as(y).mul_(group.clamp(max=1)).flip(1)


def _worse(beyond: Tensor) -> Tensor:
    """For each item, of how many it is one of the first `beyond` of its row: (R, N) -> (R, N).

    >>> _worse(torch.tensor([[0, 0, 1, 3]]))
    tensor([[2, 1, 1, 0]])
    """
    count, items = beyond.shape
    upto = beyond.new_zeros(count, items + 1).scatter_add_(1, beyond, torch.ones_like(beyond)).cumsum(1)
    return items - upto[:, :items]


def _terms(step: SupRank, precision: Precision) -> int:
    """Terms of the series after the leading 1 that leave out less than the precision, in value and derivative."""
    ratio, small = step.delta / step.tau, precision.series * min(1.0, step.rho * step.tau)
    return next(n for n in range(1000) if (n + 1) * math.exp(-(n + 1) * ratio) < small)


def _sigmoid_over_sources(rows: Rows, grid: Grid, places: Places, tau: float) -> tuple[Tensor, Tensor]:
    """Sum of sigmoid((s_j - s_i) / tau) and of its derivative over the sources of each target -> (M,), (M,)."""
    masses = _by_group(rows, grid)[:, :-1].cumsum(1).view(-1, grid.size)
    value, slope = grid.read(grid.convolved(masses, _kernels(grid, tau)), rows.slot, places)
    return value, slope


def _sigmoid_adjoint(rows: Rows, grid: Grid, places: Places, tau: float, weight: Tensor) -> Tensor:
    """For each item j, the sum of weight_i (M,) times the derivative over the targets i it is a source of -> (R, N)."""
    count, groups = len(rows.y), rows.groups
    masses = grid.spread(count * groups, rows.slot, places, weight).view(count, groups, -1)
    masses = masses.flip(1).cumsum(1).flip(1).reshape(-1, grid.size)
    (field,) = grid.convolved(masses, _kernels(grid, tau)[1:])
    # The deepest group is a source of nothing: a field of noughts.
    field = torch.nn.functional.pad(field.reshape(count, groups, -1), (0, 0, 0, 1))
    (back,) = grid.read([field], _slot_of_group(rows), grid.every)
    return back.view_as(rows.y)


def _by_group(rows: Rows, grid: Grid) -> Tensor:
    """All items on the grid, a row of nodes for each (row, group) -> (R, G + 1, size)."""
    masses = grid.spread(len(rows.y) * (rows.groups + 1), _slot_of_group(rows), grid.every)
    return masses.view(len(rows.y), rows.groups + 1, grid.size)


def _slot_of_group(rows: Rows) -> Tensor:
    """The number of each item's (row, group) -> (R * N,)."""
    first = torch.arange(len(rows.y), device=rows.y.device)[:, None] * (rows.groups + 1)
    return (first + rows.group).view(-1)


def _kernels(grid: Grid, tau: float) -> tuple[Tensor, Tensor]:
    """Sigmoid and its derivative at the distances of the grid."""
    sigmoid = torch.sigmoid(grid.lags() / tau)
    return sigmoid, sigmoid * (1.0 - sigmoid) / tau


def _smooth(rows: Rows, table: Tensor | None, tau: float, precision: Precision) -> Ranked:
    """Smooth: the sigmoid over all other items, in both sums, group by group."""
    grid = Grid(rows.y, tau, precision)
    places = grid.places(rows.target)
    fields = grid.convolved(_by_group(rows, grid).view(-1, grid.size), _kernels(grid, tau))
    own = torch.zeros_like(rows.own) if table is None else _of_level(rows, table, rows.level)
    gains = [
        own if table is None else torch.minimum(own, _of_level(rows, table, group))
        for group in range(rows.groups + 1)
    ]
    # The target itself is among the items, with 1/2, where the formulas have 1 and rel_i for it.
    rank, hrank = torch.full_like(own, 0.5), 0.5 * own
    slope, hslope = torch.zeros_like(own), torch.zeros_like(own)
    for group, gain in enumerate(gains):
        value, rise = grid.read(fields, rows.row * (rows.groups + 1) + group, places)
        rank += value
        hrank += gain * value
        slope += rise
        hslope += gain * rise

    def pullback(a: Tensor, b: Tensor) -> Tensor:
        spread = [grid.spread(len(rows.y), rows.row, places, a + b * gain) for gain in gains]
        masses = torch.stack(spread, 1).view(-1, grid.size)
        field = grid.convolved(masses, _kernels(grid, tau)[1:])
        (back,) = grid.read(field, _slot_of_group(rows), grid.every)
        back.scatter_add_(0, rows.target, -(a * slope + b * hslope))
        return back.view_as(rows.y)

    return Ranked(rank, hrank, pullback)
