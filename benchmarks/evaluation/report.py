"""The benchmark's HTML page: figures, plots and example queries in one self-contained file.

Deterministic: no clock, no random draw, rows in a fixed order.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from PIL import Image

from hgld.benchmarks.datasets.labelled_images import LabelledImages, RetrievalDataset
from hgld.benchmarks.evaluation import mistakes
from hgld.benchmarks.evaluation.embedding_map import level_maps
from hgld.benchmarks.evaluation.result import BenchmarkResult
from hgld.benchmarks.ranking.levels import agreement
from hgld.foundation.display import svg
from hgld.foundation.display.html_page import render_page

THUMBNAIL_PIXELS = 112
MAX_GROUPS = 40
FAILURES = 4  # example queries of each kind of failure


@dataclass(frozen=True)
class Thumbnail:
    """One image: a data: URI, its caption, and its agreement with the query (0..L)."""

    uri: str
    caption: str
    agreement: int


@dataclass(frozen=True)
class ExampleQuery:
    """One query with the names of its classes, finest first, and its nearest gallery images, best first.

    mistake: the first wrong image in words.
    """

    query: Thumbnail
    classes: tuple[str, ...]
    h_ap: float
    nearest: tuple[Thumbnail, ...]
    mistake: str


def page(
    result: BenchmarkResult,
    dataset: RetrievalDataset,
    curves: pd.DataFrame | None,
    config: dict[str, Any],
    max_examples: int,
) -> str:
    """The page as text. curves: those of the training, if known; config: the settings in the checkpoint."""
    scores = result.scores
    metrics = list(scores.columns)
    headline = [name for name in ("H-AP", "NDCG", "R@1_l0", "mAP@100_l0") if name in metrics]
    group = dataset.query_group
    evenly, worst, severe = example_queries(result, dataset, max_examples)
    return render_page(
        "hgld.benchmarks.evaluation",
        "report.html",
        title=result.provenance.get("release", ""),
        provenance=result.provenance,
        series=svg.SERIES,
        headline=[(name, scores[name].to_dict()) for name in headline],
        scores=scores,
        metrics=metrics,
        note=result.note(),
        charts=_charts(result, group, curves),
        group=_words(group or ""),
        group_note="" if group is None else group_note(result.per_query, group),
        curve_names=[] if curves is None else [c for c in curves.columns if c not in ("epoch", "lr")],
        evenly=len(evenly),
        examples=[
            ("queries, evenly from the highest H-AP to the lowest", evenly),
            ("other queries with the lowest H-AP", worst),
            ("other queries whose first mistake is the most severe", severe),
        ],
        by_source=_columns(result.by_source, headline),
        by_continent=_columns(result.by_continent, headline),
        severities=mistakes.severities(result, dataset.levels),
        scatter=mistakes.ap_against_h_ap(result.per_query),
        maps=level_maps(result.drawn, dataset),
        map_note=map_note(result, dataset),
        levels=dataset.levels,
        legend=legend(dataset.levels),
        settings=flatten(config),
    )


def _columns(means: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Of the means of groups of queries, those that the page shows."""
    return means[[name for name in ("queries", *metrics) if name in means]]


def _charts(result: BenchmarkResult, group: str | None, curves: pd.DataFrame | None) -> dict[str, str]:
    """The charts as SVG. display/svg.py escapes every name, so that the template may insert them unescaped."""
    scores = result.scores
    rows = list(scores.index)
    overall = [name for name in ("H-AP", "NDCG", "ASI") if name in scores]
    per_level = [name for name in map(str, scores.columns) if name.startswith(("AP_l", "R@1_l"))]
    by_group = {} if group is None else h_ap_by_group(result.per_query, group)

    def bars(names: list[str], label: str) -> str:
        values = {name: list(scores[name]) for name in names}
        return svg.for_any_screen(lambda width: svg.bars(values, rows, label, width))

    def group_bars(width: float) -> str:
        return svg.horizontal_bars(by_group, f"H-AP per {_words(group or '')}", width)

    return {
        "overall": bars(overall, "Scores over all levels"),
        "levels": bars(per_level, "Scores per level"),
        "groups": svg.for_any_screen(group_bars) if by_group else "",
        "curves": "" if curves is None else _curves_chart(curves),
    }


def _curves_chart(curves: pd.DataFrame) -> str:
    """The training losses by epoch; "" for curves without epochs."""
    if "epoch" not in curves or curves.empty:
        return ""
    names = [name for name in curves.columns if name not in ("epoch", "lr")]
    series = {str(name): [float(v) for v in curves[name]] for name in names}
    epochs = [float(v) for v in curves["epoch"]]
    return svg.for_any_screen(lambda width: svg.lines(series, epochs, "Training losses by epoch", width))


def h_ap_by_group(per_query: pd.DataFrame, group: str) -> dict[str, tuple[float, int]]:
    """Mean H-AP and number of queries of the MAX_GROUPS most frequent values of a column, highest mean first."""
    table = per_query[per_query[group] != ""].groupby(group)["H-AP"].agg(["mean", "count"])
    table = table[table["count"] > 0].reset_index()
    table = table.sort_values(["count", group], ascending=[False, True]).head(MAX_GROUPS)
    table = table.sort_values(["mean", group], ascending=[False, True])
    return {str(row[group]): (float(row["mean"]), int(row["count"])) for _, row in table.iterrows()}


def group_note(per_query: pd.DataFrame, group: str) -> str:
    """What the bars per group count, and which queries and groups they leave out."""
    defined = per_query[per_query["H-AP"].notna()]
    unlabelled, groups = int((defined[group] == "").sum()), defined.loc[defined[group] != "", group].nunique()
    text = f"Mean H-AP over the queries of each {_words(group)}, and the number of queries."
    if unlabelled:
        text += f" {unlabelled} of {len(defined)} queries have no {_words(group)}."
    if groups > MAX_GROUPS:
        text += f" The {MAX_GROUPS} most frequent of {groups} are shown."
    return text


def map_note(result: BenchmarkResult, dataset: RetrievalDataset) -> str:
    """What the map of the embeddings shows."""
    count, every = len(result.drawn.rows), len(dataset.gallery)
    which = f"{count:,} of the {every:,} index images, drawn at random" if count < every else "The index images"
    share = f"{result.drawn.share * 100:.0f} % of the variance"
    return f"{which}, on the first two principal components of their embeddings ({share})."


def example_queries(result: BenchmarkResult, dataset: RetrievalDataset, count: int) -> list[list[ExampleQuery]]:
    """Queries at even intervals from the highest H-AP to the lowest; other ones with the lowest; the most severe.

    count: of the first; FAILURES of each other at most. Queries with an undefined H-AP are left out.
    """
    ids, h_ap = dataset.query.ids, result.h_ap
    order = sorted((n for n in range(len(ids)) if h_ap[n] == h_ap[n]), key=lambda n: (-h_ap[n], ids[n]))
    count = min(count, len(order))
    failures = min(FAILURES, count)
    evenly = [order[round(n * (len(order) - 1) / max(1, count - 1))] for n in range(count)]
    worst = [n for n in mistakes.worst(result, ids, len(ids)) if n not in evenly][:failures]
    shown = {*evenly, *worst}
    severe = [n for n in mistakes.most_severe(result, ids, len(ids)) if n not in shown][:failures]
    return [[_example(n, result, dataset) for n in chosen] for chosen in (evenly, worst, severe)]


def _example(n: int, result: BenchmarkResult, dataset: RetrievalDataset) -> ExampleQuery:
    labels, nearest = dataset.query.labels[n], result.nearest[n].tolist()
    levels = agreement(labels[None], dataset.gallery.labels[nearest])[0].tolist()
    return ExampleQuery(
        thumbnail(dataset.query, n, len(labels)),
        _class_names(dataset, labels.tolist()),
        result.h_ap[n],
        tuple(thumbnail(dataset.gallery, row, depth) for row, depth in zip(nearest, levels, strict=True)),
        mistakes.mistake_of(result, n, dataset.levels),
    )


def _class_names(dataset: RetrievalDataset, labels: list[int]) -> tuple[str, ...]:
    """The names of a query's classes, finest first; "no label" once for the levels where it has none."""
    names = [names[label] for names, label in zip(dataset.class_names, labels, strict=True)]
    return (*filter(None, names), *(["no label"] if "" in names else []))


def thumbnail(images: LabelledImages, n: int, depth: int) -> Thumbnail:
    """Image n as a small JPEG, at most THUMBNAIL_PIXELS a side; depth: its agreement with the query."""
    image = images.image(n).copy()
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=82)
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(uri, images.caption(n), depth)


def legend(levels: tuple[str, ...]) -> list[tuple[int, str]]:
    """What the border of each agreement means, deepest first."""
    texts = [(len(levels) - n, f"same {_words(level)}") for n, level in enumerate(levels)]
    return [*texts, (0, "nothing in common")]


def _words(name: str) -> str:
    return name.replace("_", " ")


def flatten(config: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The settings as dotted names and text."""
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        name = f"{prefix}{key}"
        rows += flatten(value, f"{name}.") if isinstance(value, dict) else [(name, str(value))]
    return rows
