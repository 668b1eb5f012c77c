"""The fast ways of the metrics are exact: float32 keys, rows in blocks and threads, equal images, missing labels."""

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
from hgld.benchmarks.ranking import sorting as ordering
from hgld.benchmarks.ranking.duplicates import copies, firsts
from hgld.benchmarks.ranking.levels import UNKNOWN, agreement
from hgld.benchmarks.ranking.threads import side_by_side
from tests import oracles


def slow(ts: Sequence[int], levels: int) -> dict[str, float]:
    """Every metric of one ranking of agreements, by the slow loops."""
    values = {
        "H-AP": oracles.h_ap(ts, levels),
        "NDCG": oracles.ndcg(ts),
        "NDCG@3": oracles.ndcg(ts, 3),
        "ASI": oracles.asi(ts),
    }
    for t in range(1, levels + 1):
        hits, level = [u >= t for u in ts], levels - t
        values[f"AP#{t}"] = oracles.exact_ap(ts, t)
        values[f"AP_l{level}"] = oracles.ap(hits)
        values[f"mAP@R_l{level}"] = oracles.ap_at_r(hits)
        values[f"mAP@3_l{level}"] = oracles.ap_at(hits, 3)
        values[f"P@3_l{level}"] = oracles.precision_at(hits, 3)
        values[f"R@3_l{level}"] = oracles.any_at(hits, 3)
        values[f"recall@3_l{level}"] = oracles.recall_at(hits, 3)
    return values


def compare(
    scores: Tensor, query_labels: Tensor, labels: Tensor, query_ids: Sequence[int], gallery_ids: Sequence[int]
) -> None:
    """Every metric of a matrix of scores against the slow loops."""
    levels = labels.shape[1]
    names = [*slow([], levels), "ties"]
    gallery = torch.eye(len(labels), dtype=scores.dtype)
    ids = {"query_ids": query_ids, "gallery_ids": gallery_ids}
    frame = evaluate(scores, query_labels, gallery, labels, metrics=names, **ids)
    for row, values in enumerate(scores.tolist()):
        hidden = {at for at, name in enumerate(gallery_ids) if name == query_ids[row]}
        order = oracles.ranking(values, hidden)
        ts = [oracles.agreement(query_labels[row].tolist(), labels[at].tolist()) for at in order]
        for name, value in slow(ts, levels).items():
            assert frame[name][row] == pytest.approx(value, abs=1e-12, nan_ok=True), name
        near = zip(order, order[1:], ts, ts[1:], strict=False)
        assert frame["ties"][row] == any(values[a] == values[b] and t != u for a, b, t, u in near)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, list[int], list[int]]:
    """Scores with many ties, signs and zeros; 1 to 8 levels, nested or not; ids shared by queries and items."""
    levels, queries, items = draw(st.integers(1, 8)), draw(st.integers(1, 3)), draw(st.integers(1, 60))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    grid = st.sampled_from([-1.0, -0.5, -0.0, 0.0, 1e-30, 0.5, 0.50000006, 1.0])
    scores = [[draw(grid) for _ in range(items)] for _ in range(queries)]
    label = st.lists(st.integers(0, 2), min_size=levels, max_size=levels)
    sides = [torch.tensor([draw(label) for _ in range(count)]) for count in (queries, items)]
    ids = [[draw(st.integers(0, 30)) for _ in range(count)] for count in (queries, items)]
    return torch.tensor(scores, dtype=dtype), sides[0], sides[1], ids[0], ids[1]


@settings(max_examples=50, deadline=None)
@given(problems(), st.booleans())
def test_any_levels_any_dtype_any_way_of_sorting(
    problem: tuple[Tensor, Tensor, Tensor, list[int], list[int]], long: bool
) -> None:
    before, ordering.LONG = ordering.LONG, 0 if long else ordering.LONG
    try:
        compare(*problem)
    finally:
        ordering.LONG = before


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_keys_order_every_float(values: list[float]) -> None:
    scores = torch.tensor([values])
    order = oracles.ranking(scores[0].tolist())
    keys = ordering.descending_keys(scores.clone())[0]
    assert keys.argsort(stable=True).tolist() == order
    assert int(keys.max()) < ordering.LAST


def world(queries: int, items: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
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
def test_blocks_parts_and_threads_change_nothing(
    monkeypatch: pytest.MonkeyPatch, block: int, part: int
) -> None:
    sides = [side.double() if side.is_floating_point() else side for side in world(30, 700)]
    whole = evaluate(*sides, metrics=NAMES)
    monkeypatch.setattr(per_query, "BLOCK", block)
    monkeypatch.setattr(per_query, "PART", part)
    pd.testing.assert_frame_equal(evaluate(*sides, metrics=NAMES), whole, rtol=0, atol=1e-12)


def test_long_rows_are_those_of_float64() -> None:
    """40,000 items a row: the radix sort. The scores are exact in both types."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(-99, 99, (3, 40_000), generator=generator).float() / 128
    labels = torch.randint(0, 9, (40_000, 2), generator=generator)
    ranked = []
    for dtype in (torch.float32, torch.float64):
        depth = agreement(labels[:3], labels)
        hidden = torch.tensor([0, 0, 2]), torch.tensor([7, 9, 11])
        ranked.append(ordering.ordered(scores.to(dtype, copy=True), depth, hidden)[0])
    assert torch.equal(*ranked)


def test_the_callers_tensors_stay_as_they_are() -> None:
    sides = world(20, 300)
    before = [side.clone() for side in sides]
    evaluate(sides[0].requires_grad_(), *sides[1:])
    assert all(torch.equal(a, b) for a, b in zip(sides, before, strict=True))


@pytest.mark.parametrize("queries", [1, 2, 7, 100])
def test_equal_images_have_equal_scores(queries: int) -> None:
    """A matrix product alone gives copies different scores at the edges of its tiles."""
    generator = torch.Generator().manual_seed(queries)
    few = torch.nn.functional.normalize(torch.randn(7, 64, generator=generator))
    which = torch.randint(0, 7, (1003,), generator=generator)
    query = torch.nn.functional.normalize(torch.randn(queries, 64, generator=generator))
    labels = torch.arange(1003)[:, None] % 5
    frame = evaluate(query, labels[:queries], few[which], labels, metrics=["AP_l0"])
    # Whole groups of copies follow each other, and each group goes by index.
    first = (query.double() @ few.double().T).argsort(dim=1, descending=True).argsort(dim=1)
    for row in range(min(queries, 5)):
        order = sorted(range(1003), key=lambda at: (int(first[row, which[at]]), at))
        hits = [at % 5 == row % 5 for at in order]
        assert frame["AP_l0"][row] == pytest.approx(oracles.ap(hits), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", range(9))
def test_copies_are_found(width: int, dtype: torch.dtype) -> None:
    """Also among numbers that differ in few bits, of which a careless sum keeps none: signs, powers of two, -0."""
    generator = torch.Generator().manual_seed(width)
    values = torch.tensor([-1.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0], dtype=dtype)
    for scale in (1, 4, 7):
        drawn = values[torch.randint(7 - scale, 7, (200, width), generator=generator)]
        rows = drawn.tolist()
        at, of = copies(drawn)
        expected = {n: rows.index(row) for n, row in enumerate(rows) if rows.index(row) != n}
        assert dict(zip(at.tolist(), of.tolist(), strict=True)) == expected
        assert firsts(drawn).tolist() == [rows.index(row) for row in rows]


def test_ir_measures_agrees() -> None:
    """An independent library, on scores without ties.

    Its R is the share of all R positives, where recall@k takes min(R, k); its Success is R@k.
    """
    sides = world(12, 200, seed=3)
    sides[2][100:] += 0.01 * torch.randn(100, 16, generator=torch.Generator().manual_seed(9))
    scores, depth = sides[0] @ sides[2].T, agreement(sides[1], sides[3])
    run = [ir_measures.ScoredDoc(str(q), str(d), float(scores[q, d])) for q in range(12) for d in range(200)]
    for t, level in ((3, "l0"), (1, "l2")):
        qrels = [
            ir_measures.Qrel(str(q), str(d), int(depth[q, d] >= t)) for q in range(12) for d in range(200)
        ]
        names = {AP: "AP", P @ 10: "P@10", R @ 10: "recall@10", Success @ 1: "R@1", Success @ 10: "R@10"}
        frame = evaluate(*sides, metrics=[f"{name}_{level}" for name in names.values()])
        positives = (depth >= t).sum(1)
        for measured in ir_measures.iter_calc(list(names), qrels, run):
            row = int(measured.query_id)
            ours = frame[f"{names[measured.measure]}_{level}"][row]
            if measured.measure == R @ 10:
                ours *= min(int(positives[row]), 10) / int(positives[row])
            assert ours == pytest.approx(measured.value, abs=1e-6)
    gains = [
        ir_measures.Qrel(str(q), str(d), 2 ** int(depth[q, d]) - 1) for q in range(12) for d in range(200)
    ]
    frame = evaluate(*sides, metrics=["NDCG", "NDCG@10"])
    for measured in ir_measures.iter_calc([nDCG, nDCG @ 10], gains, run):
        ours = frame["NDCG" if measured.measure == nDCG else "NDCG@10"][int(measured.query_id)]
        assert ours == pytest.approx(measured.value, abs=1e-6)


def ragged_agreement(a: Sequence[int], b: Sequence[int]) -> int:
    """A missing label agrees where the next finer one does; depth counted from the coarsest."""

    def agrees(column: int) -> bool:
        if UNKNOWN in (a[column], b[column]):
            return column > 0 and agrees(column - 1)
        return a[column] == b[column]

    depth = 0
    while depth < len(a) and agrees(len(a) - 1 - depth):
        depth += 1
    return depth


ragged = st.integers(1, 5).flatmap(
    lambda levels: st.lists(
        st.lists(st.integers(UNKNOWN, 1), min_size=levels, max_size=levels), min_size=2, max_size=20
    )
)


@settings(max_examples=100, deadline=None)
@given(ragged)
def test_missing_labels(rows: list[list[int]]) -> None:
    labels = torch.tensor(rows)
    depth = agreement(labels[:2], labels)
    assert depth.tolist() == [[ragged_agreement(a, b) for b in rows] for a in rows[:2]]
    scores = torch.linspace(1, 0, len(rows), dtype=torch.float64).repeat(2, 1)
    frame = evaluate(
        scores, labels[:2], torch.eye(len(rows), dtype=torch.float64), labels, metrics=["NDCG", "ASI"]
    )
    for row in range(2):
        ts = depth[row].tolist()
        assert frame["NDCG"][row] == pytest.approx(oracles.ndcg(ts), nan_ok=True)
        assert frame["ASI"][row] == pytest.approx(oracles.asi(ts), nan_ok=True)


def test_a_missing_label_never_parts_a_landmark_and_never_joins_two() -> None:
    query = torch.tensor([[7, UNKNOWN, 1]])
    same, same_without, other, other_without = [7, 3, 1], [7, UNKNOWN, UNKNOWN], [8, 3, 1], [8, UNKNOWN, 1]
    nobody = [UNKNOWN, UNKNOWN, UNKNOWN]
    gallery = torch.tensor([same, same_without, other, other_without, nobody])
    assert agreement(query, gallery).tolist() == [[3, 3, 1, 1, 0]]
    assert agreement(torch.tensor([nobody]), gallery).tolist() == [[0] * 5]


def test_labels_beyond_32_bits_are_told_apart() -> None:
    labels = torch.tensor([[5], [5 + (1 << 32)]])
    frame = evaluate(torch.eye(2), labels, torch.eye(2)[[1, 0]], labels % (1 << 32), metrics=["AP_l0"])
    assert frame["AP_l0"].isna().tolist() == [False, True]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_a_label_of_255_is_no_missing_one(dtype: torch.dtype) -> None:
    """-1 in an unsigned type."""
    labels = torch.tensor([[255], [255], [3]]).to(dtype)
    assert agreement(labels, labels).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    frame = evaluate(torch.eye(3)[[0, 0, 1]], labels, metrics=["AP_l0"])
    assert frame["AP_l0"].tolist()[:2] == [1.0, 1.0]


DYML = ["H-AP", "ASI", "NDCG@10", "AP_l0", "AP_l1", "R@1_l0"]


def test_queries_inside_a_larger_gallery() -> None:
    """DyML: every query is also a gallery item, known by its id, wherever it stands; the rest are distractors too."""
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
    kept = evaluate(embeddings[chosen], labels[chosen], embeddings, labels, metrics=["R@1_l0"])
    assert (kept["R@1_l0"] == 1).all(), "without ids nothing is removed"


EVERYTHING = [*slow([], 3), "ties"]


@pytest.mark.parametrize("seed", range(5))
def test_orders_and_names_are_no_matter(seed: int) -> None:
    """Queries in another order, items in another order (no ties), labels with other numbers: the same values."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(6, 50, generator=generator, dtype=torch.float64)
    fine = torch.randint(0, 12, (56,), generator=generator)
    labels = torch.stack([fine, fine // 3, fine // 6], dim=1)
    query, gallery = labels[:6], labels[6:]
    items = torch.eye(50, dtype=torch.float64)
    whole = evaluate(scores, query, items, gallery, metrics=EVERYTHING)
    rows, columns = torch.randperm(6, generator=generator), torch.randperm(50, generator=generator)
    turned = evaluate(scores[rows], query[rows], items[columns], gallery[columns], metrics=EVERYTHING)
    np.testing.assert_allclose(turned, whole.iloc[rows.tolist()], atol=1e-12)
    numbers = torch.stack([torch.randperm(12, generator=generator) * 10**12 + 7 for _ in range(3)])
    renamed = [torch.stack([numbers[c][side[:, c]] for c in range(3)], dim=1) for side in (query, gallery)]
    again = evaluate(scores, renamed[0], items, renamed[1], metrics=EVERYTHING)
    pd.testing.assert_frame_equal(again, whole)


def test_items_of_nobody_at_the_end_change_nothing() -> None:
    query, labels, gallery, names = (side[:40] for side in world(8, 60))
    few = evaluate(query, labels, gallery, names, metrics=EVERYTHING)
    padded = torch.cat([query @ gallery.T, torch.full((len(query), 7), -9.0)], dim=1)
    strangers = torch.full((7, 3), 10**6)
    more = evaluate(
        padded, labels, torch.eye(padded.shape[1]), torch.cat([names, strangers]), metrics=EVERYTHING
    )
    np.testing.assert_allclose(more, few, atol=1e-12)


def test_ids_may_be_tensors_or_arrays() -> None:
    embeddings, labels = torch.eye(3)[[0, 0, 1]], torch.tensor([[0], [1], [0]])
    expected = evaluate(embeddings, labels, metrics=["AP_l0"])
    for ids in (torch.arange(3), np.arange(3), pd.Series(range(3))):
        found = evaluate(embeddings, labels, embeddings, labels, query_ids=ids, gallery_ids=[0, 1, 2])
        pd.testing.assert_series_equal(found["AP_l0"], expected["AP_l0"])


def test_half_precision_embeddings_are_scored_in_float32() -> None:
    sides = world(5, 200)
    half = evaluate(sides[0].half(), sides[1], sides[2].half(), sides[3], metrics=NAMES)
    wide = evaluate(sides[0].half().float(), sides[1], sides[2].half().float(), sides[3], metrics=NAMES)
    pd.testing.assert_frame_equal(half, wide, rtol=0, atol=1e-12)


def test_threads_keep_order_pass_errors_on_and_leave_torch_as_it_was() -> None:
    before = torch.get_num_threads()
    with side_by_side(3) as each:
        assert each(lambda n: n * n, range(50)) == [n * n for n in range(50)]
        assert each(lambda _: torch.get_num_threads(), range(9)) == [1] * 9
        with pytest.raises(ZeroDivisionError):
            each(lambda n: 1 / n, [1, 0])
    assert torch.get_num_threads() == before
