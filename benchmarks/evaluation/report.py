"""The benchmark's HTML page: figures, plots and a gallery in one file that asks nothing of the network.

Deterministic: no clock, no random, rows in a fixed order.
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

from hgld.benchmarks.datasets.release import Release
from hgld.benchmarks.ranking.levels import agreement
from hgld.foundation import svg
from hgld.foundation.tar_images import ImageTars

THUMBNAIL = 112
LABELS_SHOWN = 40


@dataclass(frozen=True)
class Thumbnail:
    """One image of the gallery: its data: URI, what it shows, and how far it agrees with the query (0..L)."""

    uri: str
    caption: str
    depth: int


@dataclass(frozen=True)
class Neighbours:
    """One query and its nearest index images, best first."""

    query: Thumbnail
    labels: tuple[str, ...]
    h_ap: float
    found: tuple[Thumbnail, ...]

    @classmethod
    def of(cls, at: int, items: list[int], h_ap: float, release: Release, tars: ImageTars) -> Neighbours:
        """The query at row `at` of the test split and the index rows `items`."""
        test, index = release.test, release.index
        depth = agreement(test.labels[at : at + 1], index.labels[items])[0].tolist()
        names = tuple(release.names[level][int(code)] for level, code in enumerate(test.labels[at]))
        found = tuple(
            Thumbnail(thumbnail(tars, index.ids[item]), str(index.rows["category"][item]), t)
            for item, t in zip(items, depth, strict=True)
        )
        own = Thumbnail(thumbnail(tars, test.ids[at]), str(test.rows["category"][at]), len(names))
        return cls(own, names, h_ap, found)


def thumbnail(tars: ImageTars, image_id: str) -> str:
    """A small JPEG as a data: URI, at most THUMBNAIL pixels a side."""
    picture = tars.image(image_id)
    picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def page(
    scores: pd.DataFrame,
    per_query: pd.DataFrame,
    note: str,
    release: Release,
    shown: list[Neighbours],
    curves: pd.DataFrame | None,
    config: dict[str, Any],
) -> str:
    """The page as text. scores: rows model, untrained, chance; per_query: one row a query with labels and metrics."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(
        files("hgld.benchmarks").joinpath("report.html").read_text(encoding="utf-8")
    )
    metrics = list(scores.columns)
    heading = [name for name in ("H-AP", "NDCG", "R@1_l0", "mAP@100_l0") if name in metrics]
    # Built by hgld.foundation.svg, which escapes every name: safe to hand through.
    per_level = [name for name in metrics if name.startswith(("AP_l", "R@1_l"))]
    charts = {
        "overall": svg.bars(
            {n: list(scores[n]) for n in ("H-AP", "NDCG", "ASI") if n in metrics},
            list(scores.index),
            "Scores over all levels",
        ),
        "levels": svg.bars({n: list(scores[n]) for n in per_level}, list(scores.index), "Scores per level"),
        "labels": svg.rows(by_label(per_query), "H-AP per hierarchical label"),
        "curves": "" if curves is None else training(curves),
    }
    return template.render(
        title=config.get("profile", "") if isinstance(config.get("profile"), str) else "",
        heading=[(name, scores.loc["model", name], scores.loc["untrained", name]) for name in heading],
        scores=scores,
        metrics=metrics,
        note=note,
        charts=charts,
        curve_names=[] if curves is None else [c for c in curves.columns if c not in ("epoch", "lr")],
        shown=shown,
        levels=release.levels,
        legend=legend(release.levels),
        settings=flat(config),
    )


def by_label(per_query: pd.DataFrame) -> dict[str, tuple[float, int]]:
    """Mean H-AP and number of queries of each hierarchical label, best first; the most frequent LABELS_SHOWN."""
    named = per_query[per_query["hierarchical_label"] != ""]
    table = named.groupby("hierarchical_label")["H-AP"].agg(["mean", "count"])
    table = table[table["count"] > 0].reset_index()
    table = table.sort_values(["count", "hierarchical_label"], ascending=[False, True]).head(LABELS_SHOWN)
    table = table.sort_values(["mean", "hierarchical_label"], ascending=[False, True])
    return {str(r["hierarchical_label"]): (float(r["mean"]), int(r["count"])) for _, r in table.iterrows()}


def training(curves: pd.DataFrame) -> str:
    """The training curves that a file holds; nothing where it holds none."""
    if "epoch" not in curves or curves.empty:
        return ""
    names = [name for name in curves.columns if name not in ("epoch", "lr")]
    series = {str(name): [float(v) for v in curves[name]] for name in names}
    return svg.lines(series, [float(v) for v in curves["epoch"]], "Training losses by epoch")


def legend(levels: tuple[str, ...]) -> list[tuple[int, str]]:
    """What each border means, deepest agreement first."""
    words = [f"same {level.replace('_', ' ')}" for level in levels]
    return [(len(levels) - at, word) for at, word in enumerate(words)] + [(0, "nothing in common")]


def flat(config: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    """The settings as dotted names and text."""
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        name = f"{before}{key}"
        rows += flat(value, f"{name}.") if isinstance(value, dict) else [(name, str(value))]
    return rows
