"""`hgld benchmark A B C`: score several models on the same data, and compare them.

With a folder, each model's results are in a folder of its own there, as `hgld leaderboard` reads them, beside
leaderboard.html and leaderboard.json.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hgld.benchmarks.comparison.finished_runs import read_runs
from hgld.benchmarks.comparison.formats import FORMATS
from hgld.benchmarks.comparison.leaderboard import Leaderboard, compare
from hgld.benchmarks.evaluation.benchmark import Choice, benchmark
from hgld.benchmarks.evaluation.scoring import OtherRankError
from hgld.benchmarks.models.sources.registry import form_of
from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError
from hgld.foundation.files import check_output, write_text
from hgld.foundation.settings import Params

# The ends of file names that are no part of a model's name.
SUFFIXES = {".bin", ".ckpt", ".npy", ".npz", ".onnx", ".parquet", ".pt", ".pt2", ".pth", ".safetensors", ".ts"}
OUTPUTS = {"leaderboard.html": "html", "leaderboard.json": "json"}


def benchmark_all(
    models: Sequence[str], params: Params | None, out: Path | None, choice: Choice | None = None
) -> Leaderboard:
    """Score each of the models, which may be NAME=MODEL, with the same options, and compare their results.

    Raises HgldError, one line that names the model: as `benchmark`, and for models without different names. The models
    before it are scored by then; their results stay in `out`, and their embeddings are reused.
    """
    choice = choice or Choice()
    named = named_models(models)
    for name, model in named.items():
        try:
            form_of(model, choice.model)  # what is no model is said before the first one is scored
        except HgldError as error:
            raise error.within(name) from None
    if out is not None:
        for file in ("", *OUTPUTS):
            check_output(out / file, *map(Path, named.values()), Path(choice.data) if choice.data else None)
    with TemporaryDirectory(prefix="hgld-benchmark-") as scratch:
        folders = {name: (out or Path(scratch)) / name for name in named}
        _score(named, folders, params, choice)
        board = compare(read_runs([f"{name}={folder}" for name, folder in folders.items()]))
    if out is not None:
        for file, form in OUTPUTS.items():
            write_text(FORMATS[form](board), out / file)
    return board


def _score(named: dict[str, str], folders: dict[str, Path], params: Params | None, choice: Choice) -> None:
    """Score every model into its folder. Raises OtherRankError after the last one in all processes but one."""
    others = None
    for number, (name, model) in enumerate(named.items(), start=1):
        print(visible(f"{name}: model {number} of {len(named)}"), file=sys.stderr, flush=True)
        try:
            benchmark(model, params, folders[name], choice)
        except OtherRankError as done:  # the first process of torchrun needs this one's part of the next model, too
            others = done
        except HgldError as error:
            raise error.within(name) from None
    if others is not None:
        raise others


def named_models(models: Sequence[str]) -> dict[str, str]:
    """The models by name, in order: NAME=MODEL, or the shortest end of the path that no other one has.

    >>> named_models(["new=a/model.pt", "b/model.pt", "timm:resnet18"])
    {'new': 'a/model.pt', 'model': 'b/model.pt', 'resnet18': 'timm:resnet18'}
    >>> named_models(["a/model.pt", "b/model.pt"])
    {'a-model': 'a/model.pt', 'b-model': 'b/model.pt'}
    """
    pairs = [_split(model) for model in models]
    ends = [[name] if name else _ends(model) for name, model in pairs]
    named: dict[str, str] = {}
    for number, (_, model) in enumerate(pairs):
        rest = [each for place, each in enumerate(ends) if place != number]
        free = [end for end in ends[number] if not any(end in each for each in rest)]
        if not free and ends[number][-1] not in (each[-1] for each in rest):
            free = ends[number][-1:]  # the others have a longer name for themselves
        if not free:
            raise HgldError(f"{models[number]}: another model has the same name; give each a name: NAME={model}")
        named[free[0]] = model
    return named


def _split(model: str) -> tuple[str, str]:
    """The name, "" if none is given, and the model."""
    match = re.fullmatch(r"([\w][\w.+-]{0,99})=(.+)", model, flags=re.ASCII)
    return (match[1], match[2]) if match and not Path(model).exists() else ("", model)


def _ends(model: str) -> list[str]:
    """The possible names of a model, the shortest first: the last part of its path without suffix, the last two, …"""
    path = Path(model.rpartition(":")[2])
    parts = [*path.parts[:-1], path.stem if path.suffix in SUFFIXES else path.name]
    parts = [kept for part in parts if (kept := re.sub(r"[^\w.+-]+", "_", part).strip("_."))]
    return ["-".join(parts[-count:]) for count in range(1, len(parts) + 1)] or ["model"]
