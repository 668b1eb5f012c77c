"""`hgld archive`: a release as one ZIP file that is the same on every machine, and never another one under its name.

The members are sorted, stored without compression (the tables are compressed themselves), and have a fixed time and
mode: the bytes depend on the release alone, and not on a clock, a user or a version of zlib.
"""

import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from hgld.foundation.errors import HgldError, reason, shortened
from hgld.foundation.files import check_output, read_json, replacing, sha256, write_text
from hgld.pipeline.release.changes.folder import FILES as CHANGE_FILES
from hgld.pipeline.release.changes.folder import Changes, further_checksums, write_changes
from hgld.pipeline.release.changes.former import opened
from hgld.pipeline.release.folder import CHECKSUMS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\0]+)")
_BEGINNING_OF_ZIP = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE, _UNIX = 0o100644 << 16, 3
_CHUNK = 1 << 20
_REMEDY = "write it again: dvc repro release"


@dataclass(frozen=True)
class Archive:
    """The file, its SHA-256, whether it was there before, and what it says about the version before it."""

    path: Path
    sha256: str
    existed: bool
    changes: Changes | None = None

    def text(self) -> str:
        """What has happened to the file, on one line."""
        return f"{self.path} {'is there already, unchanged' if self.existed else 'written'} (sha256 {self.sha256})"

    def lines(self) -> list[str]:
        """What has changed since the version before, and what has happened."""
        return [*([self.changes.text()] if self.changes else []), self.text()]


def archive(release: Path, out: Path, previous: Path | None = None) -> Archive:
    """Write `out`/NAME-VERSION.zip, which unpacks to a folder NAME-VERSION, with the release in the folder `release`.

    previous: the version before, a folder or an archive. Then the archive also has CHANGES.md, changes.csv, .html and
    .json, and deprecated.csv, and SHA256SUMS lists them.

    Raises HgldError when a file of a release is not what its SHA256SUMS states, when the version is too small a step
    after the previous one, and when `out` has this version with other content: it names the first file that differs.
    """
    files = verified_files(release)
    if previous is None:
        return _archive(release, files, out)
    with opened(previous) as old, tempfile.TemporaryDirectory(prefix="hgld-changes-") as folder:
        verified_files(old, "download it again")
        target = Path(folder)
        changes = write_changes(old, release, target)
        sums = (release / CHECKSUMS).read_text(encoding="utf-8")
        write_text(further_checksums(sums, target), target / CHECKSUMS)
        own = [path for path in files if path.name not in (*CHANGE_FILES, CHECKSUMS)]
        every = sorted([*own, *target.iterdir()], key=lambda path: path.name)
        return replace(_archive(release, every, out), changes=changes)


def _archive(release: Path, files: list[Path], out: Path) -> Archive:
    name = title(release)
    path = out / f"{name}.zip"
    check_output(path, *files)
    if path.exists():
        _check_same(path, files, name)
        return Archive(path, sha256(path), existed=True)
    with replacing(path) as part:
        _write(part, files, name)
    return Archive(path, sha256(path), existed=False)


@contextmanager
def packed(release: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The name and the bytes of the same archive in a temporary file without a name: a killed process leaves none."""
    files, name = verified_files(release), title(release)
    with tempfile.TemporaryFile() as handle:
        _write(handle, files, name)
        handle.seek(0)
        yield f"{name}.zip", handle


def title(release: Path) -> str:
    """NAME-VERSION of metadata.json. Raises HgldError when it is no file name."""
    metadata = read_json(release / "metadata.json")
    title = f"{metadata.get('name')}-{metadata.get('version')}"
    if not _NAME.fullmatch(title):
        raise HgldError(f"{release / 'metadata.json'}: name and version {title[:100]!r} are no file name; {_REMEDY}")
    return title


def verified_files(release: Path, remedy: str = _REMEDY) -> list[Path]:
    """The files of the release, sorted by name; SHA256SUMS is one of them.

    Raises HgldError that lists the files which are missing, differ, or are not in SHA256SUMS.
    """
    sums = release / CHECKSUMS
    if not sums.is_file():
        raise HgldError(f"no {sums}; {remedy}")
    stated: dict[str, str] = {}
    for number, line in enumerate(sums.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if not match:
            raise HgldError(f"{sums}:{number}: expected a checksum and a file name, found {line[:100]!r}; {remedy}")
        stated[match[2]] = match[1]
    present = {path.name: path for path in release.iterdir() if path != sums and not path.name.startswith(".")}
    problems = []
    for name in sorted({*stated, *present}):
        path = release / name
        if name not in stated:
            problems.append(f"{path}: not in {CHECKSUMS}")
        elif not path.is_file():
            problems.append(f"{path}: missing")
        elif sha256(path) != stated[name]:
            problems.append(f"{path}: differs from its checksum in {CHECKSUMS}")
    if problems:
        raise HgldError(f"{release} is not the release that was written; {remedy}", *shortened(problems))
    return sorted([*present.values(), sums])


def _write(out: Path | IO[bytes], files: list[Path], name: str) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:
        for file in files:
            member = zipfile.ZipInfo(f"{name}/{file.name}", _BEGINNING_OF_ZIP)
            member.create_system, member.external_attr = _UNIX, _REGULAR_FILE
            member.file_size = file.stat().st_size  # whether the member needs the format for more than 4 GiB
            with file.open("rb") as source, target.open(member, "w") as sink:
                while chunk := source.read(_CHUNK):
                    sink.write(chunk)


def _check_same(path: Path, files: list[Path], name: str) -> None:
    """Raise HgldError unless the archive is that of these files; it names the first file that differs."""
    own = {f"{name}/{file.name}": file for file in files}
    try:
        with zipfile.ZipFile(path) as archive:
            archived = set(archive.namelist())
            for member in sorted({*own, *archived}, key=_tables_first):
                file = member.removeprefix(f"{name}/")
                if member not in own:
                    fault = f"{file} is in it, and not in the release"
                elif member not in archived:
                    fault = f"{file} is not in it"
                elif not _equal(archive, member, own[member]):
                    fault = f"{file} differs"
                else:
                    continue
                raise HgldError(
                    f"{path} is another release under the same name and version: {fault}; a published version does not "
                    "change: raise release.version in params.yaml and run dvc repro"
                )
        if not _same_bytes(path, files, name):
            raise HgldError(f"{path} has the files of the release, but was packed otherwise or damaged; move it away")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        raise HgldError(f"{path}: not an archive of a release: {reason(error)}; move it away") from None


def _tables_first(member: str) -> tuple[bool, bool, str]:
    """The order in which files are compared: the texts and the checksums differ wherever a table does."""
    return not member.endswith((".parquet", ".csv")), member.endswith(CHECKSUMS), member


def _equal(archive: zipfile.ZipFile, member: str, file: Path) -> bool:
    if archive.getinfo(member).file_size != file.stat().st_size:
        return False
    with archive.open(member) as one, file.open("rb") as other:
        return _same_content(one, other)


def _same_bytes(path: Path, files: list[Path], name: str) -> bool:
    with tempfile.TemporaryFile(dir=path.parent) as new, path.open("rb") as old:
        _write(new, files, name)
        new.seek(0)
        return _same_content(old, new)


def _same_content(one: IO[bytes], other: IO[bytes]) -> bool:
    while chunk := one.read(_CHUNK):
        if chunk != other.read(len(chunk)):
            return False
    return not other.read(1)
