"""The curated taxonomy: which classes stand for which label, which classes give none, which edges are wrong.

Three CSV files in one folder, edited by hand and kept in git:

- `taxonomy.csv`: one row per anchor class. A class belongs to the label of the nearest anchor above it; of the labels
  that an item's classes lead to, the one with the lowest `precedence` decides.
- `ignored_classes.csv`: classes that never give a label. `reach` is `class` for the class alone (it is removed from the
  graph, so that no path leads through it) or `below` also for every class whose nearest known class it is (a province
  stays without a label even though "human settlement" is somewhere above it).
- `cut_edges.csv`: statements "child is a subclass of parent" that hold only for a sense in which no landmark is meant.

Each row has its reason, and in `decided_by` its author: `published` for a convention of the published labels, `hgld`
for this project's first curation, else a name. Adding, splitting or moving a label takes edits of these files alone;
docs/taxonomy.md explains the order of precedence.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv_with_lines
from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.taxonomy.qid import qid_number

NATURES = ("natural", "human-made")
REACHES = ("class", "below")

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

_QIDS = {"anchor_qid", "qid", "child", "parent"}


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
    """A class that never gives a label; `reach` is one of REACHES."""

    qid: str
    name: str
    reach: str
    reason: str


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
        """Whether the classes below, down to the next anchor, stay without a label (reach `below`)."""
        return qid in self.ignored and self.ignored[qid].reach == "below"


def load_taxonomy(folder: Path | None = None) -> Taxonomy:
    """Read the curated files of `folder` (default: those of the package).

    Raises HgldError with every problem as "file:line: what is wrong".
    """
    folder = Path(folder) if folder is not None else CURATED
    taxonomy, problems = _read(folder)
    if problems:
        raise HgldError(f"{len(problems)} problem(s) in the taxonomy\n" + "\n".join(problems))
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
    for where, row in _rows(folder / "taxonomy.csv", _ANCHORS, ("hierarchical_label", "anchor_qid"), problems):
        problems += [f"{where}: {text}" for text in _anchor_problems(row, anchors)]
        if re.fullmatch(r"\d+", row["precedence"]):
            anchors[row["anchor_qid"]] = Anchor(row["anchor_qid"], row["anchor_label"], row["hierarchical_label"],
                                                row["natural_or_human_made"], int(row["precedence"]))  # fmt: skip
    for where, row in _rows(folder / "ignored_classes.csv", _IGNORED, ("qid",), problems):
        if row["reach"] not in REACHES:
            problems.append(f"{where}: reach '{row['reach']}' is none of {', '.join(REACHES)}")
        if row["qid"] in anchors:
            problems.append(f"{where}: {row['qid']} is an anchor of '{anchors[row['qid']].hierarchical_label}'")
        ignored[row["qid"]] = IgnoredClass(row["qid"], row["label"], row["reach"], row["reason"])
    for _, row in _rows(folder / "cut_edges.csv", _CUTS, ("child", "parent"), problems):
        cuts[row["child"], row["parent"]] = CutEdge(row["child"], row["parent"], row["reason"])
    return Taxonomy(anchors, ignored, cuts), problems


def _rows(
    path: Path, columns: list[str], key: tuple[str, ...], problems: list[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """(file:line, row) of each row; empty values, malformed QIDs and unsorted rows are appended to `problems`."""
    previous: tuple[str | int, ...] = ()
    table, lines = read_csv_with_lines(path, columns)
    for line, values in zip(lines, table.itertuples(index=False, name=None), strict=True):
        where, row = f"{path}:{line}", dict(zip(columns, map(str, values), strict=True))
        patterns = {name: r"Q[1-9]\d*" if name in _QIDS else r"(?s).*\S.*" for name in columns}
        if wrong := [name for name in columns if not re.fullmatch(patterns[name], row[name])]:
            problems.append(f"{where}: no valid {', '.join(wrong)}")
            continue
        current = tuple(qid_number(row[name]) if name in _QIDS else row[name] for name in key)
        if previous and current <= previous:
            problems.append(f"{where}: duplicate or out of order; sort the rows by {', '.join(key)}")
        previous = current
        yield where, row


def _anchor_problems(row: dict[str, str], anchors: dict[str, Anchor]) -> Iterator[str]:
    label, nature = row["hierarchical_label"], row["natural_or_human_made"]
    if nature not in NATURES:
        yield f"'{nature}' is neither {' nor '.join(NATURES)}"
    if not re.fullmatch(r"\d+", row["precedence"]):
        yield f"precedence '{row['precedence']}' is not a whole number"
    if row["anchor_qid"] in anchors:
        yield f"{row['anchor_qid']} is already an anchor of '{anchors[row['anchor_qid']].hierarchical_label}'"
    others = {a.natural_or_human_made for a in anchors.values() if a.hierarchical_label == label}
    if others - {nature}:
        yield f"'{label}' is {', '.join(sorted(others - {nature}))} in another row"
