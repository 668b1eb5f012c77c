"""The near-linear sums against the pairs in float64: the bound that docs/near_linear.md states, on nasty scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.ranking import rank_score as fused
from hgld.benchmarks.ranking import surrogates as ranks
from hgld.benchmarks.ranking.kernel_grid import DOUBLE, GAP, SINGLE, Grid, fft_length, lagrange
from hgld.benchmarks.ranking.near_linear import applies
from hgld.benchmarks.ranking.rank_score import force
from hgld.benchmarks.ranking.surrogates import Exact, Smooth, SupRank

RANKED = [
    "smooth_ap",
    "sup_ap",
    "smooth_hap",
    "sup_hap",
    "smooth_ndcg",
    "sup_ndcg",
    "smooth_recall",
    "sup_recall",
]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"offset": 1.44},
    {"start": 0.0, "offset": 1.0},
    {"tau": 0.02, "delta": 0.04, "rho": 7.0},
    {"tau": 0.1, "delta": 0.5},
]
N, D = 300, 0.05


def at(values: list[float], share: Tensor) -> Tensor:
    """Scores of a few values."""
    return torch.tensor(values, dtype=torch.float64)[(share * len(values)).long()]


# share (N,) uniform in [0, 1) -> scores; the names say what may go wrong.
NASTY: dict[str, Callable[[Tensor], Tensor]] = {
    "all equal": lambda share: torch.full_like(share, 0.3),
    "all nought": torch.zeros_like,
    "two clusters delta apart": lambda share: at([0.2, 0.2 + D], share),
    "clusters near delta apart": lambda share: at([0.2, 0.2 + D * 0.999, 0.2 + D * 1.001], share),
    "exact ties": lambda share: at([-0.1, 0.0, 0.01, 0.02, 0.5], share),
    "at the ends": lambda share: at([-1.0, 1.0], share),
    "tiny spread": lambda share: 0.7 + 1e-6 * share,
    "wide": lambda share: 2 * share - 1,
    "bell": lambda share: torch.special.ndtri(share.clamp(1e-3, 0.999)) * 0.05,
    "one far ahead": lambda share: torch.where(share == share.amax(), 1.0, 0.1 * share),
}


def case(kind: str, queries: int = 3, items: int = N, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (Q, N) that float32 holds exactly, as float64, and labels; the last query has no positive."""
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(queries, items, generator=generator, dtype=torch.float64)
    scores = torch.stack([NASTY[kind](row) for row in share]).float().double()
    fine = torch.randint(0, 40, (queries + items,), generator=generator)
    labels = torch.stack([fine, fine // 4, fine // 20], dim=1)
    labels[queries - 1] = 99
    return scores, labels[:queries], labels[queries:]


def run(
    name: str, way: str, scores: Tensor, labels: Tensor, others: Tensor, **given_: Any
) -> tuple[Tensor, Tensor]:
    """Values (Q,) and the gradient of their sum in the scores, both float64."""
    leaf = scores.clone().requires_grad_()
    with force(way):
        value = LOSSES[name](reduction="none", **given_)(
            leaf, labels, torch.eye(scores.shape[1], dtype=scores.dtype), others
        )
        (gradient,) = torch.autograd.grad(value.nansum(), leaf)
    return value.detach().double(), gradient.double()


def check_bound(
    name: str, scores: Tensor, labels: Tensor, others: Tensor, dtype: torch.dtype, **given_: Any
) -> None:
    """1e-5 of the loss and 1e-4 of the gradient in float32; 1e-9 in float64."""
    small, steep = (1e-5, 1e-4) if dtype == torch.float32 else (1e-9, 1e-9)
    value, gradient = run(name, "pairs", scores, labels, others, **given_)
    found, back = run(name, "near_linear", scores.to(dtype), labels, others, **given_)
    torch.testing.assert_close(found, value, rtol=small, atol=small * 1e-2, equal_nan=True)
    # A gradient that cancels to nought is held against what cancels: one pair's slope, of a rank's share of the loss.
    assert float((back - gradient).norm()) <= steep * max(float(gradient.norm()), 1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", NASTY)
@pytest.mark.parametrize("name", RANKED)
def test_the_bound_holds_on_nasty_scores(name: str, kind: str, dtype: torch.dtype) -> None:
    check_bound(name, *case(kind), dtype)


@pytest.mark.parametrize("given_", SETTINGS, ids=str)
@pytest.mark.parametrize("name", ["sup_ap", "sup_hap"])
def test_the_bound_holds_for_every_setting(name: str, given_: dict[str, Any]) -> None:
    for kind in ("bell", "wide", "exact ties"):
        check_bound(name, *case(kind), torch.float32, **given_)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(RANKED),
    kind=st.sampled_from(sorted(NASTY)),
    items=st.integers(1, 80),
    queries=st.integers(2, 5),
    seed=st.integers(0, 10_000),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_the_bound_holds_at_random(
    name: str, kind: str, items: int, queries: int, seed: int, dtype: torch.dtype
) -> None:
    check_bound(name, *case(kind, queries, items, seed), dtype)


@pytest.mark.parametrize("name", RANKED)
@pytest.mark.parametrize("way", ["pairs", "near_linear"])
def test_the_order_of_the_items_changes_nothing(name: str, way: str) -> None:
    scores, labels, others = case("exact ties")
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    value, gradient = run(name, way, scores, labels, others)
    moved, back = run(name, way, scores[:, order], labels, others[order])
    torch.testing.assert_close(moved, value, rtol=1e-12, atol=1e-12, equal_nan=True)
    torch.testing.assert_close(back, gradient[:, order], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", RANKED)
@pytest.mark.parametrize("way", ["pairs", "near_linear"])
def test_blocks_and_threads_change_nothing(name: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels, others = case("bell", queries=7)
    whole = run(name, way, scores, labels, others)
    monkeypatch.setattr(fused, "ITEMS", 2 * N)
    monkeypatch.setattr(ranks, "BLOCK", 5 * N)  # fewer pairs than one query has
    for ours, theirs in zip(run(name, way, scores, labels, others), whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("name", RANKED)
def test_gradients_reach_both_sides_like_those_of_the_pairs(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    sides = [
        torch.nn.functional.normalize(torch.randn(n, 16, generator=generator, dtype=torch.float64), dim=1)
        for n in (6, 90)
    ]
    labels = [torch.stack([torch.arange(len(side)) % 9 // 3**c for c in range(3)], dim=1) for side in sides]
    found = []
    for way in ("pairs", "near_linear"):
        leaves = [side.clone().requires_grad_() for side in sides]
        with force(way):
            value = LOSSES[name]()(leaves[0], labels[0], leaves[1], labels[1])
        found.append([value.detach(), *torch.autograd.grad(value, leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-9)


def test_long_rows_are_chosen_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    for way in ("_by_pairs", "_by_sums"):
        real = getattr(fused, way)
        monkeypatch.setattr(fused, way, lambda *given, real=real, way=way: used.append(way) or real(*given))
    for items in (20, 2000):
        scores, labels, others = case("bell", items=items)
        run("sup_hap", "", scores.float(), labels, others)
    assert list(dict.fromkeys(used)) == ["_by_pairs", "_by_sums"]


@pytest.mark.parametrize(
    ("surrogate", "spread", "expected"),
    [
        (SupRank(), 2.0, True),
        (SupRank(delta=0.015), 2.0, False),  # the series would not converge
        (SupRank(beta=25.0, leak=10.0, gamma=0.5), 2.0, False),  # h+ has no sums
        (SupRank(tau=1e-7), 2.0, False),  # the grid would not fit
        (SupRank(tau=1e-3, delta=5e-3), 2.0, False),  # exponentials beyond float64
        (SupRank(), float("nan"), False),
        (Smooth(), 2.0, True),
        (Smooth(tau=1e-6), 2.0, False),
        (Exact(), 2.0, False),
    ],
)
def test_where_the_sums_do_not_apply_the_pairs_do(surrogate: Any, spread: float, expected: bool) -> None:
    assert applies(surrogate, spread, SINGLE) is expected


def test_nan_embeddings_give_nan_and_no_error() -> None:
    scores, labels, others = case("bell", items=2000)
    scores[0, 5] = torch.nan
    value, _ = run("sup_hap", "", scores.float(), labels, others)
    assert value[0].isnan()
    assert value[1].isfinite()


def test_without_a_gradient_none_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels, others = case("bell")
    monkeypatch.setattr(fused, "_pulled_back", lambda *_: pytest.fail("a gradient was computed"))
    with torch.no_grad():
        assert LOSSES["sup_hap"]()(scores, labels, torch.eye(N, dtype=torch.float64), others).isfinite()


@pytest.mark.parametrize("precision", [SINGLE, DOUBLE])
def test_the_grid_errs_as_little_as_it_says(precision: Any) -> None:
    """One source at every place of a cell, all distances: the worst error of sigmoid beside points and steps."""
    tau = 0.01
    y = torch.cat([torch.zeros(1), torch.linspace(0, tau, 101), torch.linspace(0, 0.4, 400)]).double()
    y = y.sort().values[None]
    grid = Grid(y, tau, precision)
    places, slot = grid.every, torch.zeros(y.numel(), dtype=torch.long)
    kernel = torch.sigmoid(grid.lags() / tau)
    worst = 0.0
    for source in range(50, 60):
        mass = torch.zeros(y.numel(), dtype=torch.float64)
        mass[source] = 1.0
        (found,) = grid.read(grid.convolved(grid.spread(1, slot, places, mass), [kernel]), slot, places)
        worst = max(worst, float((found - torch.sigmoid((y[0] - y[0, source]) / tau)).abs().max()))
    assert worst < (4e-6 if precision is SINGLE else 2e-11)


def test_a_gap_takes_no_nodes() -> None:
    y = torch.tensor([[0.0, 0.1, 1.9], [0.0, 0.0, 0.2]]).double()
    assert Grid(y, 0.001, SINGLE).size == 2 * GAP * SINGLE.steps + SINGLE.points
    assert Grid(y[1:], 0.1, SINGLE).size == 2 * SINGLE.steps + SINGLE.points


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_best_first_sorts(dtype: torch.dtype) -> None:
    scores = torch.randn(5, 37, generator=torch.Generator().manual_seed(0)).to(dtype)
    scores[1] = torch.tensor([0.0, -0.0, 1.0, -1.0])[torch.arange(37) % 4].to(dtype)
    found = scores.gather(1, fused.best_first(scores))
    assert torch.equal(found, scores.sort(dim=1, descending=True).values)


def test_lagrange_weights_reproduce_polynomials() -> None:
    fraction = torch.linspace(0, 1, 11, dtype=torch.float64)
    for points in (4, 8):
        weights = lagrange(fraction, points)
        node = [k - (points // 2 - 1) for k in range(points)]
        for power in range(points):
            found = sum(w * float(k) ** power for w, k in zip(weights, node, strict=True))
            torch.testing.assert_close(found, fraction**power, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("least", [1, 2, 3, 7, 97, 700, 1025])
def test_fft_length_is_enough_and_not_wasteful(least: int) -> None:
    assert least <= fft_length(least) <= max(2, 1.5 * least)
