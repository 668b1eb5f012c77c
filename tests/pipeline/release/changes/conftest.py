"""A release of the sample, without its images, and a copy of its checkout in which something is edited."""

import csv
import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hgld.foundation.settings import Params
from hgld.hierarchy.comparison.drift.report import Drift, explain_releases
from hgld.hierarchy.curation.verdicts import Verdict, append_verdict
from hgld.hierarchy.taxonomy.taxonomy import COLUMNS, sort_key
from hgld.pipeline.stages import build, download, embed, images, refine, release, wikidata
from tests.pipeline import sample_pipeline

STAGES = {"download": download, "images": images, "wikidata": wikidata, "build": build, "embed": embed,
          "refine": refine, "release": release}  # fmt: skip


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Params]:
    """The folder of a whole run, with its release in `old`, and its settings; parallel workers share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sample-run"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.chdir(folder)
        if not Path("old").exists():
            sample_pipeline.checkout(folder)
            sample_pipeline.run(sample_pipeline.settings()).rename("old")
    return folder, sample_pipeline.settings()


@dataclass
class Checkout:
    """The working directory: the old release in `old`, and the inputs of the next one."""

    params: Params
    new: Path = Path("data/sample/release")
    old: Path = Path("old")

    def edit(self, path: Path, *changes: tuple[str, str]) -> None:
        """Replace texts in a file; each must occur."""
        text = path.read_text(encoding="utf-8")
        for before, after in changes:
            assert before in text, before
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")

    def facts(self, *changes: tuple[str, str], file: str = "facts.ttl") -> None:
        """Edit what Wikidata says."""
        self.edit(sample_pipeline.FACTS / file, *changes)

    def rows(self, change: Callable[[dict[str, str]], None], *more: dict[str, str], file: str = "taxonomy.csv") -> None:
        """Change every row of a curated file, and add some."""
        path = sample_pipeline.CURATED / file
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        for row in rows:
            change(row)
        rows += more
        rows.sort(key=lambda row: sort_key(file, list(row.values())))
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, COLUMNS[file], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def verdict(self, about: str, label: str, annotator: str = "ana", when: str = "2026-01-03", **more: str) -> None:
        """Give a verdict."""
        append_verdict(Path("review"), Verdict(about, label, "", "", "", annotator, when, **more))

    def with_settings(self, section: str, **settings: object) -> None:
        """Change settings of the next release."""
        changed = getattr(self.params, section).model_copy(update=settings)
        self.params = self.params.model_copy(update={section: changed})

    def run(self, *stages: str) -> Path:
        """Run some stages and the release."""
        for name in (*stages, "release"):
            STAGES[name].run(self.params)
        return self.new

    def drift(self, *stages: str) -> Drift:
        """The changes after some stages have run."""
        return explain_releases(self.old, self.run(*stages))


@pytest.fixture
def checkout(first_run: tuple[Path, Params], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A copy of the first run, which is the working directory."""
    folder, params = first_run
    shutil.copytree(folder, tmp_path / "sample")
    monkeypatch.chdir(tmp_path / "sample")
    return Checkout(params)


def causes(drift: Drift) -> dict[str, set[str]]:
    """Category → the causes of its changes."""
    found: dict[str, set[str]] = {}
    for row in drift.rows():
        found.setdefault(row[3], set()).add(row[12])
    return found
