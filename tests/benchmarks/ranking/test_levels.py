"""Agreement on nested and ragged labels."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.ranking.levels import UNKNOWN, agreement, check_finest_first
from hgld.benchmarks.training.setup import contiguous_labels
from hgld.foundation.errors import HgldError
from tests.benchmarks import oracles
from tests.benchmarks.losses.examples import DIM, PROXIES, batch, example


def test_agreement_counts_from_the_coarsest() -> None:
    a, b = torch.tensor([[1, 1, 1]]), torch.tensor([[1, 1, 1], [2, 1, 1], [1, 2, 1], [1, 1, 2]])
    assert agreement(a, b).tolist() == [[3, 2, 1, 0]]


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


def finer_columns(rows: Sequence[Sequence[int]]) -> list[int]:
    """The columns that determine column 0 and are not determined by it, among those with four labels or more."""

    def determines(a: int, b: int) -> bool:
        known = [row for row in rows if UNKNOWN not in (row[a], row[b])]
        return all(one[b] == other[b] for one in known for other in known if one[a] == other[a])

    several = [column for column in range(1, len(rows[0])) if len({row[column] for row in rows}) >= 4]
    return [column for column in several if determines(column, 0) and not determines(0, column)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(UNKNOWN, 1), st.integers(UNKNOWN, 5)), min_size=4, max_size=12))
def test_labels_with_a_column_finer_than_the_first_are_refused(rows: list[tuple[int, ...]]) -> None:
    finer = finer_columns(rows)
    if finer:
        with pytest.raises(HgldError, match=f"column {finer[0]} is finer than column 0"):
            check_finest_first(torch.tensor(rows), "labels")
    else:
        check_finest_first(torch.tensor(rows), "labels")


@pytest.mark.parametrize("side", ["query", "gallery"])
def test_coarsest_first_is_an_error_in_metrics_and_losses(side: str) -> None:
    """H-AP would be .194 for .232, and SupHAP train as SupAP."""
    embeddings, labels = batch(30)
    check_finest_first(labels[:1].flip(1), "one row says nothing")
    assert evaluate(embeddings, labels[:, :1].flip(1), metrics="AP_l0").notna().any(axis=None)
    sides = (labels.flip(1), labels) if side == "query" else (labels, labels.flip(1))
    inputs = embeddings, sides[0], embeddings, sides[1]
    with pytest.raises(HgldError, match=f"{side} labels: column 1 is finer than column 0"):
        evaluate(*inputs)
    for name in LOSSES:
        if side == "query" or name not in PROXIES:
            with pytest.raises(HgldError, match="labels: column 1 is finer than column 0"):
                example(name)(*inputs)
    with pytest.raises(HgldError, match=r"labels of the train images: column 1 is finer"):
        contiguous_labels(labels.flip(1))
    with pytest.raises(HgldError, match="table of the classes' labels: column 1 is finer"):
        LOSSES["csl"](num_classes=labels.flip(1), dim=DIM)


@settings(max_examples=100, deadline=None)
@given(ragged)
def test_a_missing_label_agrees_where_the_next_finer_one_does(rows: list[list[int]]) -> None:
    labels = torch.tensor(rows)
    depth = agreement(labels[:2], labels)
    assert depth.tolist() == [[ragged_agreement(a, b) for b in rows] for a in rows[:2]]
    scores = torch.linspace(1, 0, len(rows), dtype=torch.float64).repeat(2, 1)
    frame = evaluate(scores, labels[:2], torch.eye(len(rows), dtype=torch.float64), labels, metrics=["NDCG", "ASI"])
    for row in range(2):
        ts = depth[row].tolist()
        assert frame["NDCG"][row] == pytest.approx(oracles.ndcg(ts), nan_ok=True)
        assert frame["ASI"][row] == pytest.approx(oracles.asi(ts), nan_ok=True)


def test_a_missing_label_never_separates_a_landmark_and_never_joins_two() -> None:
    query = torch.tensor([[7, UNKNOWN, 1]])
    same, same_without, other, other_without = [7, 3, 1], [7, UNKNOWN, UNKNOWN], [8, 3, 1], [8, UNKNOWN, 1]
    unlabelled = [UNKNOWN, UNKNOWN, UNKNOWN]
    gallery = torch.tensor([same, same_without, other, other_without, unlabelled])
    assert agreement(query, gallery).tolist() == [[3, 3, 1, 1, 0]]
    assert agreement(torch.tensor([unlabelled]), gallery).tolist() == [[0] * 5]


def test_labels_beyond_32_bits_are_distinguished() -> None:
    labels = torch.tensor([[5], [5 + (1 << 32)]])
    frame = evaluate(torch.eye(2), labels, torch.eye(2)[[1, 0]], labels % (1 << 32), metrics=["AP_l0"])
    assert frame["AP_l0"].isna().tolist() == [False, True]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_a_label_of_255_is_not_missing(dtype: torch.dtype) -> None:
    """It equals -1 in an unsigned 8-bit integer."""
    labels = torch.tensor([[255], [255], [3]]).to(dtype)
    assert agreement(labels, labels).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    frame = evaluate(torch.eye(3)[[0, 0, 1]], labels, metrics=["AP_l0"])
    assert frame["AP_l0"].tolist()[:2] == [1.0, 1.0]
