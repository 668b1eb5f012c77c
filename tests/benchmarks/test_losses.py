"""Losses against slow loops, gradcheck, limits, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgld.benchmarks import ranks
from hgld.benchmarks.levels import agreement
from hgld.benchmarks.losses import LOSSES, Loss, make_loss
from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.ranks import Exact, SupRank, positive_ranks
from hgld.hierarchy.errors import HgldError
from tests import oracles

RANKED = [name for name in LOSSES if name.split("_")[0] in ("smooth", "sup")]
PUBLISHED = {"tau": 0.01, "rho": 100.0, "delta": 0.05, "start": 0.5, "offset": 1.44}


def batch(
    n: int, levels: int = 3, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Unit embeddings of width 8 and nested labels."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.nn.functional.normalize(torch.randn(n, 8, generator=generator, dtype=dtype), dim=1)
    fine = torch.randint(0, 2**levels, (n,), generator=generator)
    return embeddings, torch.stack([fine // 2**column for column in range(levels)], dim=1)


def slow(name: str, scores: list[float], ts: list[int], levels: int, **given: Any) -> float:
    """One query's loss, straight from the formula."""
    smooth = oracles.smooth(given.get("tau", 0.01))
    minus = oracles.h_minus(**{k: given[k] for k in PUBLISHED}) if name.startswith("sup") else smooth
    other = oracles.heaviside if name.startswith("sup") else smooth
    plus = oracles.h_plus(given["beta"], given["leak"], given["gamma"]) if "beta" in given else other
    kind = name.split("_")[1]
    if kind in ("ap", "recall"):
        ts = [int(t >= levels) for t in ts]
    rel = [float(t) for t in ts] if kind in ("ap", "recall") else oracles.pop(ts, levels)
    positives = [i for i, t in enumerate(ts) if t > 0]
    if not positives:
        return math.nan
    at = {i: oracles.rank(scores, ts, i, minus, other) for i in positives}
    if kind in ("ap", "hap"):
        gained = sum(oracles.hrank(scores, ts, rel, i, plus, other) / at[i] for i in positives)
        return 1 - gained / sum(rel)
    if kind == "ndcg":
        best = sum((2**t - 1) / math.log2(n + 2) for n, t in enumerate(sorted(ts, reverse=True)))
        return 1 - sum((2 ** ts[i] - 1) / math.log2(1 + at[i]) for i in positives) / best
    ks = given.get("at_k", (1, 2, 4, 8, 16))
    return 1 - sum(
        sum(oracles.sigmoid(k - at[i]) for i in positives) / min(len(positives), k) for k in ks
    ) / len(ks)


@pytest.mark.parametrize("name", RANKED)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_rank_losses_equal_their_slow_loop(name: str, data: st.DataObject) -> None:
    """Scores of few values, so that ties and the joints of the surrogate are met; unequal numbers of positives."""
    levels = data.draw(st.integers(1, 4))
    n = data.draw(st.integers(1, 14))
    label = st.integers(0, 2**levels - 1)
    query = data.draw(st.lists(label, min_size=1, max_size=3))
    items = data.draw(st.lists(label, min_size=n, max_size=n))
    point = st.sampled_from([-0.4, 0.0, 0.02, 0.05, 0.06, 0.3])
    scores = [[data.draw(point) for _ in items] for _ in query]
    extra = (
        {"beta": 25.0, "leak": 10.0, "gamma": 0.5} if name == "sup_hap" and data.draw(st.booleans()) else {}
    )
    given_ = {**(PUBLISHED if name.startswith("sup") else {"tau": 0.01}), **extra}
    lq, lg = (torch.tensor([[v // 2**c for c in range(levels)] for v in values]) for values in (query, items))
    loss = LOSSES[name](**given_, reduction="none")
    values = loss(torch.tensor(scores, dtype=torch.float64), lq, torch.eye(n, dtype=torch.float64), lg)
    for row in range(len(query)):
        ts = [oracles.agreement(lq[row].tolist(), other.tolist()) for other in lg]
        expected = slow(name, scores[row], ts, levels, **given_)
        assert float(values[row]) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", [*RANKED, "calibration"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gradients_are_exact(name: str, reduction: str) -> None:
    embeddings, labels = batch(7)
    ref, ref_labels = batch(11, seed=1)
    loss = make_loss(name, reduction=reduction, **({"tau": 0.1} if name != "calibration" else {}))

    def value(e: Tensor, r: Tensor) -> Tensor:
        return loss(e, labels, r, ref_labels).nan_to_num(0.0)

    assert torch.autograd.gradcheck(value, (embeddings.requires_grad_(), ref.requires_grad_()))


def test_the_gradient_of_cluster_is_exact() -> None:
    embeddings, labels = batch(6)
    loss = make_loss("cluster", num_classes=8, dim=8, num_centers=2)
    assert isinstance(loss, torch.nn.Module)
    loss.double()
    assert torch.autograd.gradcheck(lambda e: loss(e, labels), embeddings.requires_grad_())


@pytest.mark.parametrize("name", RANKED)
def test_blocks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, labels = batch(20)

    def run() -> tuple[Tensor, Tensor]:
        leaf = embeddings.clone().requires_grad_()
        value = LOSSES[name]()(leaf, labels)
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    whole = run()
    monkeypatch.setattr(ranks, "BLOCK", 50)
    for ours, theirs in zip(run(), whole, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20, unique=True), st.data())
def test_the_theory_setting_bounds_the_rank(values: list[float], data: st.DataObject) -> None:
    """offset=None: SupRank is never below the true rank where no scores are equal, nor SupAP's loss below 1 - AP."""
    scores = torch.tensor([values], dtype=torch.float64)
    depth = torch.tensor([[data.draw(st.integers(0, 2)) for _ in values]])
    bound = positive_ranks(scores, depth, SupRank())
    true = positive_ranks(scores, depth, Exact())
    assert (bound.rank >= true.rank - 1e-12).all()
    assert torch.equal(bound.hrank, true.hrank)


def test_the_published_settings_break_the_bound() -> None:
    x, lower = torch.tensor([0.05, 0.0501, 0.001], dtype=torch.float64), torch.tensor(True)
    at_joint, behind, _ = SupRank(offset=1.44).step(x, lower).tolist()
    assert at_joint > behind
    assert float(SupRank(start=0.0, offset=1.0).step(x, lower)[2]) < 1.0
    assert SupRank().step(x, lower).diff()[0] > 0


@pytest.mark.parametrize(
    ("name", "metric"), [("smooth_ap", "AP_l0"), ("smooth_hap", "H-AP"), ("smooth_ndcg", "NDCG")]
)
def test_a_small_temperature_gives_the_metric(name: str, metric: str) -> None:
    query, labels = batch(5)
    gallery, gallery_labels = batch(40, seed=1)
    value = LOSSES[name](tau=1e-7, reduction="none")(query, labels, gallery, gallery_labels)
    frame = evaluate(query, labels, gallery, gallery_labels, metrics=[metric])
    assert (1 - value).tolist() == pytest.approx(frame[metric].tolist(), abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("kind", ["smooth", "sup"])
def test_with_one_level_hap_is_ap(kind: str) -> None:
    embeddings, labels = batch(16, levels=1)
    values = [LOSSES[f"{kind}_{name}"](reduction="none")(embeddings, labels) for name in ("ap", "hap")]
    torch.testing.assert_close(values[0], values[1], atol=1e-12, rtol=0)


def test_map_relevance_is_the_weighted_sum_of_the_levels() -> None:
    embeddings, labels = batch(24)
    weights = (0.2, 0.3, 0.5)
    whole = LOSSES["smooth_hap"](tau=1e-8, relevance="map", weights=weights)(embeddings, labels)
    levels = [LOSSES["smooth_ap"](tau=1e-8, level=level)(embeddings, labels) for level in (2, 1, 0)]
    assert float(whole) == pytest.approx(
        sum(w * float(v) for w, v in zip(weights, levels, strict=True)), abs=1e-6
    )


@pytest.mark.parametrize("name", [*RANKED, "calibration"])
def test_queries_without_positives_are_left_out(name: str) -> None:
    query, labels = batch(4)
    gallery, gallery_labels = batch(12, seed=1)
    labels = labels.clone()
    labels[1] = 99
    leaf = query.requires_grad_()
    value = LOSSES[name]()(leaf, labels, gallery, gallery_labels)
    per_query = LOSSES[name](reduction="none")(leaf, labels, gallery, gallery_labels)
    if name != "calibration":
        assert per_query[1].isnan()
    assert float(value.detach()) == pytest.approx(float(per_query.detach().nanmean()))
    assert torch.autograd.grad(value, leaf)[0].isfinite().all()


@pytest.mark.parametrize("name", [*RANKED, "calibration"])
def test_a_batch_without_positives_gives_nothing(name: str) -> None:
    query = batch(3)[0].requires_grad_()
    gallery, gallery_labels = batch(5, seed=1)
    loss: Callable[..., Tensor] = LOSSES[name](**({"neg_margin": 2.0} if name == "calibration" else {}))
    value = loss(query, torch.full((3, 3), 99), gallery, gallery_labels)
    assert float(value.detach()) == 0.0
    assert not torch.autograd.grad(value, query)[0].any()


@pytest.mark.parametrize("name", RANKED)
def test_ranks_are_computed_in_float32_at_least(name: str) -> None:
    embeddings, labels = batch(12, dtype=torch.float32)
    loss: Loss = LOSSES[name]()
    whole = loss(embeddings, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(embeddings, labels), whole)
    assert loss(embeddings.bfloat16(), labels).dtype == torch.float32


def test_agreement_counts_from_the_coarsest() -> None:
    a, b = torch.tensor([[1, 1, 1]]), torch.tensor([[1, 1, 1], [2, 1, 1], [1, 2, 1], [1, 1, 2]])
    assert agreement(a, b).tolist() == [[3, 2, 1, 0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_loss("sup_hpa"), "did you mean 'sup_hap'"),
        (lambda: LOSSES["sup_hap"](offest=1.0), "unknown setting 'offest'; did you mean 'offset'"),
        (lambda: LOSSES["sup_ap"](0.01), "by name"),
        (lambda: LOSSES["cluster"](dim=4), "'num_classes' is needed"),
        (lambda: LOSSES["sup_ap"](tau=0.0), "tau must be above 0"),
        (lambda: LOSSES["sup_ap"](reduction="sum"), "unknown reduction"),
        (lambda: LOSSES["sup_hap"](relevance="map"), "takes weights"),
        (lambda: LOSSES["sup_hap"](relevance="pup"), "did you mean 'pop'"),
        (lambda: LOSSES["sup_recall"](at_k=()), "at_k"),
        (lambda: LOSSES["sup_ap"](level=3)(*batch(4)), "level 3 does not exist"),
        (lambda: LOSSES["sup_hap"](relevance="map", weights=(1.0,))(*batch(4)), "one weight a level"),
        (lambda: LOSSES["sup_hap"]()(*batch(4), batch(3)[0]), "belong together"),
        (lambda: LOSSES["sup_hap"]()(batch(4)[0], batch(3)[1]), "one row of labels each"),
        (lambda: LOSSES["sup_hap"]()(batch(4)[0], batch(4)[0]), "must be integers"),
        (lambda: make_loss("cluster", num_classes=2, dim=8)(*batch(8)), "proxies from 0 to 1"),
    ],
)
def test_what_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(HgldError, match=message):
        make()


def test_a_loss_is_frozen() -> None:
    loss: Any = LOSSES["sup_hap"]()
    with pytest.raises(AttributeError):
        loss.tau = 1.0
