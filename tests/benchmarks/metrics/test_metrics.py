"""Metrics against slow loops, published values and properties."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgld.benchmarks.metrics import evaluate, per_query
from hgld.benchmarks.ranking.levels import agreement
from hgld.foundation.errors import HgldError
from tests import oracles
from tests.benchmarks import golden

LEVELS = 3
ORACLES: dict[str, Callable[[Sequence[int]], float]] = {
    "H-AP": lambda ts: oracles.h_ap(ts, LEVELS),
    "NDCG": oracles.ndcg,
    "NDCG@4": lambda ts: oracles.ndcg(ts, 4),
    "ASI": oracles.asi,
    "AP#1": lambda ts: oracles.exact_ap(ts, 1),
    "AP#3": lambda ts: oracles.exact_ap(ts, 3),
    "AP_l0": lambda ts: oracles.ap([t >= 3 for t in ts]),
    "AP_l2": lambda ts: oracles.ap([t >= 1 for t in ts]),
    "mAP@R_l1": lambda ts: oracles.ap_at_r([t >= 2 for t in ts]),
    "mAP@4_l1": lambda ts: oracles.ap_at([t >= 2 for t in ts], 4),
    "P@4_l0": lambda ts: oracles.precision_at([t >= 3 for t in ts], 4),
    "R@4_l1": lambda ts: oracles.any_at([t >= 2 for t in ts], 4),
    "recall@4_l2": lambda ts: oracles.recall_at([t >= 1 for t in ts], 4),
}


def nested(draws: Sequence[tuple[int, int, int]]) -> Tensor:
    """Nested labels (n, 3) from paths coarse, middle, fine."""
    return torch.tensor([[100 * a + 10 * b + c, 10 * a + b, a] for a, b, c in draws])


paths = st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(paths, min_size=1, max_size=5), st.lists(paths, min_size=1, max_size=30), st.data())
def test_every_metric_equals_its_slow_loop(
    query: list[tuple[int, int, int]], gallery: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """Few score values, so that ties abound; ids that hide gallery items at will."""
    points = st.integers(0, 4)
    scores = [[data.draw(points) / 4 for _ in gallery] for _ in query]
    ids = [data.draw(st.integers(0, 40)) for _ in query]
    eq, eg = torch.tensor(scores, dtype=torch.float64), torch.eye(len(gallery), dtype=torch.float64)
    lq, lg = nested(query), nested(gallery)
    frame = evaluate(
        eq, lq, eg, lg, query_ids=ids, gallery_ids=range(len(gallery)), metrics=[*ORACLES, "ties"]
    )
    for row in range(len(query)):
        order = oracles.ranking(scores[row], {ids[row]})
        ts = [oracles.agreement(lq[row].tolist(), lg[i].tolist()) for i in order]
        for name, oracle in ORACLES.items():
            assert frame[name][row] == pytest.approx(oracle(ts), abs=1e-12, nan_ok=True), name
        ranked = [scores[row][i] for i in order]
        tied = any(ranked[n] == ranked[n + 1] and ts[n] != ts[n + 1] for n in range(len(ts) - 1))
        assert frame["ties"][row] == tied


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_h_ap_alpha(alpha: float) -> None:
    generator = torch.Generator().manual_seed(3)
    scores, labels = (
        torch.rand(1, 20, generator=generator),
        nested([(i % 2, i % 3, i % 5) for i in range(20)]),
    )
    frame = evaluate(scores, labels[:1], torch.eye(20), labels, metrics=["H-AP"], alpha=alpha)
    order = oracles.ranking(scores[0].tolist())
    ts = [int(agreement(labels[:1], labels)[0, i]) for i in order]
    assert frame["H-AP"][0] == pytest.approx(oracles.h_ap(ts, 3, alpha), abs=1e-12)


def ours(name: str) -> str | None:
    """Our name of a published metric entry, None where we have no such metric."""
    metric = name.split("/", 2)[2]
    metric = metric.replace("_any_", "_")
    if "_true_" in metric:
        return metric.replace("R@", "recall@").replace("_true_", "_")
    if metric in ("H-AP_pop_a1_poollist", "H-AP_pop_a2_poollist", "hap_LM"):
        return "H-AP"
    return None if metric.startswith(("H-AP", "binary_ASI", "ASI_full")) else metric


def published() -> list[str]:
    """Entries that have a metric of ours."""
    if not (golden.FOLDER / "golden.json").exists():
        return []
    return [name for name in golden.entries() if "/metric/" in name and ours(name)]


@golden.needs_golden
@pytest.mark.parametrize("name", published())
def test_published_values(name: str) -> None:
    case, metric = name.split("/")[0], str(ours(name))
    frame = evaluate(*golden.inputs(case), metrics=[metric], alpha=2.0 if "_a2_" in name else 1.0)
    expected = golden.values()[f"{name}/per_query"]
    np.testing.assert_allclose(frame[metric], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in per_query.METRICS if not n.startswith(("P@", "recall"))])
def test_a_perfect_ranking_scores_one(name: str) -> None:
    labels = nested([(0, 0, 0)] * 3 + [(0, 0, 1)] * 4 + [(0, 1, 0)] * 5 + [(1, 0, 0)] * 6)
    scores = torch.linspace(1, 0, len(labels))[None]
    frame = evaluate(scores, labels[:1], torch.eye(len(labels)), labels, metrics=[name])
    assert frame[name][0] == pytest.approx(1.0, abs=1e-12)


def test_two_levels_of_equal_relevance_count_once_each() -> None:
    """One third over one item and two thirds over two: equal relevances; the published code scores 2.0."""
    labels = nested([(0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0)])
    query = nested([(0, 0, 9)])
    order = torch.tensor([[0.9, 0.1, 0.8, 0.0]])
    frame = evaluate(order, query, torch.eye(4), labels, metrics=["H-AP"])
    assert frame["H-AP"][0] == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_with_one_level_h_ap_is_ap(hits: list[bool]) -> None:
    labels = torch.tensor([[0 if hit else 1] for hit in hits])
    scores = torch.linspace(1, 0, len(hits), dtype=torch.float64)[None]
    frame = evaluate(
        scores,
        torch.tensor([[0]]),
        torch.eye(len(hits), dtype=torch.float64),
        labels,
        metrics=["H-AP", "AP_l0"],
    )
    assert frame["H-AP"][0] == pytest.approx(frame["AP_l0"][0], nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(st.lists(paths, min_size=2, max_size=20), st.data())
def test_an_upward_swap_never_hurts(gallery: list[tuple[int, int, int]], data: st.DataObject) -> None:
    """Swapping two neighbours such that the better one comes first lowers no metric over all levels."""
    at = data.draw(st.integers(0, len(gallery) - 2))
    labels = nested(gallery)
    query = labels[:1]
    depth = agreement(query, labels)[0]
    better = list(range(len(gallery)))
    if depth[at] < depth[at + 1]:
        better[at], better[at + 1] = at + 1, at
    scores = torch.linspace(1, 0, len(gallery))[None]
    names = ["NDCG", "ASI", "AP_l0", "AP_l1", "AP_l2"]
    before = evaluate(scores, query, torch.eye(len(gallery)), labels, metrics=names)
    after = evaluate(scores, query, torch.eye(len(gallery)), labels[better], metrics=names)
    assert ((after - before).fillna(0.0) >= -1e-12).all(axis=None)


def test_self_is_removed_by_id_and_duplicates_stay() -> None:
    embeddings = torch.eye(3)[[0, 0, 1, 2]]
    labels = torch.tensor([[0], [0], [1], [2]])
    frame = evaluate(embeddings, labels, metrics=["R@1_l0", "AP_l0"])
    assert frame["R@1_l0"].tolist()[:2] == [1.0, 1.0]
    assert frame["AP_l0"].isna().tolist() == [False, False, True, True]


def test_the_block_size_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.nn.functional.normalize(torch.randn(30, 8, generator=generator, dtype=torch.float64))
    labels = nested([(i % 2, i % 3, i % 5) for i in range(30)])
    whole = evaluate(embeddings, labels)
    monkeypatch.setattr(per_query, "BLOCK", 70)
    np.testing.assert_allclose(evaluate(embeddings, labels), whole, atol=1e-12)


def test_nothing_relevant_is_nan_everywhere() -> None:
    frame = evaluate(torch.eye(2), torch.tensor([[0], [1]]), metrics=per_query.METRICS)
    assert frame.isna().all(axis=None)


def test_no_query_and_no_gallery() -> None:
    labels = torch.zeros(0, 1, dtype=torch.long)
    assert evaluate(torch.zeros(0, 4), labels).shape == (0, len(per_query.METRICS))
    frame = evaluate(
        torch.zeros(1, 4), torch.tensor([[1]]), torch.zeros(0, 4), labels, metrics=["H-AP", "NDCG"]
    )
    assert frame.isna().all(axis=None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("H_AP", "did you mean 'H-AP'"),
        ("hap", "did you mean 'H-AP'"),
        ("ndcg@5", "did you mean 'NDCG'"),
        ("MAP", "the forms: H-AP, NDCG, .*ties"),
        ("P@1_l3", "metric 'P@1_l3': level 3 does not exist"),
        ("mAP@0_l0", "unknown metric"),
        ("AP_l3", "level 3 does not exist"),
        ("AP#4", "agreements run from 1 to 3"),
        ("R@1", "unknown metric"),
    ],
)
def test_a_wrong_name_is_an_error(name: str, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        evaluate(torch.eye(2), nested([(0, 0, 0)] * 2), metrics=[name])


def test_bad_input_is_an_error() -> None:
    labels = nested([(0, 0, 0)] * 2)
    with pytest.raises(HgldError, match="row 1 is not finite"):
        evaluate(torch.tensor([[1.0], [math.nan]]), labels)
    with pytest.raises(HgldError, match="do not fit"):
        evaluate(torch.eye(3), labels)
    with pytest.raises(HgldError, match="1 ids for 2 rows"):
        evaluate(torch.eye(2), labels, query_ids=["a"])
    with pytest.raises(HgldError, match="levels"):
        evaluate(torch.eye(2), labels, torch.eye(2), labels[:, :2])
    with pytest.raises(HgldError, match="2 wide and gallery embeddings 3"):
        evaluate(torch.eye(2), labels, torch.eye(3)[:2], labels)


def test_without_metrics_there_is_still_a_row_a_query() -> None:
    assert evaluate(torch.eye(2), nested([(0, 0, 0)] * 2), metrics=()).shape == (2, 0)
