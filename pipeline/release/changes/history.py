"""changes.json and CHANGES.md: the changes of every version so far, in numbers, the newest first."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hgld.foundation.display.markdown import markdown_text
from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError
from hgld.foundation.files import read_json
from hgld.hierarchy.comparison.drift.causes import CAUSES
from hgld.hierarchy.comparison.drift.report import CHANGE_COLUMNS, Drift
from hgld.hierarchy.comparison.release_diff import KINDS
from hgld.pipeline.release.changes.deprecations import COLUMNS as DEPRECATED_COLUMNS
from hgld.pipeline.release.changes.deprecations import Deprecation
from hgld.pipeline.release.changes.version_step import Step

FILE, PAGE = "changes.json", "CHANGES.md"
MOST_MOVES = 50
_VERSIONS = 10_000


@dataclass(frozen=True)
class Entry:
    """The changes of one version, in numbers.

    step, why: the smallest step of the version that is right, and its reason; kinds, causes: how many landmarks;
    moves: the most frequent ones, (old label, new label, landmarks); deprecated: kind → how much is gone since;
    note: why causes could not be found.
    """

    version: str
    after: str
    step: str
    why: str
    landmarks: int
    changed: int
    kinds: Mapping[str, int]
    causes: Mapping[str, int]
    moves: tuple[tuple[str, str, int], ...]
    deprecated: Mapping[str, int]
    note: str = ""


def entry(drift: Drift, versions: tuple[str, str], step: Step, gone: list[Deprecation]) -> Entry:
    """The entry of a version; versions: the former one and this one."""
    diff = drift.diff
    moves = tuple((move.old, move.new, move.count) for move in diff.moves[:MOST_MOVES])
    new = [row.kind for row in gone if row.since == versions[1]]
    return Entry(
        versions[1],
        versions[0],
        step.kind,
        step.why,
        diff.new_landmarks,
        len(diff.changes),
        dict(diff.kinds),
        drift.by_cause,
        moves,
        {kind: new.count(kind) for kind in ("landmark", "category", "label")},
        "causes could not be found, as the former release was written by an older version" if drift.note else "",
    )


def earlier(folder: Path) -> list[Entry]:
    """The entries of a release's changes.json; none where it has no such file. Raises HgldError for a malformed one."""
    path = folder / FILE
    if not path.exists():
        return []
    versions = read_json(path).get("versions")
    try:
        if not isinstance(versions, list) or len(versions) > _VERSIONS:
            raise TypeError("no list of versions")
        return [_read(version) for version in versions]
    except (TypeError, ValueError, AttributeError) as error:
        raise HgldError(f"{path}: not what hgld archive writes: {visible(str(error))[:100]}") from None


def _read(content: Mapping[str, Any]) -> Entry:
    known = Entry(**{**content, "moves": tuple((str(a), str(b), int(n)) for a, b, n in content["moves"])})
    numbers = [known.landmarks, known.changed, *known.kinds.values(), *known.causes.values()]
    texts = [known.version, known.after, known.step, known.why, known.note, *known.kinds, *known.causes]
    if not all(isinstance(value, int) for value in [*numbers, *known.deprecated.values()]):
        raise TypeError("a number was expected")
    if not all(isinstance(value, str) for value in [*texts, *known.deprecated]):
        raise TypeError("a text was expected")
    return known


def changes_json(entries: list[Entry]) -> dict[str, object]:
    """The content of changes.json."""
    return {"versions": [asdict(own) for own in entries]}


def changes_markdown(name: str, entries: list[Entry]) -> str:
    """The text of CHANGES.md."""
    lines = [f"# Changes of {markdown_text(name)}", ""]
    for own in entries:
        lines += _section(own)
    lines += [
        "## Files",
        "",
        "`changes.csv` has every landmark that the newest version changed, `changes.html` is the same as a page, and",
        "`changes.json` has the numbers above. `deprecated.csv` lists what is gone since any version.",
        "",
        *_columns("changes.csv", CHANGE_COLUMNS),
        *_columns("deprecated.csv", DEPRECATED_COLUMNS),
    ]
    return "\n".join(lines)


def _section(own: Entry) -> list[str]:
    total = f"{own.changed:,} of {own.landmarks:,} landmarks differ" if own.changed else "No landmark differs"
    why = f" ({own.step}: {markdown_text(own.why)})" if own.step != "none" else ""
    lines = [f"## {markdown_text(own.version)}", "", f"{total} from {markdown_text(own.after)}{why}.", ""]
    if own.note:
        lines += [f"The {markdown_text(own.note)}.", ""]
    gone = [f"{count:,} {kind}(s)" for kind, count in own.deprecated.items() if count]
    if gone:
        lines += [f"Gone, see `deprecated.csv`: {', '.join(map(markdown_text, gone))}.", ""]
    for title, counts, words in (("cause", own.causes, CAUSES), ("change", own.kinds, KINDS)):
        rows = [(words.get(key, key), count) for key, count in counts.items() if count]
        if rows:
            lines += [f"| {title} | landmarks |", "| --- | ---: |"]
            lines += [f"| {markdown_text(text)} | {count:,} |" for text, count in rows]
            lines.append("")
    if own.moves:
        lines += ["| old label | new label | landmarks |", "| --- | --- | ---: |"]
        for old, new, count in own.moves:
            lines.append(f"| {markdown_text(old or '(none)')} | {markdown_text(new or '(none)')} | {count:,} |")
        lines.append("")
    return lines


def _columns(file: str, columns: Mapping[str, str]) -> list[str]:
    rows = [f"| `{name}` | {markdown_text(about)} |" for name, about in columns.items()]
    return [f"| column of {file} | what |", "| --- | --- |", *rows, ""]
