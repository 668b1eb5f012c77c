"""Stage `benchmark` and `hgld benchmark MODEL`: score a model on queries against a gallery.

On the release, queries are the Public and Private test images with relevant images listed, and the gallery is every
index image: one is positive at the finest level when it shows the query's landmark (same Commons category). Other data
have their own queries and gallery. Two baselines accompany the model: `untrained`, the same network as initialised from
its seed (for a checkpoint of `hgld train`), and `chance`, the model's own embeddings with shuffled gallery labels (mean
of several shuffles). docs/evaluate.md says what to type.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hgld.benchmarks.datasets.labelled_images import RetrievalDataset
from hgld.benchmarks.datasets.registry import open_data
from hgld.benchmarks.datasets.release import known_levels
from hgld.benchmarks.evaluation.embedding import Embedder
from hgld.benchmarks.evaluation.official import with_official
from hgld.benchmarks.evaluation.report import page
from hgld.benchmarks.evaluation.result import BenchmarkResult
from hgld.benchmarks.evaluation.scoring import score
from hgld.benchmarks.metrics.macro import check_metric, level_of
from hgld.benchmarks.models.reproducible import reproducible
from hgld.benchmarks.models.scored_model import ModelOptions, Precomputed, ScoredModel
from hgld.benchmarks.models.sources.registry import check_half, form_of, open_model
from hgld.benchmarks.ranking.allocator import keep_freed_memory
from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, lacks_memory
from hgld.foundation.files import STAGE_OF_FOLDER, check_output, read_json, sha256, write_text
from hgld.foundation.settings import Benchmark, Params
from hgld.foundation.tables import write_parquet
from hgld.foundation.vector_shards import this_rank

# The files of --out.
OUTPUTS = ("per_query.parquet", "report.html", "table.txt", "metrics.json")
MAX_THREADS = 8  # without params.yaml: more do not decode faster on most disks
BATCH = 64
WITHOUT_OFFICIAL = "the official measures of the dataset are left out: they need every image, and some cannot be read"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What `hgld benchmark` is asked for besides the model; by default as params.yaml says.

    data: a table, a folder or LAYOUT:FOLDER; None: the release of the profile. levels: their columns, finest first.
    split: how the data are divided into queries and gallery. model: how the model is opened. whiten: to how many
    numbers the embeddings are whitened, by PCA on the train images. half: half precision. device: such as "cpu" or
    "cuda:1". cache: the folder for embeddings. metrics, batch, threads: instead of those of params.yaml.
    """

    data: str | None = None
    levels: tuple[str, ...] | None = None
    split: str | None = None
    model: ModelOptions = field(default_factory=ModelOptions)
    whiten: int | None = None
    half: bool = False
    device: str | None = None
    cache: Path | None = None
    metrics: tuple[str, ...] = ()
    batch: int | None = None
    threads: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Choice:
        """From the options of the command line, by the names of the fields here and in ModelOptions."""
        given = {name: value for name, value in options.items() if value is not None}
        own = {field.name for field in fields(cls)} - {"model"}
        model = ModelOptions(**{name: value for name, value in given.items() if name not in own})
        return cls(model=model, **{name: value for name, value in given.items() if name in own})


def run(params: Params) -> None:
    """The stage: score data/P/train/model.pt and write data/P/benchmark."""
    benchmark(params.data / "train" / "model.pt", params, params.data / "benchmark")


def benchmark(
    model: Path | str, params: Params | None, out: Path | None, choice: Choice | None = None
) -> BenchmarkResult:
    """Score a model; with `out`, write metrics.json, per_query.parquet, table.txt and report.html.

    model: a file or a name (hgld.benchmarks.models.sources). params: None in a folder without params.yaml, where the
    data are not the release. Raises HgldError, one line: missing, damaged or unsuitable inputs.
    """
    choice = choice or Choice()
    if choice.data is None and params is None:
        raise HgldError(
            "no params.yaml here, so no release: give the data, such as --data images.csv (docs/evaluate.md), or run "
            "hgld in the root of the repository"
        )
    if out is not None:
        inputs = [] if params is None else [params.data / folder for folder in STAGE_OF_FOLDER if folder != "benchmark"]
        for path in (out, *(out / name for name in OUTPUTS)):
            check_output(path, Path(model), *inputs, Path(choice.data) if choice.data else None)
    keep_freed_memory()
    if choice.data is None and params is not None:
        settings_for(known_levels(params.train.levels), params, choice)  # before anything is opened
    curves = curves_beside(Path(model), choice.model) if out is not None else None
    form_of(str(model), choice.model)  # what is no model is said before the data are read
    if choice.half:
        check_half(str(model), choice.model)
    with open_data(choice.data, params, levels=choice.levels, split=choice.split) as dataset:
        settings = settings_for(dataset.levels, params, choice)
        with reproducible(settings.seed, settings.threads) as device:
            opened_model = open_model(str(model), choice.model)
            _say(*opened_model.config.get("notes", ()))
            how = Embedder(
                batch=settings.batch,
                device=chosen_device(choice.device, device),
                threads=settings.threads,
                cache=embedding_cache(params, choice),
                half=choice.half,
                rank=this_rank(),
            )
            result, scored = score(opened_model, dataset, settings, how, choice.whiten)
            if scored.broken_queries or scored.broken_gallery:
                _say(*([WITHOUT_OFFICIAL] if dataset.official else []))
            else:
                result = with_official(result, opened_model, dataset, how)
            _say(*cache_note(how.cache, choice))
            result = replace(result, provenance=provenance(model, opened_model, params, choice, scored))
            if out is not None:
                own = form_of(str(model), choice.model) == "checkpoint"
                config = opened_model.config
                html = page(result, scored, curves if own else None, config, settings.gallery_queries)
                write(result, html, out)
    return result


def settings_for(levels: Sequence[str], params: Params | None, choice: Choice) -> Benchmark:
    """The settings, with metrics for these levels. Raises HgldError for a metric that does not exist.

    On the release, the metrics of params.yaml have to fit its levels. On other data, those of levels that the data do
    not have are left out; without params.yaml, AP and R@1 of every level are computed.
    """
    count = len(levels)
    if params is None:
        per_level = [f"{name}_l{level}" for name in ("AP", "R@1") for level in range(count)]
        metrics = ["H-AP", "NDCG", "ASI", *per_level, "mAP@100_l0"]
        threads = min(MAX_THREADS, len(os.sched_getaffinity(0)))
        settings = Benchmark(metrics=metrics, gallery_queries=24, batch=BATCH, threads=threads, seed=0, max_broken=0.1)
    else:
        settings = params.benchmark
        if choice.data is not None:
            kept = [name for name in settings.metrics if (level := level_of(name)) is None or level < count]
            settings = settings.model_copy(update={"metrics": kept or ["H-AP"]})
    given = {"metrics": list(choice.metrics), "batch": choice.batch, "threads": choice.threads}
    settings = settings.model_copy(update={name: value for name, value in given.items() if value})
    for name in settings.metrics:
        check_metric(name, count)
    return settings


def chosen_device(wanted: str | None, found: str) -> str:
    """The device: `wanted`, or else a GPU if there is one, for each process of torchrun its own."""
    if wanted is None:
        return f"cuda:{os.environ['LOCAL_RANK']}" if found == "cuda" and "LOCAL_RANK" in os.environ else found
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if lacks_memory(error):
            raise
        there = ", ".join(["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))])
        raise HgldError(f"device {wanted[:60]!r} cannot be used; there are: {there}") from None
    return str(device)


def embedding_cache(params: Params | None, choice: Choice) -> Path:
    """Where embeddings are kept: --cache; for the release beside its data; else the user's cache folder."""
    if choice.cache is not None:
        return choice.cache
    if choice.data is None and params is not None:
        return params.data / "cache" / "embeddings"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hgld" / "embeddings"


def cache_note(cache: Path | None, choice: Choice) -> list[str]:
    """Where embeddings of a user's own data are kept, and how much disk they take."""
    if cache is None or choice.data is None or not cache.is_dir():
        return []
    size = sum(entry.stat().st_size for entry in os.scandir(cache) if entry.name.endswith(".npz"))
    return [
        f"embeddings are kept in {cache} ({size / 1e6:,.0f} MB), which may be deleted; --cache names another folder"
    ]


def provenance(
    model: Path | str,
    opened: ScoredModel | Precomputed,
    params: Params | None,
    choice: Choice,
    dataset: RetrievalDataset,
) -> dict[str, str]:
    """What the report is about: the model, the data, their images, and the version that scored them."""
    train, queries, gallery = (f"{len(images):,}" for images in (dataset.train, dataset.query, dataset.gallery))
    is_checkpoint = form_of(str(model), choice.model) == "checkpoint"
    facts = {
        "checkpoint": f"{Path(model).name}, SHA-256 {sha256(Path(model))[:16]}…" if is_checkpoint else "",
        "model": "" if is_checkpoint else f"{opened.name}, identity {opened.identity[:16]}…",
        **(_release_facts(params.data / "release") if choice.data is None and params is not None else {}),
        "data": dataset.name,
        **dataset.facts,
        "images": f"{queries} queries, {gallery} in the index; {train} to train on",
        "whitened": f"to {choice.whiten} numbers, by PCA on the train images" if choice.whiten else "",
        "precision": "half" if choice.half else "",
        "scored with": f"hgld {version('hgld')}",
    }
    return {name: value for name, value in facts.items() if value}


def _release_facts(release: Path) -> dict[str, str]:
    metadata = read_json(path) if (path := release / "metadata.json").is_file() else {}
    wikidata = metadata.get("wikidata")
    return {
        "release": " ".join(str(metadata[key]) for key in ("name", "version") if metadata.get(key)),
        "release made with": str(metadata.get("made_with", "")),
        "Wikidata of": str(wikidata.get("date", "")) if isinstance(wikidata, dict) else "",
    }


def curves_beside(model: Path, options: ModelOptions) -> pd.DataFrame | None:
    """The curves of the training that wrote a checkpoint; None where there are none, or it is no checkpoint."""
    if model.suffix not in (".pt", ".pth") or options.backbone:
        return None
    return training_curves(model.with_name("curves.csv"))


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


def _say(*lines: str) -> None:
    """Notes for people, on stderr: what is printed on stdout may be read by a program."""
    for line in lines:
        print(visible(line), file=sys.stderr, flush=True)
