"""Run files: YAML with the settings of a training that differ, by path or by the name of a recipe in runs/.

The keys are those of the section `train` of params.yaml. What a run file does not state comes from params.yaml where
there is one, and otherwise from the defaults (foundation/train_settings.py). `--set` and `--seed` are applied last.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hgld.foundation
from hgld.benchmarks.run_files.overrides import with_overrides
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.settings import Params, Train, train_settings
from hgld.foundation.text_input import read_yaml

# The recipes lie beside the packages, in the repository and in the wheel.
RECIPES = Path(hgld.foundation.__file__).resolve().parent.parent / "runs"
MAX_THREADS = 8  # without params.yaml: more do not decode faster on most disks


@dataclass(frozen=True)
class RunFile:
    """A run file: its name, its path, and what it states; empty for a training without one."""

    name: str = ""
    path: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, params: Params | None, overrides: Sequence[str], seed: int | None) -> tuple[Train, set[str]]:
        """The effective settings, and the names of those that are stated here or by an override.

        Raises HgldError for unknown keys, with a suggestion, and for values that are not valid.
        """
        where = str(self.path or "--set")
        if params is None:
            base = train_settings({"threads": min(MAX_THREADS, len(os.sched_getaffinity(0)))}, "defaults").model_dump()
        else:
            base = params.train.model_dump()
        changed = with_overrides({**base, **self.values}, overrides)
        if seed is not None:
            changed["seed"] = seed
        stated = {*self.values, *(text.partition("=")[0].split(".")[0].strip() for text in overrides)}
        return train_settings(changed, where), stated


def recipes() -> dict[str, Path]:
    """The recipes of hgld by name."""
    return {path.stem: path for path in sorted(RECIPES.glob("*.yaml"))}


def read_run_file(run: str | None) -> RunFile:
    """The run file at a path, or the recipe of that name; none for None. Raises HgldError where there is none."""
    if run is None:
        return RunFile()
    known = recipes()
    path = Path(run)
    if run in known and not path.is_file():
        path = known[run]
    elif path.suffix not in (".yaml", ".yml") and not path.exists():
        raise HgldError(f"no run file and no recipe {run!r}{suggest(run, known)}; recipes: {', '.join(known)}")
    values = read_yaml(path)
    if values is None:
        values = {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise HgldError(f"{path}: expected settings such as `lr: 1e-4`, one per line; found {type(values).__name__}")
    return RunFile(path.stem, path, values)
