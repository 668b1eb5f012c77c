"""The rules of docs/metrics.md, each of which the published code breaks: the docstring says how."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.metrics import METRICS, evaluate, per_query
from tests.benchmarks import oracles
from tests.benchmarks.losses.examples import batch, nested


def ranked(fine: list[int], levels: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A query of class 0 and a gallery of these classes, best first."""
    items = len(fine)
    scores = torch.linspace(0.9, -0.9, items, dtype=torch.float64)[None]
    query = nested(torch.tensor([0]), levels)
    return scores, query, torch.eye(items, dtype=torch.float64), nested(torch.tensor(fine), levels)


def depths(queries: Tensor, items: Tensor, row: int, order: list[int]) -> list[int]:
    """Agreements along a ranking."""
    return [oracles.agreement(queries[row].tolist(), items[i].tolist()) for i in order]


@pytest.mark.parametrize("name", METRICS)
def test_a_query_without_positives_is_nan_and_affects_no_other(name: str) -> None:
    """The published code drops the query's whole batch: 0.0 for .931, .762, .745."""
    (query, labels), (gallery, names) = batch(9), batch(60, seed=1)
    whole = evaluate(query, labels, gallery, names, metrics=[name])[name]
    unmatched = labels.clone()
    unmatched[4] = 99
    frame = evaluate(query, unmatched, gallery, names, metrics=[name])[name]
    assert frame.isna().tolist() == [row == 4 or bool(whole.isna()[row]) for row in range(9)]
    assert frame.drop(4).equals(whole.drop(4))
    assert frame.mean() == pytest.approx(whole.drop(4).mean())


def test_ap_of_an_exact_level_does_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published code weights by the batch: .513 or .533. The mean is over the queries that have such items."""
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
    defined = [value for value in slow if not math.isnan(value)]
    assert values[0].mean() == pytest.approx(sum(defined) / len(defined))


def test_two_levels_of_equal_relevance_count_once_each() -> None:
    """The published code finds the level by comparing relevances, and a perfect ranking scores up to 2.0."""
    # rel(2) = 1 / 2 for each of two items, rel(1) = (1 / 2) / 1 for the one item: equal, on two levels.
    fine = [0, 0, 1, 7]
    frame = evaluate(*ranked(fine, levels=2), metrics=["H-AP"])
    assert frame["H-AP"][0] == pytest.approx(1.0, abs=1e-12)
    assert oracles.pop([2, 2, 1, 0], 2) == [0.5, 0.5, 0.5, 0.0]


def test_relevances_are_normalised_with_the_labels_of_the_gallery() -> None:
    """The published code counts the items of a level among the queries: .689 for .776."""
    (query, labels), (gallery, names) = batch(40, seed=2), batch(25, seed=1)
    frame = evaluate(query, labels, gallery, names, metrics=["H-AP"])
    for row in range(40):
        order = oracles.ranking((query[row] @ gallery.T).tolist())
        expected = oracles.h_ap(depths(labels, names, row, order), 3)
        assert frame["H-AP"][row] == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert frame["H-AP"][:5].equals(evaluate(query[:5], labels[:5], gallery, names, metrics=["H-AP"])["H-AP"])


def test_relevances_are_normalised_without_the_query_itself() -> None:
    """The published code counts the query, which is not ranked: .802 for .827."""
    query, labels = batch(25)
    frame = evaluate(query, labels, metrics=["H-AP"])
    for row in range(25):
        order = oracles.ranking((query[row] @ query.T).tolist(), {row})
        expected = oracles.h_ap(depths(labels, labels, row, order), 3)
        assert frame["H-AP"][row] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_the_query_is_removed_by_id_and_its_duplicates_stay() -> None:
    """The published code drops the first neighbour: with duplicates, 26 of 40 queries rank themselves."""
    half, fine = batch(20)
    query, labels = torch.cat([half, half]), torch.cat([fine, fine])
    frame = evaluate(query, labels, metrics=["R@1_l0", "AP_l0"])
    assert (frame["R@1_l0"] == 1).all()
    for row in range(40):
        order = oracles.ranking((query[row] @ query.T).round(decimals=9).tolist(), {row})
        hits = [bool(labels[i, 0] == labels[row, 0]) for i in order]
        assert frame["AP_l0"][row] == pytest.approx(oracles.ap(hits), abs=1e-9)


def test_the_last_gallery_item_is_ranked() -> None:
    """The only positive is last: AP is 1 / N. The published code drops it, as if the first item were the query."""
    frame = evaluate(*ranked([7, 7, 7, 7, 0]), metrics=["AP_l0", "recall@5_l0", "R@4_l0"])
    assert frame.iloc[0].tolist() == [pytest.approx(1 / 5), 1.0, 0.0]


def test_a_last_block_of_one_query_is_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published code fails on a last batch of one."""
    monkeypatch.setattr(per_query, "BLOCK", 4 * 12)
    monkeypatch.setattr(per_query, "PART", 4 * 12)
    (query, labels), (gallery, names) = batch(9), batch(12, seed=1)
    frame = evaluate(query, labels, gallery, names)
    assert len(frame) == 9
    last = evaluate(query[8:], labels[8:], gallery, names)
    assert frame[8:].reset_index(drop=True).equals(last)


def test_evaluate_changes_neither_its_arguments_nor_its_defaults() -> None:
    """In the published code every calculator changes one shared dict of metrics."""
    names = ["AP_l0", "H-AP"]
    inputs = batch(12)
    before = list(METRICS)
    first = evaluate(*inputs, metrics=names)
    evaluate(*inputs)
    evaluate(*inputs, metrics=["R@1_l0"])
    assert names == ["AP_l0", "H-AP"] and list(METRICS) == before
    assert evaluate(*inputs, metrics=names).equals(first)
    assert list(first.columns) == names


def test_the_two_definitions_of_recall_at_k_have_two_names() -> None:
    """The published code reports both under one key."""
    frame = evaluate(*ranked([0, 7, 7, 0, 0]), metrics=["R@2_l0", "recall@2_l0"])
    assert frame.iloc[0].tolist() == [1.0, 0.5]


def test_ndcg_at_k_is_normalised_by_the_ideal_order_of_the_whole_list() -> None:
    """The best two items are not among the first two. The published code reorders those two, and gives 1.0."""
    fine = [1, 2, 0, 0, 7]
    frame = evaluate(*ranked(fine), metrics=["NDCG@2"])
    ts = [2, 1, 3, 3, 0]
    assert frame["NDCG@2"][0] == pytest.approx(oracles.ndcg(ts, 2))
    assert frame["NDCG@2"][0] < 0.5


def test_pop_relevance_works_with_one_level() -> None:
    """The published code divides by zero."""
    inputs = ranked([0, 7, 0, 7], levels=1)
    frame = evaluate(*inputs, metrics=["H-AP", "AP_l0"])
    assert frame["H-AP"][0] == pytest.approx(frame["AP_l0"][0]) == pytest.approx((1 + 2 / 3) / 2)
    assert LOSSES["sup_hap"]()(*inputs).isfinite()


def test_distractors_are_ranked_as_negatives() -> None:
    """Queries inside a larger gallery, each removed by its id. The published mode for it does not run."""
    query, labels = batch(10)
    distractors, other = batch(50, seed=1)
    gallery, names = torch.cat([distractors, query]), torch.cat([other + 1000, labels])
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


def test_half_precision_embeddings_are_scored_in_float32() -> None:
    """With the published float16 scores, 78 % equal that of another item."""
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
