"""The near-linear sums against the pairs in float64: the bound of docs/near_linear.md, on difficult scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.ranking import rank_score, surrogates
from hgld.benchmarks.ranking.kernel_grid import DOUBLE, GAP, SINGLE, Grid, lagrange_weights
from hgld.benchmarks.ranking.near_linear import applies
from hgld.benchmarks.ranking.rank_score import force
from hgld.benchmarks.ranking.surrogates import SUPRANK_SETTINGS, Smooth, SupHRankSettings, SupRank
from tests.benchmarks.exact_ranks import Exact
from tests.benchmarks.losses.examples import RANKED, batch, with_scores

SETTINGS: list[dict[str, Any]] = [
    *map(asdict, SUPRANK_SETTINGS.values()),
    {"tau": 0.02, "delta": 0.04, "rho": 7.0},
    {"tau": 0.1, "delta": 0.5},
]
N, D = 300, 0.05


def choose(values: list[float], u: Tensor) -> Tensor:
    """Scores out of a few values."""
    return torch.tensor(values, dtype=torch.float64)[(u * len(values)).long()]


# u (N,) uniform in [0, 1) -> scores
DIFFICULT: dict[str, Callable[[Tensor], Tensor]] = {
    "all equal": lambda u: torch.full_like(u, 0.3),
    "all zero": torch.zeros_like,
    "two clusters delta apart": lambda u: choose([0.2, 0.2 + D], u),
    "clusters near delta apart": lambda u: choose([0.2, 0.2 + D * 0.999, 0.2 + D * 1.001], u),
    "exact ties": lambda u: choose([-0.1, 0.0, 0.01, 0.02, 0.5], u),
    "at the ends": lambda u: choose([-1.0, 1.0], u),
    "tiny spread": lambda u: 0.7 + 1e-6 * u,
    "wide": lambda u: 2 * u - 1,
    "bell": lambda u: torch.special.ndtri(u.clamp(1e-3, 0.999)) * 0.05,
    "one far ahead": lambda u: torch.where(u == u.amax(), 1.0, 0.1 * u),
}


def case(kind: str, queries: int = 3, items: int = N, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (Q, N) that float32 holds exactly, as float64, and labels; the last query has no positive."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(queries, items, generator=generator, dtype=torch.float64)
    scores = torch.stack([DIFFICULT[kind](row) for row in u]).float().double()
    fine = torch.randint(0, 40, (queries + items,), generator=generator)
    labels = torch.stack([fine, fine // 4, fine // 20], dim=1)
    labels[queries - 1] = 99
    return scores, labels[:queries], labels[queries:]


def run(name: str, method: str, scores: Tensor, labels: Tensor, others: Tensor, **given_: Any) -> tuple[Tensor, Tensor]:
    """Values (Q,) and the gradient of their sum in the scores, both float64."""
    leaf = scores.clone().requires_grad_()
    with force(method):
        queries, items = with_scores(leaf)
        value = LOSSES[name](reduction="none", **given_)(queries, labels, items, others)
        (gradient,) = torch.autograd.grad(value.nansum(), leaf)
    return value.detach().double(), gradient.double()


def check_bound(name: str, scores: Tensor, labels: Tensor, others: Tensor, dtype: torch.dtype, **given_: Any) -> None:
    """1e-5 of the loss and 1e-4 of the gradient in float32; 1e-9 in float64."""
    small, steep = (1e-5, 1e-4) if dtype == torch.float32 else (1e-9, 1e-9)
    value, gradient = run(name, "pairs", scores, labels, others, **given_)
    found, back = run(name, "near_linear", scores.to(dtype), labels, others, **given_)
    torch.testing.assert_close(found, value, rtol=small, atol=small * 1e-2, equal_nan=True)
    # A gradient that cancels to zero is compared with the terms that cancel, whose size is about 1e-3.
    assert float((back - gradient).norm()) <= steep * max(float(gradient.norm()), 1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", DIFFICULT)
@pytest.mark.parametrize("name", RANKED)
def test_the_bound_holds_on_difficult_scores(name: str, kind: str, dtype: torch.dtype) -> None:
    check_bound(name, *case(kind), dtype)


@pytest.mark.parametrize("given_", SETTINGS, ids=str)
@pytest.mark.parametrize("name", ["sup_ap", "sup_hap"])
def test_the_bound_holds_for_every_setting(name: str, given_: dict[str, Any]) -> None:
    for kind in ("bell", "wide", "exact ties"):
        check_bound(name, *case(kind), torch.float32, **given_)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(RANKED),
    kind=st.sampled_from(sorted(DIFFICULT)),
    items=st.integers(1, 80),
    queries=st.integers(2, 5),
    seed=st.integers(0, 10_000),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_bound_holds_on_random_problems(
    name: str, kind: str, items: int, queries: int, seed: int, dtype: torch.dtype
) -> None:
    check_bound(name, *case(kind, queries, items, seed), dtype)


@pytest.mark.parametrize("name", RANKED)
@pytest.mark.parametrize("method", ["pairs", "near_linear"])
def test_the_order_of_the_items_changes_nothing(name: str, method: str) -> None:
    scores, labels, others = case("exact ties")
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    value, gradient = run(name, method, scores, labels, others)
    moved, back = run(name, method, scores[:, order], labels, others[order])
    torch.testing.assert_close(moved, value, rtol=1e-12, atol=1e-12, equal_nan=True)
    torch.testing.assert_close(back, gradient[:, order], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", RANKED)
@pytest.mark.parametrize("method", ["pairs", "near_linear"])
def test_block_sizes_and_threads_change_nothing(name: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels, others = case("bell", queries=7)
    whole = run(name, method, scores, labels, others)
    monkeypatch.setattr(rank_score, "ITEMS", 2 * N)
    monkeypatch.setattr(surrogates, "BLOCK", 5 * N)  # fewer pairs than one query has
    for ours, theirs in zip(run(name, method, scores, labels, others), whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("name", RANKED)
def test_gradients_of_both_sides_equal_those_of_the_pairs(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    sides = [
        torch.nn.functional.normalize(torch.randn(n, 16, generator=generator, dtype=torch.float64), dim=1)
        for n in (6, 90)
    ]
    labels = [torch.stack([torch.arange(len(side)) % 9 // 3**c for c in range(3)], dim=1) for side in sides]
    found = []
    for method in ("pairs", "near_linear"):
        leaves = [side.clone().requires_grad_() for side in sides]
        with force(method):
            value = LOSSES[name]()(leaves[0], labels[0], leaves[1], labels[1])
        found.append([value.detach(), *torch.autograd.grad(value, leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-9)


def test_the_sums_are_used_for_long_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    for method in ("_score_by_pairs", "_score_by_sums"):
        real = getattr(rank_score, method)
        monkeypatch.setattr(
            rank_score, method, lambda *given, real=real, method=method: used.append(method) or real(*given)
        )
    for items in (20, 2000):
        scores, labels, others = case("bell", items=items)
        run("sup_hap", "", scores.float(), labels, others)
    assert list(dict.fromkeys(used)) == ["_score_by_pairs", "_score_by_sums"]


@pytest.mark.parametrize(
    ("surrogate", "spread", "expected"),
    [
        (SupRank(), 2.0, True),
        (SupRank(delta=0.015), 2.0, False),  # the series would not converge
        (SupRank(h_plus=SupHRankSettings()), 2.0, False),  # h+ has no sums
        (SupRank(tau=1e-7), 2.0, False),  # the grid would not fit
        (SupRank(tau=1e-3, delta=5e-3), 2.0, False),  # exponentials beyond float64
        (SupRank(), float("nan"), False),
        (Smooth(), 2.0, True),
        (Smooth(tau=1e-6), 2.0, False),
        (Exact(), 2.0, False),
    ],
)
def test_the_sums_apply_only_where_they_are_accurate(surrogate: Any, spread: float, expected: bool) -> None:
    assert applies(surrogate, spread, SINGLE) is expected


def test_nan_embeddings_give_nan_and_no_error() -> None:
    scores, labels, others = case("bell", items=2000)
    scores[0, 5] = torch.nan
    value, _ = run("sup_hap", "", scores.float(), labels, others)
    assert value[0].isnan()
    assert value[1].isfinite()


def test_without_a_gradient_none_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels, others = case("bell")
    monkeypatch.setattr(rank_score, "_pull_back", lambda *_: pytest.fail("a gradient was computed"))
    with torch.no_grad():
        queries, items = with_scores(scores)
        assert LOSSES["sup_hap"]()(queries, labels, items, others).isfinite()


@pytest.mark.parametrize("precision", [SINGLE, DOUBLE])
def test_the_error_of_the_grid_is_as_stated(precision: Any) -> None:
    """Sources at many positions of a grid step, targets at all distances: the largest error of the sigmoid."""
    tau = 0.01
    y = torch.cat([torch.zeros(1), torch.linspace(0, tau, 101), torch.linspace(0, 0.4, 400)]).double()
    y = y.sort().values[None]
    grid = Grid(y, tau, precision)
    stencil, slot = grid.all_points, torch.zeros(y.numel(), dtype=torch.long)
    kernel = torch.sigmoid(grid.lags() / tau)
    worst = 0.0
    for source in range(50, 60):
        mass = torch.zeros(y.numel(), dtype=torch.float64)
        mass[source] = 1.0
        (found,) = grid.interpolate(grid.convolve(grid.spread(1, slot, stencil, mass), [kernel]), slot, stencil)
        worst = max(worst, float((found - torch.sigmoid((y[0] - y[0, source]) / tau)).abs().max()))
    assert worst < (4e-6 if precision is SINGLE else 2e-11)


def test_a_wide_gap_takes_no_nodes() -> None:
    y = torch.tensor([[0.0, 0.1, 1.9], [0.0, 0.0, 0.2]]).double()
    assert Grid(y, 0.001, SINGLE).size == 2 * GAP * SINGLE.steps + SINGLE.points
    assert Grid(y[1:], 0.1, SINGLE).size == 2 * SINGLE.steps + SINGLE.points


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_descending_order_sorts_every_row(dtype: torch.dtype) -> None:
    scores = torch.randn(5, 37, generator=torch.Generator().manual_seed(0)).to(dtype)
    scores[1] = torch.tensor([0.0, -0.0, 1.0, -1.0])[torch.arange(37) % 4].to(dtype)
    found = scores.gather(1, rank_score.descending_order(scores))
    assert torch.equal(found, scores.sort(dim=1, descending=True).values)


def test_lagrange_weights_reproduce_polynomials() -> None:
    fraction = torch.linspace(0, 1, 11, dtype=torch.float64)
    for points in (4, 8):
        weights = lagrange_weights(fraction, points)
        node = [k - (points // 2 - 1) for k in range(points)]
        for power in range(points):
            found = sum(w * float(k) ** power for w, k in zip(weights, node, strict=True))
            torch.testing.assert_close(found, fraction**power, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", RANKED)
def test_pairs_and_sums_agree_on_classes_of_unequal_size(name: str) -> None:
    """The published code has a second path for such batches, which returns NaN."""
    inputs = *batch(7), *batch(50, seed=1)
    values = []
    for method in ("pairs", "near_linear"):
        with force(method):
            leaf = inputs[0].clone().requires_grad_()
            value = LOSSES[name]()(leaf, *inputs[1:])
            values.append((value.detach(), torch.autograd.grad(value, leaf)[0]))
    torch.testing.assert_close(values[0][0], values[1][0], atol=1e-5, rtol=0)
    scale = float(values[0][1].abs().max())
    torch.testing.assert_close(values[0][1], values[1][1], atol=1e-4 * scale, rtol=0)
