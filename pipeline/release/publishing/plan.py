"""What publishing a release would change at its destination, file by file, as it is shown before anything is sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hgld.foundation.errors import HgldError
from hgld.foundation.files import read_json, sha256
from hgld.pipeline.release import archive

SEND, REPLACE, SAME, DELETE, CONTAINS = "send", "replace", "same", "delete", "contains"
RAISE_VERSION = "a published version does not change: raise release.version in params.yaml and run dvc repro"


@dataclass(frozen=True)
class File:
    """A file of the release; path: where it lies."""

    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Release:
    """The folder of a release, its name and version, and its files by name."""

    folder: Path
    name: str
    version: str
    files: Mapping[str, File]

    @property
    def title(self) -> str:
        """NAME-VERSION."""
        return f"{self.name}-{self.version}"


@dataclass(frozen=True)
class Request:
    """What to publish, and where: `place` is what follows the first colon of --to, `concept` the value of --concept."""

    release: Release
    place: str
    concept: str = ""


@dataclass(frozen=True)
class Change:
    """What happens to one file at the destination; sha256 is "" for a file that is not ours."""

    action: str
    name: str
    bytes: int
    sha256: str = ""


@dataclass(frozen=True)
class Plan:
    """The changes at a destination.

    address: what a person opens; version: its number there; changes: a row per file; metadata: what is sent beside the
    files, as (name, value); steps: what is done besides; complete: the destination has this version already, so nothing
    is left to do; notes: what could not be compared.
    """

    target: str
    address: str
    version: str
    changes: tuple[Change, ...]
    metadata: tuple[tuple[str, str], ...] = ()
    steps: tuple[str, ...] = ()
    complete: bool = False
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The plan as lines of text."""
        width = max((len(change.name) for change in self.changes), default=0)
        digits = max((len(f"{change.bytes:,}") for change in self.changes), default=0)
        return [
            f"target    {self.target} ({self.address})",
            f"version   {self.version}",
            *(f"note      {note}" for note in self.notes),
            *(
                f"{change.action:<9} {change.name:<{width}}  {change.bytes:>{digits},} bytes  {change.sha256}".rstrip()
                for change in self.changes
            ),
            *(f"metadata  {name}: {value}" for name, value in self.metadata),
            *(f"then      {step}" for step in self.steps),
            f"total     {self._total()}",
        ]

    def _total(self) -> str:
        sent = self._of(SEND, REPLACE)
        parts = [f"{len(sent):,} {'file' if len(sent) == 1 else 'files'} to send"]
        parts[0] += f", {sum(change.bytes for change in sent):,} bytes"
        for action, text in ((REPLACE, "of them replace another"), (SAME, "there already"), (DELETE, "to delete")):
            if found := self._of(action):
                parts.append(f"{len(found):,} {text}")
        return "; ".join(parts)

    def _of(self, *actions: str) -> list[Change]:
        return [change for change in self.changes if change.action in actions]


class Destination(Protocol):
    """A place to which a release can be sent."""

    def plan(self, *, must_read: bool) -> Plan:
        """Compare the release with what is there, and change nothing.

        must_read: raise HgldError if the destination cannot be read, instead of a note in the plan.
        """
        ...

    def send(self) -> Iterable[str]:
        """Do what `plan` says; what was done, a line each. Called again after a failure, it does what is left."""
        ...


def read_release(folder: Path) -> Release:
    """The release in a folder. Raises HgldError when a file is not what its SHA256SUMS states."""
    files = {path.name: File(path, path.stat().st_size, sha256(path)) for path in archive.verified_files(folder)}
    archive.title(folder)
    metadata = read_json(folder / "metadata.json")
    return Release(folder, str(metadata["name"]), str(metadata["version"]), files)


def compare(release: Release, there: Mapping[str, tuple[int, bool]]) -> tuple[Change, ...]:
    """The changes by which the destination gets the files of the release, and no other.

    there: the files at the destination by name: bytes, and whether the content is that of the release's file.
    """
    changes = []
    for name, file in release.files.items():
        action = SEND if name not in there else SAME if there[name][1] else REPLACE
        changes.append(Change(action, name, file.bytes, file.sha256))
    changes += [Change(DELETE, name, size) for name, (size, _) in sorted(there.items()) if name not in release.files]
    return tuple(changes)


def not_compared(error: HgldError, shown: str) -> str:
    """The note for a destination that could not be read; shown: what is shown instead of the difference."""
    return f"not compared: {error.args[0].removesuffix('; try again later')}; {shown}"


def check_unchanged(place: str, changes: tuple[Change, ...]) -> None:
    """Raise HgldError that names the first file by which a published version differs from the release."""
    words = {SEND: "is not in it", REPLACE: "differs", DELETE: "is in it, and not in the release"}
    different = [change for change in changes if change.action in words]
    if different:
        # Texts and checksums differ wherever a table does, so a table is named first.
        first = min(different, key=lambda change: not change.name.endswith((".parquet", ".csv")))
        more = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
        raise HgldError(
            f"{place} is there already with other content: {first.name} {words[first.action]}{more}; {RAISE_VERSION}"
        )
