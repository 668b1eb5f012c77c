"""Agreement on nested and ragged labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hgld.benchmarks.losses import LOSSES
from hgld.benchmarks.metrics import evaluate
from hgld.benchmarks.ranking.levels import UNKNOWN, agreement, check_finest_first, check_hierarchy
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


def test_every_wrong_order_of_the_levels_is_an_error_everywhere() -> None:
    """Fine, coarsest, middle passed: H-AP was .4985 where .6143 is right."""
    embeddings, labels = batch(160)[0], torch.arange(160)[:, None] // torch.tensor([2, 8, 32])
    gallery = torch.cat([labels, labels.index_fill(1, torch.tensor([1]), UNKNOWN)])
    for order in set(permutations(range(3))) - {(0, 1, 2)}:
        wrong = labels[:, list(order)]
        calls: list[Callable[[], object]] = [
            lambda: evaluate(embeddings, wrong),  # noqa: B023 (called at once)
            lambda: evaluate(embeddings, labels, embeddings.repeat(2, 1), gallery[:, list(order)]),  # noqa: B023
            lambda: example("sup_hap")(embeddings, wrong),  # noqa: B023
            lambda: example("triplet")(embeddings, labels, embeddings, wrong),  # noqa: B023
            lambda: contiguous_labels(wrong),  # noqa: B023
            lambda: LOSSES["csl"](num_classes=wrong, dim=DIM),  # noqa: B023
        ]
        for call in calls:
            with pytest.raises(HgldError, match=r"column \d is finer than column \d"):
                call()
    with pytest.raises(HgldError, match=r"give them as labels\[:, \[0, 2, 1\]\]"):
        evaluate(embeddings, labels[:, [0, 2, 1]])


def test_the_order_to_give_is_another_one_also_where_labels_are_missing() -> None:
    """UNKNOWN counted as a class, and the order that was given was the remedy."""
    place = torch.arange(160)
    middle = (place // 40).clamp(max=2)
    labels = torch.stack([place, (middle > 0).long(), middle], 1)
    labels[::7, 1] = UNKNOWN
    elsewhere = torch.stack([place, place // 40, place // 20], 1)
    elsewhere[80:] = torch.stack([place, place // 10, place.new_full((160,), UNKNOWN)], 1)[80:]
    # the coarser column has more labels, but on rows that lack the finer one
    for wrong in (labels, elsewhere):
        with pytest.raises(HgldError, match=r"give them as labels\[:, \[0, 2, 1\]\]"):
            check_hierarchy(wrong, "labels")
        check_hierarchy(wrong[:, [0, 2, 1]], "labels")


def test_a_hierarchy_in_order_and_columns_that_do_not_nest_are_never_refused() -> None:
    """Country and kind of a landmark: in a batch each country may have a single kind, by chance."""
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randint(k, (2000, 200), generator=generator) for k in (30, 2, 60)]
    labels = torch.stack([torch.arange(200).expand(2000, 200), *draws[1:]], dim=2)
    for batch_labels in labels:
        check_hierarchy(batch_labels[:32], "labels", chance=1e-6)
    check_hierarchy(labels[0], "labels")
    for missing in (0.1, 0.5):
        nested = torch.arange(160)[:, None] // torch.tensor([2, 8, 32, 64])
        unknown = torch.rand(nested.shape, generator=generator) < missing
        check_hierarchy(nested.masked_fill(unknown, UNKNOWN), "labels")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([[-100, 0], [1, 0]]), "labels: -100 in row 0, column 0; a label is a number from 0 up"),
        (torch.tensor([[1, 0], [2, 1 << 63]], dtype=torch.uint64), "in row 1, column 1"),
        (torch.zeros(2, 300, dtype=torch.long), "300 columns; expected one per level, at most 64"),
        (torch.eye(2, dtype=torch.bool), "labels must be integers"),
        (torch.eye(2, dtype=torch.complex64), "must be a dense tensor of numbers"),
        (torch.eye(2, dtype=torch.long, device="meta"), r"dense tensor of numbers; got torch.int64 \(meta\)"),
        ([[1, 0], [2, 0]], "labels must be a torch tensor or a NumPy array; got list"),
    ],
    ids=str,
)
def test_labels_that_are_none_are_an_error_everywhere(labels: Any, message: str) -> None:
    """Beyond 255 levels agreements overflowed; -100, which losses of torch ignore, was a class."""
    embeddings = torch.eye(2)
    for call in (lambda: evaluate(embeddings, labels), lambda: example("sup_hap")(embeddings, labels)):
        with pytest.raises(HgldError, match=message):
            call()


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
