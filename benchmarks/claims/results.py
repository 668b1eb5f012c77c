"""The results file: one JSON line per finished training, so that a run that was stopped goes on where it was.

A line holds the settings, the seed, the version of the code that the numbers depend on, and the numbers. Lines are only
ever appended; a line that was cut off when its process was killed is ignored, and so is one of another version.
"""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path
from typing import Any

from hgld.benchmarks.claims.training import Setting
from hgld.foundation.errors import HgldError

PACKAGE = Path(__file__).resolve().parents[1]
# What the numbers depend on; the tables, the plots and the choice of experiments are not among it.
CODE = (
    *("claims/training.py", "claims/image_sets.py", "claims/features.py", "losses", "ranking", "metrics"),
    *("training/sampler.py", "training/memory.py", "training/setup.py", "training/optimisation/schedules.py"),
    "models/network.py",
)
DIGITS = 6

Scores = dict[str, float]


def code_version(package: Path = PACKAGE) -> str:
    """Eight digits that change with the code of CODE, but not with its comments, docstrings and line breaks."""
    digest = hashlib.sha256()
    for name in CODE:
        path = package / name
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(ast.dump(_without_docstrings(ast.parse(file.read_text(encoding="utf-8")))).encode())
    return digest.hexdigest()[:8]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return tree


class Results:
    """The numbers by setting and seed.

    version: of the code; None takes that of the last line of the file, to read what was measured before.
    """

    def __init__(self, path: Path, version: str | None) -> None:
        self.path = path
        lines = _lines(path)
        self.version = version or (str(lines[-1]["version"]) if lines else code_version())
        own = [line for line in lines if line["version"] == self.version]
        self._scores: dict[tuple[str, int], Scores] = {
            (line["setting"], int(line["seed"])): dict(line["scores"]) for line in own
        }

    def get(self, setting: Setting, seed: int) -> Scores | None:
        """The numbers of one training, if it is finished."""
        return self._scores.get((setting.key(), seed))

    def add(self, setting: Setting, seed: int, scores: Scores) -> None:
        """Append a line."""
        rounded = {name: round(value, DIGITS) for name, value in scores.items()}
        line = {"setting": setting.key(), "seed": seed, "version": self.version, "scores": rounded}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(line)
        if self.path.exists() and not self.path.read_bytes().endswith(b"\n"):
            text = "\n" + text  # after a line that was cut off
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
        self._scores[setting.key(), seed] = rounded

    def total(self, name: str) -> float:
        """The sum of a number over all trainings."""
        return sum(scores[name] for scores in self._scores.values())

    def __len__(self) -> int:
        return len(self._scores)


def _lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines; raises HgldError for a file that holds something else."""
    if not path.exists():
        return []
    lines = []
    texts = path.read_text(encoding="utf-8").splitlines()
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
        except ValueError:
            if number == 1 or not text.startswith("{"):
                raise HgldError(f"{path}:{number}: expected a result of the claims, a line of JSON") from None
            continue
        if not isinstance(line, dict) or not {"setting", "seed", "version", "scores"} <= line.keys():
            raise HgldError(f"{path}:{number}: expected a result of the claims with setting, seed, version and scores")
        lines.append(line)
    return lines
