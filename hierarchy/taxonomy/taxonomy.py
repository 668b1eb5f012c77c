"""The curated taxonomy: which classes stand for which label, which classes give none, which edges are wrong.

Three CSV files in one folder, edited by hand and kept in git:

- `taxonomy.csv`: one row per anchor class. A class belongs to the label of the nearest anchor above it; of the labels
  that an item's classes lead to, the one with the lowest `precedence` decides.
- `ignored_classes.csv`: classes that never give a label. `reach` is `class` for the class alone (it is removed from the
  graph, so that no path leads through it) or `below` also for every class whose nearest known class it is (a film has
  no label even though "work of art" is somewhere above it). `area` is `below` for areas of land: a province stays
  without a label, but a class below it whose name says more, such as a city of regional significance, is read by name.
- `cut_edges.csv`: statements "child is a subclass of parent" that hold only for a sense in which no landmark is meant.

Each row has its reason, and in `decided_by` its author: `published` for a convention of the published labels, `hgld`
for this project's first curation, else a name. Adding, splitting or moving a label takes edits of these files alone;
docs/taxonomy.md explains the order of precedence.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError
from hgld.foundation.sorted_rows import Key, order_problems
from hgld.foundation.tables import read_csv_with_lines
from hgld.foundation.text_input import whole_number
from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.taxonomy.qid import QID, qid_number

NATURES = ("natural", "human-made")
# The labels of settlements have this precedence or a higher one, see docs/taxonomy.md.
_SETTLEMENTS = 700
REACHES = ("class", "below", "area")

_ANCHORS = [
    "hierarchical_label",
    "natural_or_human_made",
    "anchor_qid",
    "anchor_label",
    "precedence",
    "comment",
    "decided_by",
]
_IGNORED = ["qid", "label", "reach", "reason", "decided_by"]
_CUTS = ["child", "child_label", "parent", "parent_label", "reason", "decided_by"]

# The columns of each file, and those by which its rows are sorted.
COLUMNS = {"taxonomy.csv": _ANCHORS, "ignored_classes.csv": _IGNORED, "cut_edges.csv": _CUTS}
_SORTED_BY = {
    "taxonomy.csv": ("hierarchical_label", "anchor_qid"),
    "ignored_classes.csv": ("qid",),
    "cut_edges.csv": ("child", "parent"),
}

_QIDS = {"anchor_qid", "qid", "child", "parent"}

# What a value should be, for the message about an invalid one.
_EXPECTED = {
    **dict.fromkeys(_QIDS, "a QID, such as Q22715"),
    **dict.fromkeys(("anchor_label", "label", "child_label", "parent_label"), "the name of the class on Wikidata"),
    **dict.fromkeys(("comment", "reason"), "why the row is there"),
    "hierarchical_label": "a label, such as church, without line breaks and invisible characters",
    "natural_or_human_made": f"{NATURES[0]} or {NATURES[1]}",
    "precedence": "a whole number, such as 440; of the labels of an item, that with the lowest decides",
    "reach": " or ".join(REACHES),
    "decided_by": "published, hgld or the name of who decided",
}


@dataclass(frozen=True)
class Anchor:
    """A class that stands for a label; the label with the lowest precedence decides."""

    qid: str
    name: str
    hierarchical_label: str
    natural_or_human_made: str
    precedence: int


@dataclass(frozen=True)
class IgnoredClass:
    """A class that never gives a label; `reach` is one of REACHES. published: the published labels decided it."""

    qid: str
    name: str
    reach: str
    reason: str
    published: bool = False


@dataclass(frozen=True)
class CutEdge:
    """A subclass statement that is not part of the class graph."""

    child: str
    parent: str
    reason: str


@dataclass(frozen=True)
class Taxonomy:
    """The three curated files; `anchors` and `ignored` by QID, `cuts` by (child, parent)."""

    anchors: dict[str, Anchor]
    ignored: dict[str, IgnoredClass]
    cuts: dict[tuple[str, str], CutEdge]

    @property
    def natures(self) -> dict[str, str]:
        """Hierarchical label → natural or human-made, sorted by label."""
        rows = {(anchor.hierarchical_label, anchor.natural_or_human_made) for anchor in self.anchors.values()}
        return dict(sorted(rows))

    @property
    def precedences(self) -> dict[str, int]:
        """Hierarchical label → the lowest precedence of its anchors."""
        descending = sorted(self.anchors.values(), key=lambda anchor: -anchor.precedence)
        return {anchor.hierarchical_label: anchor.precedence for anchor in descending}

    def excludes(self, qid: str) -> bool:
        """Whether the class is removed from the graph (reach `class`)."""
        return qid in self.ignored and self.ignored[qid].reach == "class"

    def blocks(self, qid: str) -> bool:
        """Whether no path leads through the class to a label (reach `below` or `area`)."""
        return qid in self.ignored and self.ignored[qid].reach != "class"

    def is_area(self, qid: str) -> bool:
        """Whether the class is ignored as an area, so that the names of the classes below count (reach `area`)."""
        return qid in self.ignored and self.ignored[qid].reach == "area"

    @property
    def labels_of_areas(self) -> frozenset[str]:
        """The labels of what can be an area of government: natural ones and those of settlements."""
        precedences = self.precedences
        return frozenset(
            label
            for label, nature in self.natures.items()
            if nature == NATURES[0] or precedences[label] >= _SETTLEMENTS
        )


def load_taxonomy(folder: Path | None = None) -> Taxonomy:
    """Read the curated files of `folder` (default: those of the package).

    Raises HgldError with every problem as "file:line: what is wrong".
    """
    folder = Path(folder) if folder is not None else CURATED
    taxonomy, problems = _read(folder)
    if problems:
        raise HgldError(f"{len(problems)} problem(s) in the taxonomy", *problems)
    return taxonomy


def taxonomy_problems(folder: Path) -> list[str]:
    """The problems of the curated files as "file:line: what is wrong"; empty when they are valid."""
    try:
        return _read(Path(folder))[1]
    except HgldError as error:
        return str(error).splitlines()


def _read(folder: Path) -> tuple[Taxonomy, list[str]]:
    problems: list[str] = []
    anchors: dict[str, Anchor] = {}
    ignored: dict[str, IgnoredClass] = {}
    cuts: dict[tuple[str, str], CutEdge] = {}
    for where, row in _rows(folder / "taxonomy.csv", problems):
        problems += [f"{where}: {text}" for text in _anchor_problems(row, anchors)]
        precedence = whole_number(row["precedence"])
        if precedence is not None:
            anchors[row["anchor_qid"]] = Anchor(row["anchor_qid"], row["anchor_label"], row["hierarchical_label"],
                                                row["natural_or_human_made"], precedence)  # fmt: skip
    for where, row in _rows(folder / "ignored_classes.csv", problems):
        if row["reach"] not in REACHES:
            problems.append(f"{where}: reach '{row['reach']}' is none of {', '.join(REACHES)}")
        if row["qid"] in anchors:
            problems.append(f"{where}: {row['qid']} is an anchor of '{anchors[row['qid']].hierarchical_label}'")
        ignored[row["qid"]] = IgnoredClass(
            row["qid"], row["label"], row["reach"], row["reason"], row["decided_by"] == "published"
        )
    for _, row in _rows(folder / "cut_edges.csv", problems):
        cuts[row["child"], row["parent"]] = CutEdge(row["child"], row["parent"], row["reason"])
    return Taxonomy(anchors, ignored, cuts), problems


def _rows(path: Path, problems: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """(file:line, row) of each row; empty values, malformed QIDs and unsorted rows are appended to `problems`."""
    columns = COLUMNS[path.name]
    table, lines = read_csv_with_lines(path, columns)
    valid: list[tuple[int, dict[str, str]]] = []
    for line, values in zip(lines, table.itertuples(index=False, name=None), strict=True):
        row = dict(zip(columns, map(str, values), strict=True))
        wrong = [name for name in columns if not _is_valid(name, row[name])]
        problems += [f"{path}:{line}: {name} {row[name][:40]!r}: expected {_EXPECTED[name]}" for name in wrong]
        if not wrong:
            valid.append((line, row))
    keys = [sort_key(path.name, list(row.values())) for _, row in valid]
    misplaced = order_problems(keys, [line for line, _ in valid])
    for number, (line, row) in enumerate(valid):
        if number in misplaced:
            problems.append(f"{path}:{line}: {misplaced[number]}")
        yield f"{path}:{line}", row


def _is_valid(name: str, value: str) -> bool:
    if name == "hierarchical_label":  # verdicts, tables and pages have it on one line
        return bool(value.strip()) and visible(value) == value
    return bool(re.fullmatch(QID if name in _QIDS else r"(?s).*\S.*", value))


def sort_key(file: str, values: Sequence[str]) -> Key:
    """What the rows of a file are sorted by; raises ValueError for a malformed QID.

    >>> sort_key("ignored_classes.csv", ["Q5", "human", "below", "a person", "hgld"])
    (5,)
    """
    row = dict(zip(COLUMNS[file], values, strict=True))
    return tuple(qid_number(row[name]) if name in _QIDS else row[name] for name in _SORTED_BY[file])


def _anchor_problems(row: dict[str, str], anchors: dict[str, Anchor]) -> Iterator[str]:
    label, nature = row["hierarchical_label"], row["natural_or_human_made"]
    if nature not in NATURES:
        yield f"'{nature}' is neither {' nor '.join(NATURES)}"
    if whole_number(row["precedence"]) is None:
        yield f"precedence {row['precedence'][:40]!r} is not a whole number (1 to 18 digits)"
    if row["anchor_qid"] in anchors:
        yield f"{row['anchor_qid']} is already an anchor of '{anchors[row['anchor_qid']].hierarchical_label}'"
    others = {a.natural_or_human_made for a in anchors.values() if a.hierarchical_label == label}
    if others - {nature}:
        yield f"'{label}' is {', '.join(sorted(others - {nature}))} in another row"
