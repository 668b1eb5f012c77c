"""How severe mistakes are and the map of the embeddings: against slow loops and values worked by hand."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
import torch

from hgld.benchmarks.evaluation.embedding_map import MOST_POINTS, EmbeddingMap, level_maps
from hgld.benchmarks.evaluation.mistakes import mistake_of, most_severe, severities, worst
from hgld.benchmarks.metrics.definitions import first_mistake, first_mistake_agreement
from hgld.benchmarks.metrics.ranked_hits import Ranking

NAN = float("nan")
LEVELS = ("landmark", "made_by")


def slow_first_mistake(depth: list[int], levels: int) -> tuple[float, float]:
    for rank, agreement in enumerate(depth):
        if agreement < levels:
            return (rank, agreement) if levels in depth[rank:] else (NAN, NAN)
    return NAN, NAN


def test_first_mistakes_are_those_of_a_slow_loop() -> None:
    for levels in (1, 2, 3):
        depth = torch.randint(0, levels + 1, (300, 6), generator=torch.Generator().manual_seed(levels)).byte()
        depth[0], depth[1] = levels, 0
        ranking = Ranking.of(depth, levels)
        expected = [slow_first_mistake(row, levels) for row in depth.tolist()]
        found = torch.stack([first_mistake(ranking), first_mistake_agreement(ranking)], dim=1)
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), equal_nan=True)


def result(agreement: list[float], rank: list[float], h_ap: list[float], defined: list[bool]) -> Any:
    mistakes = pd.DataFrame({"rank": rank, "agreement": agreement, "defined": defined})
    return cast(Any, SimpleNamespace(mistakes=mistakes, h_ap=h_ap))


def test_shares_are_over_the_queries_with_a_relevant_image() -> None:
    scored = result([1, 0, NAN, 1, NAN], [2, 0, NAN, 0, NAN], [0.5] * 5, [True, True, True, True, False])
    rows = [(row.text, row.count, row.share, row.or_worse) for row in severities(scored, LEVELS)]
    assert rows == [
        ("no mistake", 1, 0.25, 1.0),
        ("same made by", 2, 0.5, 0.75),
        ("nothing in common", 1, 0.25, 0.25),
    ]
    texts = [mistake_of(scored, n, LEVELS) for n in range(5)]
    assert texts == [
        "first mistake at 3: same made by", "first mistake at 1: nothing in common", "no mistake",
        "first mistake at 1: same made by", "",
    ]  # fmt: skip
    assert severities(result([NAN], [NAN], [NAN], [False]), LEVELS) == []


def test_failures_are_ordered_by_severity_then_rank_then_score() -> None:
    scored = result([1, 0, 0, 0, NAN], [0, 3, 0, 0, NAN], [0.1, 0.4, 0.3, 0.2, NAN], [True] * 4 + [False])
    assert most_severe(scored, list("abcde"), 9) == [3, 2, 1, 0]
    assert worst(scored, list("abcde"), 3) == [0, 3, 2]


def test_map_keeps_distances_in_the_plane_and_does_not_depend_on_signs() -> None:
    plane = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.tensor([3, 1])
    basis = torch.linalg.qr(torch.randn(8, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    drawn = EmbeddingMap.of((plane @ basis.T).float())
    torch.testing.assert_close(torch.cdist(drawn.points, drawn.points), torch.cdist(plane, plane), atol=1e-4, rtol=1e-4)
    assert drawn.share == pytest.approx(1.0) and drawn.points[:, 0].var() > drawn.points[:, 1].var()
    torch.testing.assert_close(EmbeddingMap.of((-plane @ basis.T).float()).points, -drawn.points, atol=1e-4, rtol=1e-4)


def test_map_of_many_embeddings_is_a_sample_and_always_the_same() -> None:
    vectors = torch.randn(3000, 4, generator=torch.Generator().manual_seed(0))
    first, second = EmbeddingMap.of(vectors), EmbeddingMap.of(vectors)
    assert len(first.rows) == len(set(first.rows.tolist())) == MOST_POINTS
    assert torch.equal(first.rows, second.rows) and torch.equal(first.points, second.points)


@pytest.mark.parametrize("vectors", [torch.ones(1, 4), torch.ones(5, 4), torch.arange(3.0)[:, None]])
def test_map_of_embeddings_without_two_directions(vectors: torch.Tensor) -> None:
    drawn = EmbeddingMap.of(vectors)
    assert drawn.points.shape == (len(vectors), 2) and drawn.points.isfinite().all()
    assert math.isfinite(drawn.share)


def test_each_level_has_its_colours_and_every_point_is_drawn_once() -> None:
    fine = [n % 9 for n in range(27)] + [0, -1]
    gallery = SimpleNamespace(labels=torch.tensor([[label, label // 5 if label >= 0 else 2] for label in fine]))
    names = tuple(f"<{n}>" for n in range(9)), ("natural", "human-made", "")
    dataset = cast(Any, SimpleNamespace(gallery=gallery, levels=LEVELS, class_names=names))
    vectors = torch.randn(29, 4, generator=torch.Generator().manual_seed(0))
    maps = level_maps(EmbeddingMap.of(vectors), dataset)
    assert [drawn.level for drawn in maps] == ["landmark", "made by"]
    for drawn in maps:
        assert drawn.chart.count("<circle") == 29 and "<title><" not in drawn.chart
    assert [name for _, name in maps[0].legend] == ["<0>", "<1>", "<2>", "<3>", "<4>", "<5>", "3 others or no label"]
    assert [name for _, name in maps[1].legend] == ["natural", "human-made", "no label"]
    first = re.findall(r'<g class="s0 points"><title>&lt;0&gt;</title>(.*?)</g>', maps[0].chart)
    assert [group.count("<circle") for group in first] == [4]
