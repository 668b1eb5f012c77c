"""Stage `benchmark` and `hgld benchmark model.pt`: score a checkpoint on queries against a gallery.

On the release, queries are the Public and Private test images with relevant images listed, and the gallery is every
index image: one is positive at the finest level when it shows the query's landmark (same Commons category). Two
baselines accompany the model: `untrained`, the same network as initialised from its seed, and `chance`, the model's own
embeddings with shuffled gallery labels (mean of several shuffles).
"""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.benchmarks.datasets.readable import readable_roles
from hgld.benchmarks.datasets.release import known_levels, open_release
from hgld.benchmarks.datasets.tensor_images import TensorImages
from hgld.benchmarks.evaluation.report import page
from hgld.benchmarks.evaluation.result import BenchmarkResult
from hgld.benchmarks.metrics import evaluate, parse
from hgld.benchmarks.models.network import Checkpoint, Network, build_network, load_checkpoint
from hgld.benchmarks.models.reproducible import reproducible
from hgld.benchmarks.ranking.allocator import keep_freed_memory
from hgld.foundation.errors import HgldError
from hgld.foundation.files import check_output, read_json, sha256, write_text
from hgld.foundation.settings import Benchmark, Params
from hgld.foundation.tables import write_parquet

SHUFFLES = 5
# The image size is the checkpoint's: a batch of it takes a few gigabytes at most. 256 images of 224 px are fewer.
MAX_BATCH_PIXELS = 2**24
NEAREST = 10  # gallery images per query in the report
REPORT_METRICS = ("H-AP", "mAP@100_l0", "ties")  # computed always, as the report uses them

# The files of --out.
OUTPUTS = ("per_query.parquet", "report.html", "table.txt", "metrics.json")
# The folders of the other stages, which have a metrics.json of their own.
_OTHER_STAGES = ("metadata", "images", "wikidata", "build", "embed", "refine", "queue", "release", "train")


class Embeddings(NamedTuple):
    """Query (Q, d) and gallery (N, d) embeddings of one network, L2-normalised float32."""

    query: Tensor
    gallery: Tensor


def run(params: Params) -> None:
    """The stage: score data/P/train/model.pt and write data/P/benchmark."""
    benchmark(params.data / "train" / "model.pt", params, params.data / "benchmark")


def benchmark(model_path: Path, params: Params, out: Path | None) -> BenchmarkResult:
    """Score a checkpoint on the release; with `out`, write metrics.json, per_query.parquet, table.txt and report.html.

    Raises HgldError for a file that is not a checkpoint (docs/checkpoint.md), and for missing or broken inputs.
    """
    if out is not None:
        for path in (out, *(out / name for name in OUTPUTS)):
            check_output(path, model_path, *(params.data / folder for folder in _OTHER_STAGES))
    keep_freed_memory()
    settings = params.benchmark
    levels = known_levels(params.train.levels)
    for name in settings.metrics:
        parse(name, len(levels))
    curves = training_curves(model_path.with_name("curves.csv")) if out is not None else None
    with reproducible(settings.seed, settings.threads) as device:
        checkpoint = load_checkpoint(model_path)
        with open_release(params.data, levels) as release:
            cache = params.data / "cache" / "readable"
            dataset = readable_roles(release, limit=settings.max_broken, threads=settings.threads, cache=cache)
            result = score_checkpoint(checkpoint, dataset, settings, device)
            result = replace(result, provenance=provenance(model_path, params.data / "release", dataset))
            if out is not None:
                html = page(result, dataset, curves, checkpoint.config, settings.gallery_queries)
                write(result, html, out)
    return result


def score_checkpoint(
    checkpoint: Checkpoint, dataset: RetrievalDataset, settings: Benchmark, device: str
) -> BenchmarkResult:
    """Scores of the model, the untrained network and chance."""
    network, config = checkpoint
    untrained = build_network(network.architecture, seed=initial_seed(config)).eval()
    model_embeddings, untrained_embeddings = embed_dataset([network, untrained], dataset, settings.batch, device)
    labels = dataset.gallery.labels
    generator = torch.Generator().manual_seed(settings.seed)
    shuffles = [labels[torch.randperm(len(labels), generator=generator)] for _ in range(SHUFFLES)]

    def per_query(embeddings: Embeddings, gallery_labels: Tensor) -> pd.DataFrame:
        return evaluate(
            *(embeddings.query, dataset.query.labels, embeddings.gallery, gallery_labels),
            query_ids=dataset.query.ids,
            gallery_ids=dataset.gallery.ids,
            metrics=list(dict.fromkeys([*settings.metrics, *REPORT_METRICS])),
        )

    model = per_query(model_embeddings, labels)
    chance = [means(per_query(model_embeddings, shuffled), dataset) for shuffled in shuffles]
    scores = {
        "model": means(model, dataset),
        "untrained": means(per_query(untrained_embeddings, labels), dataset),
        "chance": pd.concat(chance, axis=1).mean(axis=1),
    }
    broken = {"broken_queries": dataset.broken_queries, "broken_gallery": dataset.broken_gallery}
    similarity = model_embeddings.query @ model_embeddings.gallery.T
    columns = [pd.DataFrame({"image_id": list(dataset.query.ids)}), dataset.query_columns, model]
    return BenchmarkResult(
        scores=pd.DataFrame(list(scores.values()), index=list(scores)),
        per_query=pd.concat(columns, axis=1).sort_values("image_id", ignore_index=True),
        h_ap=model["H-AP"].tolist(),
        nearest=similarity.sort(dim=1, descending=True, stable=True).indices[:, :NEAREST],
        counts={
            "queries": len(model),
            "gallery": len(dataset.gallery),
            "left_out": dataset.left_out,
            "undefined": int(model["mAP@100_l0"].isna().sum()),
            "tied": int(model["ties"].sum()),
            "lists_differ": dataset.lists_differ,
            **{name: count for name, count in broken.items() if count},
        },
    )


def provenance(model_path: Path, release: Path, dataset: RetrievalDataset) -> dict[str, str]:
    """What the report is about: the checkpoint, the release, its images, and the version that scored them."""
    metadata = read_json(path) if (path := release / "metadata.json").is_file() else {}
    wikidata = metadata.get("wikidata")
    train, queries, gallery = (f"{len(images):,}" for images in (dataset.train, dataset.query, dataset.gallery))
    facts = {
        "checkpoint": f"{model_path.name}, SHA-256 {sha256(model_path)[:16]}…",
        "release": " ".join(str(metadata[key]) for key in ("name", "version") if metadata.get(key)),
        "release made with": str(metadata.get("made_with", "")),
        "Wikidata of": str(wikidata.get("date", "")) if isinstance(wikidata, dict) else "",
        "images": f"{queries} queries, {gallery} in the index; {train} to train on",
        "scored with": f"hgld {version('hgld')}",
    }
    return {name: value for name, value in facts.items() if value}


def initial_seed(config: dict[str, Any]) -> int:
    """The seed that a checkpoint's config states for its initial weights; 0 where there is none that torch accepts.

    >>> initial_seed({"train": {"seed": 7}}), initial_seed({"train": {"seed": 2**70}}), initial_seed({})
    (7, 0, 0)
    """
    train = config.get("train")
    seed = train.get("seed") if isinstance(train, dict) else None
    return seed if type(seed) is int and -(2**63) <= seed < 2**64 else 0


def embed_dataset(networks: list[Network], dataset: RetrievalDataset, batch: int, device: str) -> list[Embeddings]:
    """Query and gallery embeddings of each network; an image that fits into the cache is decoded once for all."""
    size = networks[0].architecture.image_size
    roles = [TensorImages(images, size) for images in (dataset.query, dataset.gallery)]
    embedded = [[embed(network, images, batch, device) for network in networks] for images in roles]
    return [Embeddings(query, gallery) for query, gallery in zip(*embedded, strict=True)]


@torch.no_grad()
def embed(network: Network, images: TensorImages, batch: int, device: str) -> Tensor:
    """The embeddings of all images in order, (n, dim) float32."""
    network.to(device).eval()
    fitting = max(1, MAX_BATCH_PIXELS // network.architecture.image_size**2)
    loader = DataLoader(images, batch_size=min(batch, fitting))
    return torch.cat([network(pixels.to(device)).cpu() for pixels in loader])


def means(per_query: pd.DataFrame, dataset: RetrievalDataset) -> pd.Series:
    """Means over the defined queries, and mAP@100_l0 (GLDv2's measure) on each subset of the queries."""
    result = per_query.drop(columns="ties").mean()
    for name, members in dataset.subsets.items():
        result[f"mAP@100_l0 {name}"] = per_query.loc[list(members), "mAP@100_l0"].mean()
    return result


def training_curves(path: Path) -> pd.DataFrame | None:
    """The training curves in a CSV; None where the file is absent. Raises HgldError for other contents."""
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
                f"{path}: column {str(name)[:60]!r} of the training curves contains values that are not finite "
                "numbers; correct the file or move it away"
            )
    return curves


def write(result: BenchmarkResult, html: str, out: Path) -> None:
    """Write the outputs of the stage into the folder `out`."""
    # File by file, never the folder as a whole: the folder of --out may contain the user's own files.
    write_parquet(result.per_query, out / "per_query.parquet")
    write_text(html, out / "report.html")
    write_text(result.text(), out / "table.txt")
    write_text(json.dumps(result.metrics(), indent=2, ensure_ascii=False) + "\n", out / "metrics.json")
