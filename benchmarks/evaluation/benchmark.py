"""Stage `benchmark` and `hgld benchmark model.pt`: score a checkpoint on the release's test -> index protocol.

Queries are the test images with usage Public or Private and something relevant; the gallery is every index image. A
gallery image is positive at the finest level when it shows the query's landmark (same Commons category). Two baselines
stand beside the model: `untrained`, the same network with the first weights that its seed gives, and `chance`, the
model's own embeddings with the index labels shuffled (mean of several shuffles).
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader

from hgld.benchmarks.datasets.release import Pictures, Release, known_levels, read_release
from hgld.benchmarks.evaluation.report import Neighbours, page
from hgld.benchmarks.metrics import evaluate, parse
from hgld.benchmarks.models.network import Network, build, load
from hgld.benchmarks.models.reproducible import reproducible
from hgld.foundation.errors import HgldError
from hgld.foundation.files import write_text
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_parquet
from hgld.foundation.tar_images import ImageTars

SHUFFLES = 5
ROWS = ("model", "untrained", "chance")
USAGES = ("Public", "Private")
NEEDED = ("H-AP", "mAP@100_l0", "ties")  # what the report itself is made of, whatever metrics are asked for


@dataclass(frozen=True)
class Report:
    """What a benchmark found: `scores` (rows model, untrained, chance; one column a metric), `per_query`, counts."""

    scores: pd.DataFrame
    per_query: pd.DataFrame
    counts: dict[str, int]

    def metrics(self) -> dict[str, float | int]:
        """Flat and small, for metrics.json: the model's scores by name, the baselines' with their name before."""
        flat: dict[str, float | int] = {}
        for row, values in self.scores.iterrows():
            before = "" if row == "model" else f"{row}_"
            for name, value in values.dropna().items():
                flat[before + str(name).replace(" ", "_")] = round(float(value), 6)
        return {**flat, **self.counts}

    def table(self) -> Table:
        """The table for the terminal."""
        table = Table(caption=self.note(), caption_justify="left")
        table.add_column("metric")
        for row in self.scores.index:
            table.add_column(str(row), justify="right", style="bold" if row == "model" else "dim")
        for name in self.scores.columns:
            table.add_row(name, *(f"{value:.3f}" if value == value else "–" for value in self.scores[name]))
        return table

    def text(self) -> str:
        """The table as plain text, 100 columns wide whatever the terminal."""
        page = io.StringIO()
        Console(file=page, width=100, color_system=None, force_terminal=False).print(self.table())
        return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())

    def note(self) -> str:
        """The counts in a sentence."""
        c = self.counts
        return (
            f"{c['queries']} queries against {c['gallery']} index images; {c['left_out']} test images left out "
            f"(Ignored or nothing relevant), {c['undefined']} queries undefined at the finest level, "
            f"{c['tied']} with a tie at a level boundary."
        )


def run(params: Params) -> None:
    """The stage: score data/P/train/model.pt and write data/P/benchmark."""
    benchmark(params.data / "train" / "model.pt", params, params.data / "benchmark")


def benchmark(model_path: Path, params: Params, out: Path | None) -> Report:
    """Score a checkpoint; with `out`, write metrics.json, per_query.parquet, table.txt and report.html there.

    Raises HgldError for a checkpoint that does not fit the contract and for missing or broken inputs.
    """
    settings = params.benchmark
    levels = known_levels(params.train.levels)
    for name in settings.metrics:
        parse(name, len(levels))
    curves = curves_beside(model_path) if out is not None else None
    with reproducible(settings.seed, settings.threads) as device:
        network, config = load(model_path)
        fresh = build(network.shape, seed=first_seed(config)).eval()
        release = read_release(params.data / "release", levels)
        with ImageTars(params.data / "images" / "images.parquet", params.data / "images") as tars:
            query, gallery = embedded([network, fresh], tars, release, settings.batch, device)
            report, ranking = score(query, gallery, release, settings.metrics, settings.seed)
            if out is not None:
                shown = neighbours(report, ranking, release, tars, settings.gallery_queries)
                write(report, release, shown, curves, config, out)
    return report


def first_seed(config: dict[str, Any]) -> int:
    """The seed that a checkpoint's config states for its first weights; 0 where it states none that torch takes.

    >>> first_seed({"train": {"seed": 7}}), first_seed({"train": {"seed": 2**70}}), first_seed({})
    (7, 0, 0)
    """
    train = config.get("train")
    seed = train.get("seed") if isinstance(train, dict) else None
    return seed if type(seed) is int and -(2**63) <= seed < 2**64 else 0


def embedded(
    networks: list[Network], tars: ImageTars, release: Release, batch: int, device: str
) -> tuple[list[Tensor], list[Tensor]]:
    """Embeddings of queries and gallery by each network, every image decoded once for all of them."""
    sides = []
    for split in (release.test, release.index):
        pictures = Pictures(tars, split.ids, networks[0].shape.image_size)
        sides.append([embed(network, pictures, batch, device) for network in networks])
    return sides[0], sides[1]


@torch.no_grad()
def embed(network: Network, pictures: Pictures, batch: int, device: str) -> Tensor:
    """All embeddings in order, (n, dim) float32."""
    network.to(device).eval()
    loader = DataLoader(pictures, batch_size=batch)
    return torch.cat([network(images.to(device)).cpu() for images in loader])


def score(
    query: list[Tensor], gallery: list[Tensor], release: Release, metrics: list[str], seed: int
) -> tuple[Report, Tensor]:
    """Scores of model, untrained network and chance; -> the report and the model's ten best of each query."""
    names = list(dict.fromkeys([*metrics, *NEEDED]))

    def scored(at: int, labels: Tensor) -> pd.DataFrame:
        ids: dict[str, Any] = {"query_ids": release.test.ids, "gallery_ids": release.index.ids}
        return evaluate(query[at], release.test.labels, gallery[at], labels, metrics=names, **ids)

    labels = release.index.labels
    model, untrained = scored(0, labels), scored(1, labels)
    generator = torch.Generator().manual_seed(seed)
    shuffled = [scored(0, labels[torch.randperm(len(labels), generator=generator)]) for _ in range(SHUFFLES)]
    usage = release.test.rows["usage"]
    means = [with_usages(model, usage), with_usages(untrained, usage)]
    means.append(pd.concat([with_usages(one, usage) for one in shuffled], axis=1).mean(axis=1))
    per_query = pd.concat([release.test.rows.drop(columns="relevant"), model], axis=1)
    report = Report(
        scores=pd.DataFrame(means, index=list(ROWS)),
        per_query=per_query.sort_values("image_id", ignore_index=True),
        counts=counts(release, model),
    )
    top = min(10, len(labels))
    return report, (query[0] @ gallery[0].T).sort(dim=1, descending=True, stable=True).indices[:, :top]


def with_usages(frame: pd.DataFrame, usage: pd.Series) -> pd.Series:
    """Means over the defined queries, and GLDv2's measure on its Public and Private part apart."""
    means = frame.drop(columns="ties").mean()
    for part in USAGES:
        means[f"mAP@100_l0 {part}"] = frame.loc[(usage == part).to_numpy(), "mAP@100_l0"].mean()
    return means


def counts(release: Release, model: pd.DataFrame) -> dict[str, int]:
    """How many images took part, and how many did not or were not decided by their score alone."""
    by_category = release.index.rows.groupby("category")["image_id"].agg(set)
    rows = release.test.rows
    differ = sum(
        set(listed.split()) != by_category.get(category, set())
        for listed, category in zip(rows["relevant"], rows["category"], strict=True)
    )
    return {
        "queries": len(model),
        "gallery": len(release.index.ids),
        "left_out": release.left_out,
        "undefined": int(model["mAP@100_l0"].isna().sum()),
        "tied": int(model["ties"].sum()),
        "lists_differ": differ,
    }


def neighbours(
    report: Report, ranking: Tensor, release: Release, tars: ImageTars, wanted: int
) -> list[Neighbours]:
    """Queries for the gallery of the report, evenly from the best H-AP to the worst, with their ten nearest."""
    rows = release.test.rows
    value = report.per_query.set_index("image_id")["H-AP"].reindex(rows["image_id"]).to_numpy()
    order = [
        at
        for at in sorted(range(len(rows)), key=lambda at: (-value[at], rows["image_id"][at]))
        if value[at] == value[at]
    ]
    wanted = min(wanted, len(order))
    chosen = [order[round(n * (len(order) - 1) / max(1, wanted - 1))] for n in range(wanted)]
    return [Neighbours.of(at, ranking[at].tolist(), float(value[at]), release, tars) for at in chosen]


def curves_beside(model_path: Path) -> pd.DataFrame | None:
    """The training curves that lie beside a checkpoint, where there are any. Raises HgldError for other contents."""
    path = model_path.with_name("curves.csv")
    if not path.is_file():
        return None
    try:
        curves = pd.read_csv(path)
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise HgldError(f"{path}: not a table of training curves: {reason}; move it away") from None
    for name in curves:
        if not pd.api.types.is_numeric_dtype(curves[name]) or not np.isfinite(curves[name]).all():
            raise HgldError(
                f"{path}: column {str(name)[:60]!r} of the training curves must hold numbers only; "
                "correct the file or move it away"
            )
    return curves


def write(
    report: Report,
    release: Release,
    shown: list[Neighbours],
    curves: pd.DataFrame | None,
    config: dict[str, Any],
    out: Path,
) -> None:
    """Write the outputs of the stage."""
    html = page(report.scores, report.per_query, report.note(), release, shown, curves, config)
    # File by file, never the folder as a whole: with --out it may be anybody's, with other things in it.
    write_parquet(report.per_query, out / "per_query.parquet")
    write_text(html, out / "report.html")
    write_text(report.text(), out / "table.txt")
    write_text(json.dumps(report.metrics(), indent=2, ensure_ascii=False) + "\n", out / "metrics.json")
