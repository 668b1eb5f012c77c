"""SHA256SUMS of a folder: every file of it is listed with its checksum, and nothing else is there."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, reason, suggest
from hgld.foundation.files import sha256
from hgld.foundation.text_input import open_text

FILE = "SHA256SUMS"
_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](?P<name>.+)")
_MAX_BYTES = 1 << 22


def read_checksums(folder: Path) -> tuple[dict[str, str], list[str]]:
    """File name (relative, with /) → lower-case hex SHA-256, and one message per line that is no such pair."""
    path = folder / FILE
    try:
        with open_text(path, newline=None, expected="a list of checksums", largest=_MAX_BYTES) as handle:
            lines = handle.read().splitlines()
    except HgldError as error:
        return {}, list(error.args)
    listed, faults = dict[str, str](), list[str]()
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        name = match["name"] if match else ""
        if not match:
            faults.append(f"{path}:{number}: expected a SHA-256, two spaces and a file name; found {line[:80]!r}")
        elif not _is_inside(name):
            faults.append(f"{path}:{number}: {name[:200]!r} is no name of a file of this folder")
        elif name in listed:
            faults.append(f"{path}:{number}: {name} is listed twice")
        else:
            listed[name] = match["digest"]
    if not lines:
        faults.append(f"{path}: is empty; download it again")
    return listed, faults


def _is_inside(name: str) -> bool:
    """Whether a name is plain, and cannot lead out of the folder.

    >>> _is_inside("LICENSES/data.txt"), _is_inside("../data.txt"), _is_inside("/data.txt"), _is_inside("a//b")
    (True, False, False, False)
    """
    parts = name.split("/")
    return visible(name) == name and "\\" not in name and not {"", ".", ".."} & set(parts)


def checksum_faults(folder: Path) -> tuple[list[str], int]:
    """One message per file that is missing, changed, unlisted or no regular file; and the number of intact files.

    Hidden files and folders at the top, as tools for downloads and git keep them there, do not belong to the release.
    """
    listed, faults = read_checksums(folder)
    present, intact = set[str](), 0
    for name, problem in _files(folder):
        if problem:
            faults.append(f"{folder / name}: {problem}")
        present.add(name)
    for name, expected in listed.items():
        if name not in present:
            faults.append(f"{folder / name}: missing, although {FILE} lists it{suggest(name, present - listed.keys())}")
            continue
        try:
            found = sha256(folder / name) if _is_regular(folder / name) else expected  # said already
        except OSError as error:
            faults.append(f"{folder / name}: cannot be read: {error.strerror or reason(error)}")
            continue
        if found == expected:
            intact += 1
        else:
            shown = f"{found[:12]}… instead of {expected[:12]}…"
            faults.append(f"{folder / name}: is not what {FILE} says (SHA-256 {shown}); download it again")
    faults += [f"{folder / name}: is not listed in {FILE}" for name in sorted(present - listed.keys())]
    return faults, intact


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """(Relative name, problem) of everything that is no folder; links are not followed, as they may lead anywhere."""
    for place, folders, names in os.walk(folder):
        top = Path(place) == folder
        folders[:] = sorted(name for name in folders if not (top and name.startswith(".")))
        for name in sorted([*names, *(name for name in folders if (Path(place) / name).is_symlink())]):
            path = Path(place) / name
            if (top and name.startswith(".")) or (top and name == FILE):
                continue
            problem = "" if _is_regular(path) else "is a link" if path.is_symlink() else "is no regular file"
            yield path.relative_to(folder).as_posix(), problem


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)
