"""How severe a model's mistakes are: what the first wrong image of each query still has in common with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from hgld.benchmarks.evaluation.result import BenchmarkResult
from hgld.foundation.display import svg

MOST_POINTS = 1000


@dataclass(frozen=True, kw_only=True)
class Severity:
    """Queries whose first mistake has one agreement, or that have no mistake (agreement None).

    share: of the queries with a relevant image; or_worse: of those whose first mistake is this one or a more severe.
    """

    agreement: int | None
    text: str
    count: int
    share: float
    or_worse: float


def severities(result: BenchmarkResult, levels: Sequence[str]) -> list[Severity]:
    """From no mistake to the most severe; empty where no query has a relevant image."""
    defined = result.mistakes[result.mistakes["defined"]]
    if defined.empty:
        return []
    counts: dict[int | None, int] = {None: int(defined["agreement"].isna().sum())}
    counts |= {depth: int((defined["agreement"] == depth).sum()) for depth in range(len(levels) - 1, -1, -1)}
    rows, left = [], len(defined)
    for depth, count in counts.items():
        text = "no mistake" if depth is None else in_common(depth, levels)
        rows.append(
            Severity(agreement=depth, text=text, count=count, share=count / len(defined), or_worse=left / len(defined))
        )
        left -= count
    return rows


def in_common(agreement: int, levels: Sequence[str]) -> str:
    """What an agreement means.

    >>> in_common(1, ("landmark", "made_by")), in_common(0, ("landmark", "made_by"))
    ('same made by', 'nothing in common')
    """
    return f"same {levels[len(levels) - agreement].replace('_', ' ')}" if agreement else "nothing in common"


def mistake_of(result: BenchmarkResult, query: int, levels: Sequence[str]) -> str:
    """The first mistake of a query in words; "" for a query without relevant images."""
    row = result.mistakes.iloc[query]
    if not row["defined"]:
        return ""
    if pd.isna(row["rank"]):
        return "no mistake"
    return f"first mistake at {int(row['rank']) + 1}: {in_common(int(row['agreement']), levels)}"


def worst(result: BenchmarkResult, ids: Sequence[str], count: int) -> list[int]:
    """The queries with the lowest H-AP, lowest first."""
    h_ap = result.h_ap
    return sorted((n for n in range(len(ids)) if h_ap[n] == h_ap[n]), key=lambda n: (h_ap[n], ids[n]))[:count]


def most_severe(result: BenchmarkResult, ids: Sequence[str], count: int) -> list[int]:
    """The queries whose first mistake has the least in common with them, then the earliest of these, then by H-AP."""
    table = result.mistakes
    agreement, rank = table["agreement"].tolist(), table["rank"].tolist()
    mistaken = [n for n in range(len(ids)) if agreement[n] == agreement[n]]
    return sorted(mistaken, key=lambda n: (agreement[n], rank[n], result.h_ap[n], ids[n]))[:count]


def ap_against_h_ap(per_query: pd.DataFrame) -> str:
    """A point per query: AP_l0 and H-AP; of a random sample if there are many, always the same. "" without AP_l0."""
    if "AP_l0" not in per_query:
        return ""
    table = per_query[["image_id", "AP_l0", "H-AP"]].dropna()
    if len(table) > MOST_POINTS:
        table = table.sample(MOST_POINTS, random_state=0).sort_index()
    points = [
        svg.CurvePoint(ap, h_ap, h_ap, h_ap, f"{name}: AP {ap:.3f}, H-AP {h_ap:.3f}")
        for name, ap, h_ap in table.itertuples(index=False)
    ]
    return svg.unit_points(points, "AP_l0", "H-AP", "H-AP of each query by its AP at the finest level")
