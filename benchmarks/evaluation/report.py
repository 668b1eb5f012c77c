"""The benchmark's HTML page: figures, plots and example queries in one self-contained file.

Deterministic: no clock, no random draw, rows in a fixed order.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
import pandas as pd
from PIL import Image

from hgld.benchmarks.datasets.labelled_images import LabelledImages, RetrievalDataset
from hgld.benchmarks.evaluation.result import BenchmarkResult
from hgld.benchmarks.ranking.levels import agreement
from hgld.foundation import svg

THUMBNAIL_PIXELS = 112
MAX_GROUPS = 40


@dataclass(frozen=True)
class Thumbnail:
    """One image: a data: URI, its caption, and its agreement with the query (0..L)."""

    uri: str
    caption: str
    agreement: int


@dataclass(frozen=True)
class ExampleQuery:
    """One query with the names of its classes, finest first, and its nearest gallery images, best first."""

    query: Thumbnail
    classes: tuple[str, ...]
    h_ap: float
    nearest: tuple[Thumbnail, ...]


def page(
    result: BenchmarkResult,
    dataset: RetrievalDataset,
    curves: pd.DataFrame | None,
    config: dict[str, Any],
    max_examples: int,
) -> str:
    """The page as text. curves: those of the training, if known; config: the settings in the checkpoint."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(
        files("hgld.benchmarks.evaluation").joinpath("report.html").read_text(encoding="utf-8")
    )
    scores = result.scores
    metrics = list(scores.columns)
    headline = [name for name in ("H-AP", "NDCG", "R@1_l0", "mAP@100_l0") if name in metrics]
    return template.render(
        title=config.get("profile", "") if isinstance(config.get("profile"), str) else "",
        headline=[(name, scores.loc["model", name], scores.loc["untrained", name]) for name in headline],
        scores=scores,
        metrics=metrics,
        note=result.note(),
        charts=_charts(result, dataset.query_group, curves),
        group=_words(dataset.query_group or ""),
        curve_names=[] if curves is None else [c for c in curves.columns if c not in ("epoch", "lr")],
        examples=example_queries(result, dataset, max_examples),
        levels=dataset.levels,
        legend=legend(dataset.levels),
        settings=flatten(config),
    )


def _charts(result: BenchmarkResult, group: str | None, curves: pd.DataFrame | None) -> dict[str, str]:
    """The charts as SVG. hgld.foundation.svg escapes every name, so that the template may insert them unescaped."""
    scores = result.scores
    rows = list(scores.index)
    overall = [name for name in ("H-AP", "NDCG", "ASI") if name in scores]
    per_level = [name for name in map(str, scores.columns) if name.startswith(("AP_l", "R@1_l"))]
    by_group = {} if group is None else h_ap_by_group(result.per_query, group)
    return {
        "overall": svg.bars({name: list(scores[name]) for name in overall}, rows, "Scores over all levels"),
        "levels": svg.bars({name: list(scores[name]) for name in per_level}, rows, "Scores per level"),
        "groups": "" if group is None else svg.horizontal_bars(by_group, f"H-AP per {_words(group)}"),
        "curves": "" if curves is None else _curves_chart(curves),
    }


def _curves_chart(curves: pd.DataFrame) -> str:
    """The training losses by epoch; "" for curves without epochs."""
    if "epoch" not in curves or curves.empty:
        return ""
    names = [name for name in curves.columns if name not in ("epoch", "lr")]
    series = {str(name): [float(v) for v in curves[name]] for name in names}
    return svg.lines(series, [float(v) for v in curves["epoch"]], "Training losses by epoch")


def h_ap_by_group(per_query: pd.DataFrame, group: str) -> dict[str, tuple[float, int]]:
    """Mean H-AP and number of queries of the MAX_GROUPS most frequent values of a column, highest mean first."""
    table = per_query[per_query[group] != ""].groupby(group)["H-AP"].agg(["mean", "count"])
    table = table[table["count"] > 0].reset_index()
    table = table.sort_values(["count", group], ascending=[False, True]).head(MAX_GROUPS)
    table = table.sort_values(["mean", group], ascending=[False, True])
    return {str(row[group]): (float(row["mean"]), int(row["count"])) for _, row in table.iterrows()}


def example_queries(result: BenchmarkResult, dataset: RetrievalDataset, count: int) -> list[ExampleQuery]:
    """Queries at even intervals from the highest H-AP to the lowest; undefined ones are left out."""
    ids, h_ap = dataset.query.ids, result.h_ap
    order = sorted((n for n in range(len(ids)) if h_ap[n] == h_ap[n]), key=lambda n: (-h_ap[n], ids[n]))
    count = min(count, len(order))
    chosen = [order[round(n * (len(order) - 1) / max(1, count - 1))] for n in range(count)]
    return [_example(n, result, dataset) for n in chosen]


def _example(n: int, result: BenchmarkResult, dataset: RetrievalDataset) -> ExampleQuery:
    labels, nearest = dataset.query.labels[n], result.nearest[n].tolist()
    levels = agreement(labels[None], dataset.gallery.labels[nearest])[0].tolist()
    return ExampleQuery(
        thumbnail(dataset.query, n, len(labels)),
        tuple(names[int(label)] for names, label in zip(dataset.class_names, labels, strict=True)),
        result.h_ap[n],
        tuple(thumbnail(dataset.gallery, row, depth) for row, depth in zip(nearest, levels, strict=True)),
    )


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
