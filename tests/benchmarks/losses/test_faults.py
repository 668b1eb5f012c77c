"""The faults of the published code, one test each, named after them; each fails with the published behaviour.

Elsewhere: the two faults of the cross-batch memory in test_memory.py; resuming a run, and gradient caching that nothing
called, in test_train_machinery.py; labels in test_data.py (one enumeration over all splits), test_proposals.py (ties
of votes) and test_release.py (the label of a query). Not here: multi-scale evaluation, which this package does not
have; there is one GeM layer.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.metrics import METRICS, evaluate, per_query
from hgld.benchmarks.models import network as models
from hgld.benchmarks.models.network import GeM
from hgld.benchmarks.ranking import rank_score as fused
from hgld.foundation.errors import HgldError
from tests import oracles
from tests.benchmarks.losses.examples import (
    CLASSES,
    DIM,
    NEEDS_POSITIVE,
    PROXIES,
    RANKED,
    batch,
    example,
    nested,
)


def ranked(fine: list[int], levels: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A query of class 0 and a gallery of these classes, best first."""
    items = len(fine)
    scores = torch.linspace(0.9, -0.9, items, dtype=torch.float64)[None]
    query = nested(torch.tensor([0]), levels)
    return scores, query, torch.eye(items, dtype=torch.float64), nested(torch.tensor(fine), levels)


def depths(queries: Tensor, items: Tensor, row: int, order: list[int]) -> list[int]:
    """Agreements along a ranking."""
    return [oracles.agreement(queries[row].tolist(), items[i].tolist()) for i in order]


# ---------------------------------------------------------------- evaluation


@pytest.mark.parametrize("name", METRICS)
def test_one_query_without_positives_makes_its_batch_nan_and_the_whole_batch_is_dropped(name: str) -> None:
    """Published: 0.0 for .931, .762, .745. Here only that query is NaN, and the mean leaves out nothing else."""
    (query, labels), (gallery, names) = batch(9), batch(60, seed=1)
    whole = evaluate(query, labels, gallery, names, metrics=[name])[name]
    lonely = labels.clone()
    lonely[4] = 99
    frame = evaluate(query, lonely, gallery, names, metrics=[name])[name]
    assert frame.isna().tolist() == [row == 4 or bool(whole.isna()[row]) for row in range(9)]
    assert frame.drop(4).equals(whole.drop(4))
    assert frame.mean() == pytest.approx(whole.drop(4).mean())


def test_ap_t_is_weighted_by_the_full_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Published: .513 with one batch size, .533 with another. Here: the mean over the queries that have such items."""
    (query, labels), (gallery, names) = batch(30), batch(12, seed=1)
    values = []
    for part in (12, 12 * 7, 1 << 20):
        monkeypatch.setattr(per_query, "BLOCK", part)
        monkeypatch.setattr(per_query, "PART", part)
        values.append(evaluate(query, labels, gallery, names, metrics=["AP#2"])["AP#2"])
    assert values[0].equals(values[1]) and values[0].equals(values[2])
    assert 0 < values[0].isna().sum() < 30
    orders = [oracles.ranking((row @ gallery.T).tolist()) for row in query]
    slow = [oracles.exact_ap(depths(labels, names, row, order), 2) for row, order in enumerate(orders)]
    defined = [value for value in slow if value == value]
    assert values[0].mean() == pytest.approx(sum(defined) / len(defined))


def test_h_ap_counts_two_levels_of_equal_relevance_twice() -> None:
    """Published: relevances compared as floats name the level, and a perfect ranking scores up to 2.0."""
    # rel(2) = 1 / 2 for each of two items, rel(1) = (1 / 2) / 1 for the one item: equal, on two levels.
    fine = [0, 0, 1, 7]
    frame = evaluate(*ranked(fine, levels=2), metrics=["H-AP"])
    assert frame["H-AP"][0] == pytest.approx(1.0, abs=1e-12)
    assert oracles.pop([2, 2, 1, 0], 2) == [0.5, 0.5, 0.5, 0.0]


def test_relevances_are_normalised_with_the_query_sets_labels_in_query_gallery_mode() -> None:
    """Published: .689 for .776. The number of items of a level is counted in the gallery."""
    (query, labels), (gallery, names) = batch(40, seed=2), batch(25, seed=1)
    frame = evaluate(query, labels, gallery, names, metrics=["H-AP"])
    for row in range(40):
        order = oracles.ranking((query[row] @ gallery.T).tolist())
        expected = oracles.h_ap(depths(labels, names, row, order), 3)
        assert frame["H-AP"][row] == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert frame["H-AP"][:5].equals(evaluate(query[:5], labels[:5], gallery, names, metrics=["H-AP"])["H-AP"])


def test_relevances_are_normalised_with_the_query_itself_in_the_pool() -> None:
    """Published: .802 for .827. The query is not ranked, so it is not counted."""
    query, labels = batch(25)
    frame = evaluate(query, labels, metrics=["H-AP"])
    for row in range(25):
        order = oracles.ranking((query[row] @ query.T).tolist(), {row})
        expected = oracles.h_ap(depths(labels, labels, row, order), 3)
        assert frame["H-AP"][row] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_the_first_neighbour_is_dropped_as_self() -> None:
    """Published: with duplicates 26 of 40 queries keep themselves. The query is removed by id, its copies stay."""
    half, fine = batch(20)
    query, labels = torch.cat([half, half]), torch.cat([fine, fine])
    frame = evaluate(query, labels, metrics=["R@1_l0", "AP_l0"])
    assert (frame["R@1_l0"] == 1).all()
    for row in range(40):
        order = oracles.ranking((query[row] @ query.T).round(decimals=9).tolist(), {row})
        hits = [bool(labels[i, 0] == labels[row, 0]) for i in order]
        assert frame["AP_l0"][row] == pytest.approx(oracles.ap(hits), abs=1e-9)


def test_in_query_gallery_mode_the_last_item_is_never_ranked() -> None:
    """The only positive comes last: AP is 1 / N, not undefined."""
    frame = evaluate(*ranked([7, 7, 7, 7, 0]), metrics=["AP_l0", "recall@5_l0", "R@4_l0"])
    assert frame.iloc[0].tolist() == [pytest.approx(1 / 5), 1.0, 0.0]


def test_a_last_batch_of_one_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(per_query, "BLOCK", 4 * 12)
    monkeypatch.setattr(per_query, "PART", 4 * 12)
    (query, labels), (gallery, names) = batch(9), batch(12, seed=1)
    frame = evaluate(query, labels, gallery, names)
    assert len(frame) == 9
    last = evaluate(query[8:], labels[8:], gallery, names)
    assert frame[8:].reset_index(drop=True).equals(last)


def test_a_shared_metrics_dict_is_mutated_by_every_calculator() -> None:
    names = ["AP_l0", "H-AP"]
    inputs = batch(12)
    before = list(METRICS)
    first = evaluate(*inputs, metrics=names)
    evaluate(*inputs)
    evaluate(*inputs, metrics=["R@1_l0"])
    assert names == ["AP_l0", "H-AP"] and list(METRICS) == before
    assert evaluate(*inputs, metrics=names).equals(first)
    assert list(first.columns) == names


def test_both_definitions_of_recall_at_k_stand_under_one_key() -> None:
    frame = evaluate(*ranked([0, 7, 7, 0, 0]), metrics=["R@2_l0", "recall@2_l0"])
    assert frame.iloc[0].tolist() == [1.0, 0.5]


def test_ndcg_at_k_is_idealised_on_the_retrieved_k() -> None:
    """The best two items are not among the first two: published 1.0."""
    fine = [1, 2, 0, 0, 7]
    frame = evaluate(*ranked(fine), metrics=["NDCG@2"])
    ts = [2, 1, 3, 3, 0]
    assert frame["NDCG@2"][0] == pytest.approx(oracles.ndcg(ts, 2))
    assert frame["NDCG@2"][0] < 0.5


def test_pop_with_one_level_divides_by_zero() -> None:
    inputs = ranked([0, 7, 0, 7], levels=1)
    frame = evaluate(*inputs, metrics=["H-AP", "AP_l0"])
    assert frame["H-AP"][0] == pytest.approx(frame["AP_l0"][0]) == pytest.approx((1 + 2 / 3) / 2)
    assert LOSSES["sup_hap"]()(*inputs).isfinite()


def test_distractor_mode_never_works() -> None:
    """Queries inside a larger gallery: themselves removed by id, strangers ranked as negatives."""
    query, labels = batch(10)
    strangers, none = batch(50, seed=1)
    gallery, names = torch.cat([strangers, query]), torch.cat([none + 1000, labels])
    ids = [f"q{row}" for row in range(10)]
    frame = evaluate(
        query,
        labels,
        gallery,
        names,
        query_ids=ids,
        gallery_ids=[f"d{row}" for row in range(50)] + ids,
        metrics=["AP_l0", "H-AP"],
    )
    for row in range(10):
        order = oracles.ranking((query[row] @ gallery.T).tolist(), {50 + row})
        ts = depths(labels, names, row, order)
        assert frame["AP_l0"][row] == pytest.approx(oracles.ap([t == 3 for t in ts]), nan_ok=True)
        assert frame["H-AP"][row] == pytest.approx(oracles.h_ap(ts, 3), nan_ok=True)


def test_fp16_scores_collide() -> None:
    """Published: 78 % of the scores are those of another item. Half-precision embeddings are scored in float32."""
    generator = torch.Generator().manual_seed(0)
    items = nn.functional.normalize(torch.randn(2000, 64, generator=generator), dim=1).half()
    fine = torch.arange(2000) % 40
    labels = torch.stack([fine, fine // 10], dim=1)
    scores = items[:1].float() @ items.float().T
    assert len(scores.half().unique()) < 0.9 * 2000 < len(scores.unique())
    frame = evaluate(items[:1], labels[:1], items, labels, metrics=["AP_l0", "H-AP"])
    wide = evaluate(items[:1].float(), labels[:1], items.float(), labels, metrics=["AP_l0", "H-AP"])
    order = oracles.ranking(scores[0].tolist())
    assert frame.equals(wide)
    assert frame["AP_l0"][0] == pytest.approx(oracles.ap([bool(fine[i] == 0) for i in order]))


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in PROXIES])
def test_nan_for_rows_without_positives(name: str) -> None:
    """Published: 0 / 0 in one row makes the whole loss NaN, and with it every weight of the network."""
    query, labels = batch(6)
    labels[3] = 99
    leaf = query.requires_grad_()
    value = LOSSES[name]()(leaf, labels, *batch(30, seed=1))
    assert value.isfinite() and float(value.detach()) > 0
    slope = torch.autograd.grad(value, leaf)[0]
    assert slope.isfinite().all() and slope.any()


@pytest.mark.parametrize("name", ["smooth_recall", "sup_recall"])
def test_recall_losses_need_equal_numbers_of_positives(name: str) -> None:
    scores = torch.tensor([[0.9, 0.5, 0.1, -0.3]] * 2, dtype=torch.float64)
    labels, names = torch.tensor([[0], [1]]), torch.tensor([[0], [0], [0], [1]])
    value = LOSSES[name](at_k=(2,), reduction="none")(scores, labels, torch.eye(4).double(), names)
    # ranks 1, 2, 3 of min(3, 2), and rank 4 of 1; SupRank's 4 is longer, as the scores are far apart
    first = 1 - sum(oracles.sigmoid(2 - rank) for rank in (1, 2, 3)) / 2
    assert float(value[0]) == pytest.approx(first, abs=1e-9)
    if name == "smooth_recall":
        assert float(value[1]) == pytest.approx(1 - oracles.sigmoid(2 - 4), abs=1e-9)
    assert float(value[1]) >= 1 - oracles.sigmoid(2 - 4) - 1e-9


@pytest.mark.parametrize("name", RANKED)
def test_the_general_path_returns_nan(name: str) -> None:
    """Published: a second path for batches of uneven classes. Here the ways to the ranks agree on such a batch."""
    inputs = *batch(7), *batch(50, seed=1)
    values = []
    for way in ("pairs", "near_linear"):
        with fused.force(way):
            leaf = inputs[0].clone().requires_grad_()
            value = LOSSES[name]()(leaf, *inputs[1:])
            values.append((value.detach(), torch.autograd.grad(value, leaf)[0]))
    torch.testing.assert_close(values[0][0], values[1][0], atol=1e-5, rtol=0)
    scale = float(values[0][1].abs().max())
    torch.testing.assert_close(values[0][1], values[1][1], atol=1e-4 * scale, rtol=0)


OTHER: dict[str, Any] = {
    "level": 1, "reduction": "none", "tau": 0.2, "rho": 7.0, "delta": 0.2, "start": 0.1, "offset": 3.0,
    "alpha": 3.0, "weights": (0.2, 0.3, 0.5), "beta": 3.0, "leak": 3.0, "gamma": 0.1, "at_k": (3,), "temp": 3.0,
    "nq": 5, "min": -0.5, "max": 0.5, "num_bins": 3, "margin": 0.35, "pos_margin": 0.5, "neg_margin": 0.3,
    "semihard": False, "itself": False, "temperature": 0.5, "num_centers": 2, "s": 3.0, "m": 0.9, "scale": 2.0,
    "margins": (0.1, 0.1, 0.1), "seed": 5,
}  # fmt: skip


def each_setting() -> Iterator[tuple[str, str]]:
    """Every setting of every loss, but what only says of which shape it is."""
    for name, loss in LOSSES.items():
        for setting in inspect.signature(loss).parameters:
            if setting not in ("num_classes", "dim", "noise", "relevance"):
                yield name, setting


@pytest.mark.parametrize(("name", "setting"), list(each_setting()))
def test_a_switch_that_never_switches(name: str, setting: str) -> None:
    """Published: SmoothRank's mode is tested as `if 'full'`. Here every setting of every loss changes something."""
    inputs = *batch(20), *batch(40, seed=1)
    if name == "triplet":
        inputs = inputs[:2]
    base: dict[str, Any] = {}
    if setting == "weights":
        base = {"relevance": "map", "weights": (0.5, 0.3, 0.2)}
    if setting == "temperature_centers":
        base = {"num_centers": 2}
    if name == "triplet" and setting != "itself":
        base = {"itself": False}
    other = {"temperature_centers": 2.0, "lambda_val": 1000.0, **OTHER}[setting]

    def outcome(**settings: Any) -> tuple[Tensor, Tensor]:
        leaf = inputs[0].clone().requires_grad_()
        value = example(name, **{**base, **settings})(leaf, *inputs[1:])
        return value.detach(), torch.autograd.grad(value.nansum(), leaf)[0]

    with torch.random.fork_rng():
        before, after = outcome(), outcome(**{setting: other})
    assert before[0].shape != after[0].shape or not all(map(torch.equal, before, after))


@pytest.mark.parametrize("name", RANKED)
def test_memory_of_order_b_n_squared(name: str) -> None:
    """Published: 128 x 2,048 keeps 17.5 GiB for the backward pass. Here a few matrices of the scores' size."""
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    generator = torch.Generator().manual_seed(0)
    items = nn.functional.normalize(torch.randn(600, 16, generator=generator), dim=1)
    labels = nested(torch.arange(600) // 5)
    leaf = items[:24].clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = LOSSES[name]()(leaf, labels[:24], items, labels)
    assert kept < 8 * 24 * 600 * 4
    assert torch.autograd.grad(value, leaf)[0].isfinite().all()


@pytest.mark.parametrize("name", NEEDS_POSITIVE)
def test_a_gallery_the_size_of_the_batch_is_taken_for_the_batch(name: str) -> None:
    """A memory of as many rows as the batch is a gallery like any other; the loss never guesses from its shape."""
    (query, labels), (gallery, names) = batch(12), batch(12, seed=1)
    whole = LOSSES[name](reduction="none")(query, labels, gallery, names)
    twice = LOSSES[name](reduction="none")(query[:6], labels[:6], gallery, names)
    if name == "triplet":  # shares of a mean over the batch
        assert whole.isnan().equal(torch.cat([whole[:6], whole[6:]]).isnan())
        assert not torch.equal(
            whole.nan_to_num(0.0), LOSSES[name](reduction="none")(query, labels).nan_to_num(0.0)
        )
    else:
        torch.testing.assert_close(whole[:6], twice, atol=1e-12, rtol=0, equal_nan=True)


# ---------------------------------------------------------------- training


def test_two_gem_classes_so_that_one_never_uses_its_power() -> None:
    """One layer, and its power acts: 1 is the mean, large is the maximum."""
    layers = [
        name for name, thing in vars(models).items() if inspect.isclass(thing) and "gem" in name.lower()
    ]
    assert layers == ["GeM"]
    maps = torch.rand(2, 3, 25, generator=torch.Generator().manual_seed(0)) + 0.1
    layer = GeM()
    power = next(iter(layer.parameters()))
    pooled = {}
    for value in (1.0, 3.0, 60.0):
        with torch.no_grad():
            power.fill_(value)
        pooled[value] = layer(maps)
    torch.testing.assert_close(pooled[1.0], maps.mean(2))
    assert (pooled[3.0] > pooled[1.0]).all() and (pooled[60.0] > pooled[3.0]).all()
    assert pooled[3.0].requires_grad


@pytest.mark.parametrize("name", ["cluster", "arcface", "proxy_nca"])
def test_class_counts_typed_by_hand(name: str) -> None:
    """A count that is too small is an error that names both numbers, not an index out of range on the device."""
    loss = LOSSES[name](num_classes=CLASSES - 1, dim=DIM)
    with pytest.raises(HgldError, match="labels run from 0 to 7, proxies from 0 to 6"):
        loss(batch(8)[0], nested(torch.arange(8)))


def test_a_two_level_config_for_a_three_level_dataset() -> None:
    with pytest.raises(HgldError, match="2 margins for 3 levels"):
        LOSSES["csl"](num_classes=nested(torch.arange(8)), dim=DIM, margins=(0.25, 0.45))
    with pytest.raises(HgldError, match="one weight a level"):
        LOSSES["sup_hap"](relevance="map", weights=(0.5, 0.5))(*batch(8))
    with pytest.raises(HgldError, match="level"):
        LOSSES["csl"](num_classes=nested(torch.arange(8), 2), dim=DIM)(*batch(8))
