"""How far the version must move: another format is a major step, other labels or tables a minor one.

A format is another one when something that the former version has is gone or has another type: a table, a column, or
its place among the columns. A further table or column is new content.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hgld.foundation.errors import HgldError, reason
from hgld.foundation.files import read_json, sha256
from hgld.foundation.tables import strict_reader
from hgld.foundation.text_input import open_text, whole_number

MAJOR, MINOR, PATCH, NONE = "major", "minor", "patch", "none"
Version = tuple[int, int, int]
# Written beside the tables of a release, and about another version each time.
CHANGE_TABLES = ("changes.csv", "deprecated.csv")


@dataclass(frozen=True)
class Step:
    """The smallest step that is right, and why."""

    kind: str
    why: str

    def after(self, version: Version) -> Version:
        """The lowest version that is right after another one.

        >>> Step(MINOR, "").after((0, 1, 3)), Step(NONE, "").after((1, 0, 0))
        ((0, 2, 0), (1, 0, 0))
        """
        major, minor, patch = version
        return {
            MAJOR: (major + 1, 0, 0), MINOR: (major, minor + 1, 0), PATCH: (major, minor, patch + 1), NONE: version,
        }[self.kind]  # fmt: skip


def identity(folder: Path) -> tuple[str, str]:
    """Name and version of a release, from its metadata.json. Raises HgldError when it has none."""
    metadata = read_json(folder / "metadata.json")
    name, version = metadata.get("name"), metadata.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        raise HgldError(f"{folder / 'metadata.json'}: no name and version; is {folder} a release?")
    return name, version


def parsed(text: str) -> Version:
    """MAJOR.MINOR or MAJOR.MINOR.PATCH as numbers. Raises HgldError for anything else.

    >>> parsed("0.2"), parsed("1.10.3")
    ((0, 2, 0), (1, 10, 3))
    """
    numbers = [number for part in text.split(".") if (number := whole_number(part)) is not None]
    if len(numbers) not in (2, 3) or len(numbers) != text.count(".") + 1:
        raise HgldError(f"version {text[:40]!r}: expected MAJOR.MINOR or MAJOR.MINOR.PATCH")
    return numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else 0


def shown(version: Version) -> str:
    """A version as it is written; a patch of 0 is left out.

    >>> shown((0, 2, 0)), shown((0, 2, 1))
    ('0.2', '0.2.1')
    """
    return ".".join(map(str, version if version[2] else version[:2]))


def required_step(old: Path, new: Path, relabelled: int) -> Step:
    """The step from one release folder to another; relabelled: the number of landmarks that changed.

    Raises HgldError for a damaged table.
    """
    before, after = formats(old), formats(new)
    if why := _format_change(before, after):
        return Step(MAJOR, why)
    if relabelled:
        return Step(MINOR, f"{relabelled:,} landmark(s) differ")
    if further := sorted(after.keys() - before.keys()):
        return Step(MINOR, f"{further[0]} is new")
    for name in sorted(before):
        if len(after[name]) > len(before[name]):
            return Step(MINOR, f"{name} has a further column")
        if not same_table(old / name, new / name):
            return Step(MINOR, f"{name} differs")
    if identity(old) == identity(new):
        files = [{path.name: path for path in folder.iterdir() if path.is_file()} for folder in (old, new)]
        shared = sorted(files[0].keys() & files[1].keys() - {"SHA256SUMS"})
        if names := [name for name in shared if sha256(files[0][name]) != sha256(files[1][name])]:
            return Step(PATCH, f"{names[0]} differs")
    return Step(NONE, "no table differs")


def check_step(old: Path, new: Path, step: Step) -> None:
    """Raise HgldError, with the right version, when `new` is too small a step after `old`, or another release."""
    (name, version), (own_name, own) = identity(old), identity(new)
    if name != own_name:
        raise HgldError(f"{old} is {name}, and not a former version of {own_name}; give the version before this one")
    lowest = step.after(parsed(version))
    if parsed(own) < lowest:
        raise HgldError(
            f"{own_name} {own} is too small a step after {version}, as {step.why} ({step.kind}): set release.version "
            f'in params.yaml to "{shown(lowest)}" or higher, and run dvc repro release'
        )


def formats(folder: Path) -> dict[str, dict[str, str]]:
    """Table → its columns in their order, each with its type. Raises HgldError for a damaged table."""
    tables = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".parquet":
            try:
                tables[path.name] = {own.name: _type(own.type) for own in pq.read_schema(path)}
            except (pa.ArrowException, OSError, ValueError) as error:
                raise HgldError(f"{path}: not a Parquet table, or a damaged one: {reason(error)[:200]}") from None
        elif path.suffix == ".csv" and path.name not in CHANGE_TABLES:
            with open_text(path) as handle:
                tables[path.name] = dict.fromkeys(next(strict_reader(handle), []), "text")
    return tables


def _type(arrow: pa.DataType) -> str:
    return "string" if pa.types.is_large_string(arrow) else str(arrow)


def _format_change(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> str:
    """The first thing of the former format that is gone; "" for none."""
    for name, columns in before.items():
        if name not in after:
            return f"{name} is gone"
        for column, kind in columns.items():
            if column not in after[name]:
                return f"{name} has no column {column} any more"
            if after[name][column] != kind:
                return f"column {column} of {name} is {after[name][column]}, was {kind}"
        if list(columns) != [column for column in after[name] if column in columns]:
            return f"the columns of {name} are in another order"
    return ""


def same_table(one: Path, other: Path) -> bool:
    """Whether two tables have the same rows, however they are stored. Raises HgldError for a damaged one."""
    if sha256(one) == sha256(other):
        return True
    if one.suffix != ".parquet":
        return False
    try:
        return all(
            pq.read_table(one, columns=[name]).equals(pq.read_table(other, columns=[name]))
            for name in pq.read_schema(one).names
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        raise HgldError(f"{one} or {other}: a damaged table: {reason(error)[:200]}") from None
