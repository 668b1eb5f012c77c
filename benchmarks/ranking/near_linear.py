"""Surrogate ranks of whole rows without their pairs: O(N log N) per row instead of O(P N).

A rank loss needs, for every positive i of a query, the sum of h-(s_j - s_i) over the items j that agree less; for its
gradient the same sum of the derivative, and the adjoint of that. Each piece of h-,

    sigmoid(x/tau)            x <= 0
    start + sigmoid(x/tau)    0 < x <= delta
    rho (x - delta) + offset  x > delta

has its own fast sum, once the row is sorted from best to worst:

    counts, and the linear part     prefix sums, one per agreement
    sigmoid over all x              a kernel sum on a grid: hgld.benchmarks.ranking.kernel_grid
    sigmoid over x > delta,         1 - exp(-x/tau) + exp(-2x/tau) - ... ; each term a prefix sum of exp(-n s_j / tau)
    to be subtracted                times exp(n s_i / tau). From the best item down the terms only grow: no cancellation

Rows are given as y = -s ascending, so that x = y_i - y_j and "better" means "earlier". A group is the items of one
agreement, 0 .. G. docs/near_linear.md shows the errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hgld.benchmarks.ranking.kernel_grid import DOUBLE, SINGLE, Grid, Precision, Stencil
from hgld.benchmarks.ranking.surrogates import Smooth, SupRank, Surrogate

# In taus, between the best and the worst score: with three grid steps per tau a row of the grid is then 0.5 MB.
MAX_SPREAD = 20_000.0
MAX_EXPONENT = 690.0  # exp of more overflows float64


class TargetRanks(NamedTuple):
    """Ranks of the targets of sorted rows, and their vector-Jacobian product.

    rank, hrank (M,) float64; pullback(a, b), a and b (M,) the gradients in rank and hrank -> the gradient in the scores
    s of the rows, (R, N) float64.
    """

    rank: Tensor
    hrank: Tensor
    pullback: Callable[[Tensor, Tensor], Tensor]


class Rows:
    """Sorted rows: y (R, N) float64 ascending, group (R, N) int64 in 0 .. groups.

    The targets are the M items of a group above 0; the sources of a target are the items of its row in a *smaller*
    group.
    """

    def __init__(self, y: Tensor, group: Tensor, groups: int) -> None:
        self.y, self.group, self.groups = y, group, groups
        flat = group.view(-1)
        self.target = flat.gt(0).nonzero()[:, 0]
        self.row = torch.div(self.target, y.shape[1], rounding_mode="floor")
        self.own = y.view(-1).gather(0, self.target)
        self.target_group = flat.gather(0, self.target)
        self.sums = Sums(y, group, groups, None)
        self.slot = self.row * groups + self.target_group - 1

    def counts_ahead(self) -> tuple[Tensor, Tensor]:
        """Number of items of the target's row that are better, and that are at least as good -> (M,), (M,)."""
        new = torch.ones_like(self.y, dtype=torch.bool)
        torch.ne(self.y[:, 1:], self.y[:, :-1], out=new[:, 1:])
        run = new.view(-1).cumsum(0).gather(0, self.target)
        first = torch.nn.functional.pad(new.view(-1).nonzero()[:, 0], (0, 1), value=self.y.numel())
        start = self.row * self.y.shape[1]
        return first.gather(0, run - 1) - start, first.gather(0, run) - start


class Sums:
    """Prefix sums over sorted rows: for each group over the items of smaller groups, weighted by `weight` (R, N)."""

    def __init__(self, y: Tensor, group: Tensor, groups: int, weight: Tensor | None) -> None:
        self.y, self.groups = y, groups
        levels = torch.arange(1, groups + 1, dtype=y.dtype, device=y.device)
        self.source = (levels[:, None] - group.to(y.dtype)[:, None, :]).clamp_(0.0, 1.0)
        if weight is not None:
            self.source *= weight[:, None, :]

    def over(self, values: Tensor | None = None) -> Tensor:
        """Prefix sums of weight times `values` (R, N), by default 1, each after a leading 0 -> (R * G * (N + 1),)."""
        rows, items = self.y.shape
        sums = self.y.new_empty(rows, self.groups, items + 1)
        sums[..., 0] = 0.0
        torch.cumsum(self.source if values is None else self.source * values[:, None, :], 2, out=sums[..., 1:])
        return sums.view(-1)

    def index(self, slot: Tensor, count: Tensor) -> Tensor:
        """Index in `over` of the sum of the first `count` items for slot = row * groups + group - 1 -> (M,)."""
        return slot * (self.y.shape[1] + 1) + count

    def tail(self, rate: float, index: Tensor, row: Tensor, own: Tensor) -> Tensor:
        """Sum of exp(-rate (own - y_j)) over the items up to `index` (see the method), own (M,) in row (M,) -> (M,)."""
        best = self.y[:, :1]
        sums = self.over(torch.exp((self.y - best) * rate))
        return sums.gather(0, index) * torch.exp((best.view(-1).gather(0, row) - own) * rate)


def precision_of(scores: Tensor) -> Precision:
    """The precision that the dtype of the scores can represent."""
    return DOUBLE if scores.dtype == torch.float64 else SINGLE


def applies(surrogate: Surrogate, spread: float, precision: Precision) -> bool:
    """Whether the sums support the surrogate for scores with `spread` = max - min; False for NaN."""
    if isinstance(surrogate, Smooth):
        return spread <= MAX_SPREAD * surrogate.tau
    if not isinstance(surrogate, SupRank) or surrogate.h_plus is not None or surrogate.delta < 2 * surrogate.tau:
        return False  # below two tau the series for x > delta converges slowly
    max_spread = min(MAX_SPREAD, MAX_EXPONENT / max(1, _terms(surrogate, precision)))
    return spread <= max_spread * surrogate.tau


def target_ranks(rows: Rows, table: Tensor | None, surrogate: Surrogate, precision: Precision) -> TargetRanks:
    """Surrogate ranks of the targets. table (R, G + 1): the relevance of each group, None if no Hrank is needed."""
    if isinstance(surrogate, Smooth):
        return _smooth(rows, table, surrogate.tau, precision)
    if isinstance(surrogate, SupRank):
        return _sup(rows, table, surrogate, precision)
    raise TypeError(f"no near-linear sums for {surrogate}")


def _sup(rows: Rows, table: Tensor | None, step: SupRank, precision: Precision) -> TargetRanks:
    """SupRank: h- over the sources, the exact count over the other items; the exact Hrank."""
    grid = Grid(rows.y, step.tau, precision)
    stencil = grid.stencil(rows.target)
    count = rows.sums.over()
    better, equal = rows.counts_ahead()
    value, slope = _sigmoid_over_sources(rows, grid, stencil, step.tau)
    beyond = torch.searchsorted(rows.y, rows.y - step.delta)
    far, far_slope, above = _far(rows, step, precision, count, beyond)
    middle = count.gather(0, rows.sums.index(rows.slot, better)) - above
    lower = count.gather(0, rows.sums.index(rows.slot, equal))
    rank = equal - lower + value + far + step.start * middle
    slope = slope + far_slope
    hrank = rank if table is None else _exact_hrank(rows, table, count, equal)

    def pullback(a: Tensor, b: Tensor) -> Tensor:
        back = _sigmoid_adjoint(rows, grid, stencil, step.tau, a)
        back += _far_adjoint(rows, step, precision, a, beyond)
        back.view(-1).scatter_add_(0, rows.target, -a * slope)
        return back

    return TargetRanks(rank, hrank, pullback)


def _exact_hrank(rows: Rows, table: Tensor, count: Tensor, equal: Tensor) -> Tensor:
    """Sum of min(rel_i, rel_j) over the items j with s_j >= s_i, the target itself among them -> (M,)."""
    own = _relevance(rows, table, rows.target_group)
    total, before = torch.zeros_like(own), torch.zeros_like(own)
    for group in range(rows.groups + 1):
        up_to = equal
        if group < rows.groups:
            up_to = count.gather(0, rows.sums.index(rows.row * rows.groups + group, equal))
        if group > 0:
            total += torch.minimum(own, _relevance(rows, table, group)) * (up_to - before)
        before = up_to
    return total


def _relevance(rows: Rows, table: Tensor, group: Tensor | int) -> Tensor:
    """The relevance of a group to the query of each target: table (R, G + 1) -> (M,)."""
    return table.reshape(-1).gather(0, rows.row * table.shape[1] + group)


def _far(
    rows: Rows, step: SupRank, precision: Precision, count: Tensor, beyond: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Contribution of the sources that are more than delta better, besides the sum over all sigmoids.

    count: rows.sums.over(); beyond (R, N): number of items of the row that are more than delta better. -> value and
    slope to add, and the number of these sources, each (M,).
    """
    index = rows.sums.index(rows.slot, beyond.view(-1).gather(0, rows.target))
    above = count.gather(0, index)
    value = step.rho * (above * (rows.own - step.delta) - rows.sums.over(rows.y).gather(0, index))
    value += (step.linear_start - 1.0) * above
    slope = step.rho * above
    for n in range(1, _terms(step, precision) + 1):
        tail = rows.sums.tail(n / step.tau, index, rows.row, rows.own)
        sign = -1.0 if n % 2 else 1.0
        value.sub_(tail, alpha=sign)
        slope.add_(tail, alpha=sign * n / step.tau)
    return value, slope, above


def _far_adjoint(rows: Rows, step: SupRank, precision: Precision, weight: Tensor, beyond: Tensor) -> Tensor:
    """For each item j, the sum of weight_i times `_far`'s slope of (i, j) over the targets i of which j is a source.

    With scores negated and groups reversed, sources and targets swap roles. weight (M,), beyond (R, N) as for `_far`
    -> (R, N).
    """
    (count, items), groups = rows.y.shape, rows.groups
    y = -rows.y.flip(1)
    weights = torch.zeros_like(rows.y)
    weights.view(-1).scatter_(0, rows.target, weight)
    group = groups - rows.group.flip(1)
    sums = Sums(y, group, groups, weights.flip(1))
    row = torch.arange(count, device=y.device)[:, None].expand(count, items)
    index = sums.index(row * groups + (group - 1).clamp(min=0), _count_beyond(beyond).flip(1)).view(-1)
    row, own = row.reshape(-1), y.view(-1)
    slope = step.rho * sums.over().gather(0, index)
    for n in range(1, _terms(step, precision) + 1):
        sign = -1.0 if n % 2 else 1.0
        slope.add_(sums.tail(n / step.tau, index, row, own), alpha=sign * n / step.tau)
    return slope.view_as(y).mul_(group.clamp(max=1)).flip(1)


def _count_beyond(beyond: Tensor) -> Tensor:
    """For each item, the number of items i of its row that have it among their first beyond_i: (R, N) -> (R, N).

    >>> _count_beyond(torch.tensor([[0, 0, 1, 3]]))
    tensor([[2, 1, 1, 0]])
    """
    count, items = beyond.shape
    up_to = beyond.new_zeros(count, items + 1).scatter_add_(1, beyond, torch.ones_like(beyond)).cumsum(1)
    return items - up_to[:, :items]


def _terms(step: SupRank, precision: Precision) -> int:
    """Number of terms after the leading 1 whose remainder, in value and derivative, is below the precision."""
    ratio, small = step.delta / step.tau, precision.series * min(1.0, step.rho * step.tau)
    return next(n for n in range(1000) if (n + 1) * math.exp(-(n + 1) * ratio) < small)


def _sigmoid_over_sources(rows: Rows, grid: Grid, stencil: Stencil, tau: float) -> tuple[Tensor, Tensor]:
    """Sum of sigmoid((s_j - s_i) / tau) and of its derivative over the sources of each target -> (M,), (M,)."""
    masses = _group_masses(rows, grid)[:, :-1].cumsum(1).view(-1, grid.size)
    value, slope = grid.interpolate(grid.convolve(masses, _kernels(grid, tau)), rows.slot, stencil)
    return value, slope


def _sigmoid_adjoint(rows: Rows, grid: Grid, stencil: Stencil, tau: float, weight: Tensor) -> Tensor:
    """For each item j, the sum of weight_i (M,) times the derivative over the targets i it is a source of -> (R, N)."""
    count, groups = len(rows.y), rows.groups
    masses = grid.spread(count * groups, rows.slot, stencil, weight).view(count, groups, -1)
    masses = masses.flip(1).cumsum(1).flip(1).reshape(-1, grid.size)
    (field,) = grid.convolve(masses, _kernels(grid, tau)[1:])
    # The deepest group is no source: its field is zero.
    field = torch.nn.functional.pad(field.reshape(count, groups, -1), (0, 0, 0, 1))
    (back,) = grid.interpolate([field], _group_slots(rows), grid.all_points)
    return back.view_as(rows.y)


def _group_masses(rows: Rows, grid: Grid) -> Tensor:
    """Masses of all items, a grid for each (row, group) -> (R, G + 1, size)."""
    masses = grid.spread(len(rows.y) * (rows.groups + 1), _group_slots(rows), grid.all_points)
    return masses.view(len(rows.y), rows.groups + 1, grid.size)


def _group_slots(rows: Rows) -> Tensor:
    """Slot of each item: row * (G + 1) + group -> (R * N,)."""
    first = torch.arange(len(rows.y), device=rows.y.device)[:, None] * (rows.groups + 1)
    return (first + rows.group).view(-1)


def _kernels(grid: Grid, tau: float) -> tuple[Tensor, Tensor]:
    """Sigmoid and its derivative at the lags of the grid."""
    sigmoid = torch.sigmoid(grid.lags() / tau)
    return sigmoid, sigmoid * (1.0 - sigmoid) / tau


def _smooth(rows: Rows, table: Tensor | None, tau: float, precision: Precision) -> TargetRanks:
    """Smooth: the sigmoid over all other items in both sums, summed by group."""
    grid = Grid(rows.y, tau, precision)
    stencil = grid.stencil(rows.target)
    fields = grid.convolve(_group_masses(rows, grid).view(-1, grid.size), _kernels(grid, tau))
    own = torch.zeros_like(rows.own) if table is None else _relevance(rows, table, rows.target_group)
    gains = [
        own if table is None else torch.minimum(own, _relevance(rows, table, group)) for group in range(rows.groups + 1)
    ]
    # The sums count the target itself with sigmoid(0) = 1/2, where the formulas have 1 and rel_i.
    rank, hrank = torch.full_like(own, 0.5), 0.5 * own
    slope, hslope = torch.zeros_like(own), torch.zeros_like(own)
    for group, gain in enumerate(gains):
        value, rise = grid.interpolate(fields, rows.row * (rows.groups + 1) + group, stencil)
        rank += value
        hrank += gain * value
        slope += rise
        hslope += gain * rise

    def pullback(a: Tensor, b: Tensor) -> Tensor:
        spread = [grid.spread(len(rows.y), rows.row, stencil, a + b * gain) for gain in gains]
        masses = torch.stack(spread, 1).view(-1, grid.size)
        field = grid.convolve(masses, _kernels(grid, tau)[1:])
        (back,) = grid.interpolate(field, _group_slots(rows), grid.all_points)
        back.scatter_add_(0, rows.target, -(a * slope + b * hslope))
        return back.view_as(rows.y)

    return TargetRanks(rank, hrank, pullback)
