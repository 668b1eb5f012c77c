"""`evaluate` against slow loops and ir_measures, for any dtype, block size, number of levels and order of the input."""

from __future__ import annotations

from collections.abc import Sequence

import ir_measures
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, P, R, Success, nDCG
from torch import Tensor

from hgld.benchmarks.metrics import evaluate, per_query
from hgld.benchmarks.ranking import sorting
from hgld.benchmarks.ranking.levels import agreement
from tests.benchmarks import oracles


def check_against_loops(
    scores: Tensor, query_labels: Tensor, labels: Tensor, query_ids: Sequence[int], gallery_ids: Sequence[int]
) -> None:
    """Every metric of a matrix of scores against the slow loops."""
    levels = labels.shape[1]
    names = [*oracles.metrics([], levels), "ties"]
    gallery = torch.eye(len(labels), dtype=scores.dtype)
    ids = {"query_ids": query_ids, "gallery_ids": gallery_ids}
    frame = evaluate(scores, query_labels, gallery, labels, metrics=names, **ids)
    for row, values in enumerate(scores.tolist()):
        hidden = {at for at, name in enumerate(gallery_ids) if name == query_ids[row]}
        order = oracles.ranking(values, hidden)
        ts = [oracles.agreement(query_labels[row].tolist(), labels[at].tolist()) for at in order]
        for name, value in oracles.metrics(ts, levels).items():
            assert frame[name][row] == pytest.approx(value, abs=1e-12, nan_ok=True), name
        assert frame["ties"][row] == oracles.ties([values[at] for at in order], ts)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, list[int], list[int]]:
    """Scores with many ties, signs and zeros; 1 to 8 levels, nested or not; ids shared by queries and items."""
    levels, queries, items = draw(st.integers(1, 8)), draw(st.integers(1, 3)), draw(st.integers(1, 60))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    grid = st.sampled_from([-1.0, -0.5, -0.0, 0.0, 1e-30, 0.5, 0.50000006, 1.0])
    scores = [[draw(grid) for _ in range(items)] for _ in range(queries)]
    for row in scores:
        row[0] = row[0] or 0.5  # a zero row has no cosines
    label = st.lists(st.integers(0, 2), min_size=levels, max_size=levels)
    sides = [torch.tensor([draw(label) for _ in range(count)]) for count in (queries, items)]
    ids = [[draw(st.integers(0, 30)) for _ in range(count)] for count in (queries, items)]
    return torch.tensor(scores, dtype=dtype), sides[0], sides[1], ids[0], ids[1]


@settings(max_examples=50, deadline=None)
@given(problems(), st.booleans())
def test_every_metric_equals_its_slow_loop(
    problem: tuple[Tensor, Tensor, Tensor, list[int], list[int]], by_row: bool
) -> None:
    """With `by_row` every row is sorted on its own, as long ones are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "RADIX_LENGTH", 0 if by_row else sorting.RADIX_LENGTH)
        check_against_loops(*problem)


def with_duplicates(queries: int, items: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Embeddings in float32 with exact copies among them, labels in three levels."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.nn.functional.normalize(torch.randn(queries + items, 16, generator=generator))
    labels = torch.randint(0, 24, (queries + items, 1), generator=generator)
    labels = torch.cat([labels, labels // 4, labels // 12], dim=1)
    drawn[queries + items // 2 :] = drawn[queries : queries + items - items // 2]
    return drawn[:queries], labels[:queries], drawn[queries:], labels[queries:]


NAMES = [
    "H-AP",
    "NDCG",
    "ASI",
    "AP#1",
    "AP#2",
    "AP_l0",
    "AP_l2",
    "mAP@R_l1",
    "mAP@100_l1",
    "recall@10_l2",
    "ties",
]


@pytest.mark.parametrize(("block", "part"), [(1, 1), (700, 700), (2100, 1400), (1 << 26, 1 << 10)])
def test_block_sizes_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch, block: int, part: int) -> None:
    sides = [side.double() if side.is_floating_point() else side for side in with_duplicates(30, 700)]
    whole = evaluate(*sides, metrics=NAMES)
    monkeypatch.setattr(per_query, "BLOCK", block)
    monkeypatch.setattr(per_query, "PART", part)
    pd.testing.assert_frame_equal(evaluate(*sides, metrics=NAMES), whole, rtol=0, atol=1e-12)


def test_the_inputs_are_not_changed() -> None:
    sides = with_duplicates(20, 300)
    before = [side.clone() for side in sides]
    evaluate(sides[0].requires_grad_(), *sides[1:])
    assert all(torch.equal(a, b) for a, b in zip(sides, before, strict=True))


@pytest.mark.parametrize("queries", [1, 2, 7, 100])
def test_equal_embeddings_have_equal_scores(queries: int) -> None:
    """A matrix product alone gives duplicates different scores at the edges of its tiles."""
    generator = torch.Generator().manual_seed(queries)
    few = torch.nn.functional.normalize(torch.randn(7, 64, generator=generator))
    which = torch.randint(0, 7, (1003,), generator=generator)
    query = torch.nn.functional.normalize(torch.randn(queries, 64, generator=generator))
    labels = torch.arange(1003)[:, None] % 5
    frame = evaluate(query, labels[:queries], few[which], labels, metrics=["AP_l0"])
    # Groups of duplicates are adjacent, each in the order of its indices.
    first = (query.double() @ few.double().T).argsort(dim=1, descending=True).argsort(dim=1)
    for row in range(min(queries, 5)):
        order = sorted(range(1003), key=lambda at: (int(first[row, which[at]]), at))
        hits = [at % 5 == row % 5 for at in order]
        assert frame["AP_l0"][row] == pytest.approx(oracles.ap(hits), abs=1e-12)


def test_metrics_equal_those_of_ir_measures() -> None:
    """An independent library, on cosines without ties. Its R@k divides by all positives, its Success@k is our R@k."""
    sides = with_duplicates(12, 200, seed=3)
    sides[2][100:] += 0.01 * torch.randn(100, 16, generator=torch.Generator().manual_seed(9))
    sides[2][50:] *= torch.linspace(0.01, 100, 150)[:, None]  # the lengths have no effect
    scores = sides[0] @ torch.nn.functional.normalize(sides[2]).T
    depth = agreement(sides[1], sides[3])
    run = [ir_measures.ScoredDoc(str(q), str(d), float(scores[q, d])) for q in range(12) for d in range(200)]
    for t, level in ((3, "l0"), (1, "l2")):
        qrels = [ir_measures.Qrel(str(q), str(d), int(depth[q, d] >= t)) for q in range(12) for d in range(200)]
        names = {AP: "AP", P @ 10: "P@10", R @ 10: "recall@10", Success @ 1: "R@1", Success @ 10: "R@10"}
        frame = evaluate(*sides, metrics=[f"{name}_{level}" for name in names.values()])
        positives = (depth >= t).sum(1)
        for measured in ir_measures.iter_calc(list(names), qrels, run):
            row = int(measured.query_id)
            ours = frame[f"{names[measured.measure]}_{level}"][row]
            if measured.measure == R @ 10:
                ours *= min(int(positives[row]), 10) / int(positives[row])
            assert ours == pytest.approx(measured.value, abs=1e-6)
    gains = [ir_measures.Qrel(str(q), str(d), 2 ** int(depth[q, d]) - 1) for q in range(12) for d in range(200)]
    frame = evaluate(*sides, metrics=["NDCG", "NDCG@10"])
    for measured in ir_measures.iter_calc([nDCG, nDCG @ 10], gains, run):
        ours = frame["NDCG" if measured.measure == nDCG else "NDCG@10"][int(measured.query_id)]
        assert ours == pytest.approx(measured.value, abs=1e-6)


DYML = ["H-AP", "ASI", "NDCG@10", "AP_l0", "AP_l1", "R@1_l0"]


def test_queries_may_be_part_of_a_larger_gallery() -> None:
    """DyML: every query is also a gallery item, and removed by its id; all other items are ranked."""
    generator = torch.Generator().manual_seed(4)
    embeddings = torch.nn.functional.normalize(torch.randn(60, 8, generator=generator))
    labels = torch.stack([torch.arange(60) % 12, torch.arange(60) % 4], dim=1)
    chosen = torch.randperm(60, generator=generator)[:15]
    names = [f"image {n}" for n in range(60)]
    ids = [names[int(n)] for n in chosen]
    inside = evaluate(
        embeddings[chosen], labels[chosen], embeddings, labels, query_ids=ids, gallery_ids=names, metrics=DYML
    )
    alone = evaluate(embeddings, labels, query_ids=names, metrics=DYML)
    np.testing.assert_allclose(inside, alone.iloc[chosen.tolist()], atol=1e-12)
    with_itself = evaluate(embeddings[chosen], labels[chosen], embeddings, labels, metrics=["R@1_l0"])
    assert (with_itself["R@1_l0"] == 1).all(), "without ids nothing is removed"


ALL_METRICS = [*oracles.metrics([], 3), "ties"]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_and_the_numbers_of_labels_have_no_effect(seed: int) -> None:
    """The scores have no ties, where the order of the items would matter."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(6, 50, generator=generator, dtype=torch.float64)
    fine = torch.randint(0, 12, (56,), generator=generator)
    labels = torch.stack([fine, fine // 3, fine // 6], dim=1)
    query, gallery = labels[:6], labels[6:]
    items = torch.eye(50, dtype=torch.float64)
    whole = evaluate(scores, query, items, gallery, metrics=ALL_METRICS)
    rows, columns = torch.randperm(6, generator=generator), torch.randperm(50, generator=generator)
    turned = evaluate(scores[rows], query[rows], items[columns], gallery[columns], metrics=ALL_METRICS)
    np.testing.assert_allclose(turned, whole.iloc[rows.tolist()], atol=1e-12)
    numbers = torch.stack([torch.randperm(12, generator=generator) * 10**12 + 7 for _ in range(3)])
    renamed = [torch.stack([numbers[c][side[:, c]] for c in range(3)], dim=1) for side in (query, gallery)]
    again = evaluate(scores, renamed[0], items, renamed[1], metrics=ALL_METRICS)
    pd.testing.assert_frame_equal(again, whole)


def test_distractors_at_the_end_change_nothing() -> None:
    query, labels, gallery, names = (side[:40] for side in with_duplicates(8, 60))
    few = evaluate(query, labels, gallery, names, metrics=ALL_METRICS)
    padded = torch.cat([query @ gallery.T, torch.full((len(query), 7), -9.0)], dim=1)
    distractors = torch.full((7, 3), 10**6)
    more = evaluate(padded, labels, torch.eye(padded.shape[1]), torch.cat([names, distractors]), metrics=ALL_METRICS)
    np.testing.assert_allclose(more, few, atol=1e-12)


def test_ids_may_be_tensors_or_arrays() -> None:
    embeddings, labels = torch.eye(3)[[0, 0, 1]], torch.tensor([[0], [1], [0]])
    expected = evaluate(embeddings, labels, metrics=["AP_l0"])
    for ids in (torch.arange(3), np.arange(3), pd.Series(range(3))):
        frame = evaluate(embeddings, labels, embeddings, labels, query_ids=ids, gallery_ids=[0, 1, 2])
        pd.testing.assert_series_equal(frame["AP_l0"], expected["AP_l0"])


def test_half_precision_equals_the_same_numbers_in_float32() -> None:
    sides = with_duplicates(5, 200)
    half = evaluate(sides[0].half(), sides[1], sides[2].half(), sides[3], metrics=NAMES)
    wide = evaluate(sides[0].half().float(), sides[1], sides[2].half().float(), sides[3], metrics=NAMES)
    pd.testing.assert_frame_equal(half, wide, rtol=0, atol=1e-12)
