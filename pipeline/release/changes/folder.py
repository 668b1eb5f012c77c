"""The files about the former version, beside those of a release: CHANGES.md, changes.*, deprecated.csv, SHA256SUMS."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.files import replacing, sha256, write_text
from hgld.hierarchy.comparison.drift.causes import CAUSES
from hgld.hierarchy.comparison.drift.report import CHANGE_COLUMNS, Drift, explain_releases
from hgld.pipeline.release.changes import deprecations, history
from hgld.pipeline.release.changes.page import changes_page
from hgld.pipeline.release.changes.version_step import Step, check_step, identity, parsed, required_step

CHANGES, HTML = "changes.csv", "changes.html"
FILES = (history.PAGE, CHANGES, HTML, history.FILE, deprecations.FILE)


@dataclass(frozen=True)
class Changes:
    """The changes of a release since the version `after`, and the step of the version that they need."""

    drift: Drift
    step: Step
    after: str

    def text(self) -> str:
        """How many landmarks changed for which causes, on one line."""
        counts = [f"{CAUSES[cause]} {count:,}" for cause, count in self.drift.by_cause.items() if count]
        why = f": {', '.join(counts)}" if counts else ""
        return f"since {self.after}, {len(self.drift.diff.changes):,} landmark(s) changed{why}"


def write_changes(old: Path, release: Path, target: Path) -> Changes:
    """Write FILES into the folder `target`; old: the folder of the version before, release: that of this one.

    Raises HgldError when the version is too small a step after the former one, or the releases are not two versions of
    one dataset.
    """
    (_, before), (name, version) = identity(old), identity(release)
    if before == version and parsed(before) == parsed(version) and old.resolve() == release.resolve():
        raise HgldError(f"{old} is the release itself; --previous takes the version before it")
    drift = explain_releases(old, release, (f"{name} {before}", f"{name} {version}"))
    step = required_step(old, release, len(drift.diff.changes))
    check_step(old, release, step)
    gone = deprecations.deprecations(drift, old, release, version)
    entries = [history.entry(drift, (before, version), step, gone), *history.earlier(old)]
    write_changes_csv(drift, target / CHANGES)
    write_text(changes_page(drift, f"{name}: {before} → {version}"), target / HTML)
    write_json(history.changes_json(entries), target / history.FILE)
    write_text(history.changes_markdown(name, entries), target / history.PAGE)
    _write_rows(target / deprecations.FILE, list(deprecations.COLUMNS), gone)
    return Changes(drift, step, before)


def write_changes_csv(drift: Drift, path: Path) -> None:
    """Write a row per change (columns CHANGE_COLUMNS), atomically."""
    _write_rows(path, list(CHANGE_COLUMNS), drift.rows())


def write_json(content: object, path: Path) -> None:
    """Write `content` as JSON, atomically."""
    write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", path)


def _write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def further_checksums(checksums: str, target: Path) -> str:
    """The lines of a release's SHA256SUMS with those of FILES in `target`, sorted by name."""
    lines = [*checksums.splitlines(), *(f"{sha256(target / name)}  {name}" for name in FILES)]
    return "".join(f"{line}\n" for line in sorted(lines, key=lambda line: line.split("  ", 1)[1]))
