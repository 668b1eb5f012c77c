"""Published values, properties of the metrics, and wrong input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hgld.benchmarks.metrics import evaluate, per_query
from hgld.benchmarks.ranking.levels import agreement
from hgld.foundation.errors import HgldError
from tests.benchmarks import oracles, published_values

LEVELS = 3


def nested(draws: Sequence[tuple[int, int, int]]) -> Tensor:
    """Nested labels (n, 3) from paths coarse, middle, fine."""
    return torch.tensor([[100 * a + 10 * b + c, 10 * a + b, a] for a, b, c in draws])


paths = st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 2))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_alpha_is_the_exponent_of_the_relevances(alpha: float) -> None:
    generator = torch.Generator().manual_seed(3)
    scores, labels = (
        torch.rand(1, 20, generator=generator),
        nested([(i % 2, i % 3, i % 5) for i in range(20)]),
    )
    frame = evaluate(scores, labels[:1], torch.eye(20), labels, metrics=["H-AP"], alpha=alpha)
    order = oracles.ranking(scores[0].tolist())
    ts = [int(agreement(labels[:1], labels)[0, i]) for i in order]
    assert frame["H-AP"][0] == pytest.approx(oracles.h_ap(ts, 3, alpha), abs=1e-12)


def our_name(name: str) -> str | None:
    """Our name of a published metric entry, None without such a metric."""
    metric = name.split("/", 2)[2]
    metric = metric.replace("_any_", "_")
    if "_true_" in metric:
        return metric.replace("R@", "recall@").replace("_true_", "_")
    if metric in ("H-AP_pop_a1_poollist", "H-AP_pop_a2_poollist", "hap_LM"):
        return "H-AP"
    return None if metric.startswith(("H-AP", "binary_ASI", "ASI_full")) else metric


def published() -> list[str]:
    """Entries of metrics that exist here."""
    if not (published_values.FOLDER / "golden.json").exists():
        return []
    return [name for name in published_values.entries() if "/metric/" in name and our_name(name)]


@published_values.needs_golden
@pytest.mark.parametrize("name", published())
def test_values_are_the_published_ones(name: str) -> None:
    case, metric = name.split("/")[0], str(our_name(name))
    frame = evaluate(*published_values.inputs(case), metrics=[metric], alpha=2.0 if "_a2_" in name else 1.0)
    expected = published_values.values()[f"{name}/per_query"]
    np.testing.assert_allclose(frame[metric], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in per_query.METRICS if not n.startswith(("P@", "recall"))])
def test_a_perfect_ranking_scores_one(name: str) -> None:
    labels = nested([(0, 0, 0)] * 3 + [(0, 0, 1)] * 4 + [(0, 1, 0)] * 5 + [(1, 0, 0)] * 6)
    scores = torch.linspace(1, 0, len(labels))[None]
    frame = evaluate(scores, labels[:1], torch.eye(len(labels)), labels, metrics=[name])
    assert frame[name][0] == pytest.approx(1.0, abs=1e-12)


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
    """Putting the better one of two neighbours first lowers no metric over all levels."""
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


@pytest.mark.parametrize("seed", range(20))
def test_one_query_alone_scores_as_among_others(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    fine = torch.randint(0, 8, (30,), generator=generator)
    labels, rows = torch.stack([fine, fine // 4], dim=1), torch.randn(30, 4, generator=generator)
    together = evaluate(rows[:5], labels[:5], rows[5:], labels[5:])
    alone = [evaluate(rows[n : n + 1], labels[n : n + 1], rows[5:], labels[5:]) for n in range(5)]
    pd.testing.assert_frame_equal(pd.concat(alone, ignore_index=True), together, rtol=1e-12)


def test_without_relevant_items_every_metric_is_nan() -> None:
    frame = evaluate(torch.eye(2), torch.tensor([[0], [1]]), metrics=per_query.METRICS)
    assert frame.isna().all(axis=None)


def test_no_queries_and_an_empty_gallery_are_allowed() -> None:
    labels = torch.zeros(0, 1, dtype=torch.long)
    assert evaluate(torch.zeros(0, 4), labels).shape == (0, len(per_query.METRICS))
    frame = evaluate(torch.ones(1, 4), torch.tensor([[1]]), torch.zeros(0, 4), labels, metrics=["H-AP", "NDCG"])
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
def test_a_wrong_name_is_an_error_with_a_suggestion(name: str, message: str) -> None:
    with pytest.raises(HgldError, match=message):
        evaluate(torch.eye(2), nested([(0, 0, 0)] * 2), metrics=[name])


def test_input_that_does_not_match_is_an_error() -> None:
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


def test_without_metrics_there_is_still_a_row_per_query() -> None:
    assert evaluate(torch.eye(2), nested([(0, 0, 0)] * 2), metrics=()).shape == (2, 0)
