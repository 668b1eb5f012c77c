"""Theory of the rank losses: bounds, limits, special cases and invariances."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.ranking.surrogates import SUPRANK_SETTINGS, SupHRankSettings, SupRank
from tests.benchmarks.exact_ranks import Exact, positive_ranks
from tests.benchmarks.losses.examples import RANKED, batch, nested, with_scores

# With these settings SupRank tends to the step itself as tau does to 0.
STEP = {"start": 0.0, "offset": 1.0, "rho": 1e-9}
METRICS = {"ap": "AP_l0", "hap": "H-AP", "ndcg": "NDCG"}
distinct = st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=30, unique=True)


def losses_of(name: str, scores: Tensor, fine: Tensor, **given: object) -> Tensor:
    """Loss per query for scores (B, N); the queries are of class 0, the items of the classes `fine` (N,)."""
    query, items = with_scores(scores)
    labels = nested(torch.zeros(len(scores), dtype=torch.long))
    return LOSSES[name](reduction="none", **given)(query, labels, items, nested(fine))


def metric_of(name: str, scores: Tensor, fine: Tensor) -> Tensor:
    """1 - the metric of the same rankings."""
    items = torch.eye(scores.shape[1], dtype=scores.dtype)
    queries = nested(torch.zeros(len(scores), dtype=torch.long))
    frame = evaluate(scores, queries, items, nested(fine), metrics=[name])
    return 1 - torch.from_numpy(frame[name].to_numpy(copy=True))


@pytest.mark.parametrize("kind", list(METRICS))
@settings(max_examples=40, deadline=None)
@given(values=distinct, data=st.data())
def test_a_sup_loss_bounds_its_metric(kind: str, values: list[float], data: st.DataObject) -> None:
    """With offset=None and distinct scores it is never below 1 - the metric, and SupHRank's is above it."""
    scores = torch.tensor([values], dtype=torch.float64)
    fine = torch.tensor([data.draw(st.integers(0, 7)) for _ in values])
    true = metric_of(METRICS[kind], scores, fine).nan_to_num(0.0)
    assert (losses_of(f"sup_{kind}", scores, fine).nan_to_num(0.0) >= true - 1e-9).all()
    if kind == "hap":
        lifted = losses_of("sup_hap", scores, fine, beta=25.0, leak=10.0, gamma=0.5)
        assert (lifted.nan_to_num(0.0) >= losses_of("sup_hap", scores, fine).nan_to_num(0.0) - 1e-9).all()


@settings(max_examples=40, deadline=None)
@given(values=distinct, data=st.data())
def test_sup_recall_bounds_the_loss_of_the_true_ranks(values: list[float], data: st.DataObject) -> None:
    scores = torch.tensor([values], dtype=torch.float64)
    fine = torch.tensor([data.draw(st.integers(0, 1)) for _ in values])
    true = losses_of("sup_recall", scores, fine, tau=1e-12, **STEP)
    assert (losses_of("sup_recall", scores, fine).nan_to_num(0.0) >= true.nan_to_num(0.0) - 1e-9).all()


@settings(max_examples=40, deadline=None)
@given(values=distinct, data=st.data())
def test_suprank_bounds_every_rank(values: list[float], data: st.DataObject) -> None:
    scores = torch.tensor([values], dtype=torch.float64)
    depth = torch.tensor([[data.draw(st.integers(0, 2)) for _ in values]], dtype=torch.uint8)
    bound, true = (positive_ranks(scores, depth, surrogate) for surrogate in (SupRank(), Exact()))
    assert (bound.rank >= true.rank - 1e-12).all()
    assert torch.equal(bound.hrank, true.hrank)


def test_at_an_exact_tie_the_bound_fails_by_half_a_pair() -> None:
    """A positive and a lower item of equal score: the true rank counts 1, h-(0) = 1/2 as published.

    With the next larger score of the lower item it already counts more than 1: only the tie itself is an exception.
    """
    tied = torch.tensor([[0.5, 0.5, 0.5]], dtype=torch.float64)
    fine = torch.tensor([0, 7, 7])
    assert float(metric_of("AP_l0", tied, fine)) == 0.0  # by index the positive comes first
    depth = torch.tensor([[1, 0, 0]], dtype=torch.uint8)
    bound, true = (float(positive_ranks(tied, depth, s).rank) for s in (SupRank(), Exact()))
    assert (bound, true) == (2.0, 3.0)
    above = torch.nextafter(tied, tied + 1)
    above[0, 0] = 0.5
    assert float(positive_ranks(above, depth, SupRank()).rank) == pytest.approx(3.0)


@pytest.mark.parametrize("setting", SUPRANK_SETTINGS)
def test_only_the_upper_bound_setting_is_monotone_and_above_the_step(
    setting: str,
) -> None:
    """As published for SOP, h- falls by .05 at delta; for iNat it is below 1 on (0, delta]."""
    x = torch.linspace(1e-6, 0.2, 100_001, dtype=torch.float64)
    pairs = torch.stack([torch.zeros_like(x), x], dim=1)  # a positive, and a lower item x above it: rank 1 + h-(x)
    depth = torch.tensor([1, 0], dtype=torch.uint8).expand(len(x), 2)
    h = positive_ranks(pairs, depth, SupRank(**asdict(SUPRANK_SETTINGS[setting]))).rank - 1
    monotone, above = bool((h.diff() >= 0).all()), bool((h >= 1).all())
    assert monotone == (setting != "sop")
    assert above == (setting != "inat")


@pytest.mark.parametrize("kind", list(METRICS))
@pytest.mark.parametrize("family", ["smooth", "sup"])
def test_a_small_tau_gives_the_metric(family: str, kind: str) -> None:
    query, labels = batch(5)
    gallery, names = batch(40, seed=1)
    loss = LOSSES[f"{family}_{kind}"](tau=1e-9, reduction="none", **(STEP if family == "sup" else {}))
    frame = evaluate(query, labels, gallery, names, metrics=[METRICS[kind]])
    value = 1 - loss(query, labels, gallery, names)
    assert value.tolist() == pytest.approx(frame[METRICS[kind]].tolist(), abs=1e-7, nan_ok=True)


@pytest.mark.parametrize("family", ["smooth", "sup"])
def test_small_tau_and_temp_give_the_recall(family: str) -> None:
    """The ranks become the true ones, but a positive at rank k counts only sigmoid(0) = 1/2.

    A cut between two ranks, k + 1/2, avoids that case and gives recall@k.
    """
    query, labels = batch(5)
    gallery, names = batch(40, seed=1)
    given_ = {"tau": 1e-9, "temp": 1e-3, "reduction": "none", **(STEP if family == "sup" else {})}
    for k in (1, 3, 10):
        frame = evaluate(query, labels, gallery, names, metrics=[f"recall@{k}_l0"])
        recall = 1 - LOSSES[f"{family}_recall"](at_k=(k,), **given_)(query, labels, gallery, names)
        hits = 1 - LOSSES[f"{family}_recall"](at_k=(k + 0.5,), **given_)(query, labels, gallery, names)
        total = (labels[:, :1] == names[:, 0]).sum(1)
        scale = total.clamp(max=k + 0.5) / total.clamp(max=k)
        assert (hits * scale).tolist() == pytest.approx(frame.iloc[:, 0].tolist(), abs=1e-6, nan_ok=True)
        assert (recall <= hits * scale + 1e-6).all()


@pytest.mark.parametrize("family", ["smooth", "sup"])
def test_with_one_level_hap_is_ap(family: str) -> None:
    """A single level of labels is a binary relevance."""
    embeddings, labels = batch(16, levels=1)
    values = [LOSSES[f"{family}_{kind}"](reduction="none")(embeddings, labels) for kind in ("ap", "hap")]
    torch.testing.assert_close(values[0], values[1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("family", ["smooth", "sup"])
def test_hap_with_all_weight_on_the_finer_level_is_ap_there(family: str) -> None:
    embeddings, labels = batch(24, levels=2)
    gallery, names = batch(40, levels=2, seed=1)
    hap = LOSSES[f"{family}_hap"](relevance="map", weights=(0.0, 1.0), reduction="none")
    ap = LOSSES[f"{family}_ap"](level=0, reduction="none")
    inputs = embeddings, labels, gallery, names
    torch.testing.assert_close(hap(*inputs), ap(*inputs), atol=1e-12, rtol=0, equal_nan=True)


def test_hap_with_all_weight_on_the_coarser_level_is_ap_there_or_above() -> None:
    """Smooth: equal. Sup: pairs of a fine and a coarse positive use the surrogate too, so that SupHAP is above."""
    inputs = *batch(24, levels=2), *batch(40, levels=2, seed=1)
    for family in ("smooth", "sup"):
        hap = LOSSES[f"{family}_hap"](relevance="map", weights=(1.0, 0.0), reduction="none")(*inputs)
        ap = LOSSES[f"{family}_ap"](level=1, reduction="none")(*inputs)
        if family == "smooth":
            torch.testing.assert_close(hap, ap, atol=1e-12, rtol=0, equal_nan=True)
        assert (hap >= ap - 1e-12).all()
        assert not torch.equal(hap, ap) or family == "smooth"


def test_hap_with_map_relevance_is_the_weighted_sum_of_the_levels() -> None:
    embeddings, labels = batch(24)
    weights = (0.2, 0.3, 0.5)
    whole = LOSSES["smooth_hap"](relevance="map", weights=weights)(embeddings, labels)
    levels = [LOSSES["smooth_ap"](level=level)(embeddings, labels) for level in (2, 1, 0)]
    expected = sum(w * float(v) for w, v in zip(weights, levels, strict=True))
    assert float(whole) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", [*RANKED, "soft_bin_ap", "blackbox_ap"])
@pytest.mark.parametrize("count", [1, 30])
def test_distractors_far_below_change_nothing(name: str, count: int) -> None:
    scores = torch.rand(4, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.3
    fine = torch.arange(20) % 8
    more = torch.cat([scores, torch.full((4, count), -1.0, dtype=torch.float64)], dim=1)
    padded = losses_of(name, more, torch.cat([fine, torch.full((count,), 999)]))
    torch.testing.assert_close(padded, losses_of(name, scores, fine), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", RANKED)
def test_shifting_all_scores_changes_nothing(name: str) -> None:
    scores = torch.rand(4, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    fine = torch.arange(20) % 8
    moved = losses_of(name, scores + 0.25, fine)
    torch.testing.assert_close(moved, losses_of(name, scores, fine), atol=1e-9, rtol=0)


def test_on_one_level_suphrank_is_suprank() -> None:
    """h+ needs positives of different agreement and acts on Hrank alone: AP, NDCG and recall lack the setting."""
    scores = torch.rand(4, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    depth = torch.randint(0, 4, (4, 30), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    without, lifted = SupRank(), SupRank(h_plus=SupHRankSettings())
    binary = [positive_ranks(scores, depth.clamp(max=1), surrogate) for surrogate in (without, lifted)]
    assert torch.equal(binary[0].rank, binary[1].rank) and torch.equal(binary[0].hrank, binary[1].hrank)
    table = torch.tensor([0.0, 0.1, 0.2, 0.5], dtype=torch.float64).expand(4, 4)
    levels = [positive_ranks(scores, depth, surrogate, table) for surrogate in (without, lifted)]
    assert torch.equal(levels[0].rank, levels[1].rank) and not torch.equal(levels[0].hrank, levels[1].hrank)
