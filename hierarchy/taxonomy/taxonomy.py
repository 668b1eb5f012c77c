"""The curated knowledge: which classes stand for which label, which classes say nothing, which edges are wrong.

Three CSV files in one folder, edited by hand and kept in git:

- `taxonomy.csv`: one row an anchor class. A class belongs to the label of the nearest anchor above it; of the labels
  that an item's classes lead to, the one with the lowest `precedence` decides.
- `ignored_classes.csv`: classes that never give a label. `reach` says how far that goes: `class` for the class alone
  (it is taken out of the graph: nothing is learned through it), `below` also for every class whose nearest known
  class it is (a province stays without a label though "human settlement" stands somewhere above it).
- `cut_edges.csv`: statements "child is a subclass of parent" that are true of a sense that no landmark is meant in.

Each row says why, and in `decided_by` who decided: `published` for a convention of the published labels, `hgld` for
this project's first curation, else a name. A label is added, split or moved by editing these files alone;
docs/taxonomy.md explains the order of precedence.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_numbered
from hgld.hierarchy.curated import CURATED

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


@dataclass(frozen=True)
class Anchor:
    """A class that stands for a label; of two labels the one with the lower precedence decides."""

    qid: str
    name: str
    hierarchical_label: str
    natural_or_human_made: str
    precedence: int


@dataclass(frozen=True)
class Ignored:
    """A class that never gives a label; `reach` is one of REACHES."""

    qid: str
    name: str
    reach: str
    reason: str


@dataclass(frozen=True)
class Cut:
    """A subclass statement that is not followed."""

    child: str
    parent: str
    reason: str


@dataclass(frozen=True)
class Taxonomy:
    """The three curated files; `anchors` and `ignored` by QID, `cuts` by (child, parent)."""

    anchors: dict[str, Anchor]
    ignored: dict[str, Ignored]
    cuts: dict[tuple[str, str], Cut]

    @property
    def natures(self) -> dict[str, str]:
        """Hierarchical label → natural or human-made, in the order of the labels."""
        found = {anchor.hierarchical_label: anchor.natural_or_human_made for anchor in self.anchors.values()}
        return dict(sorted(found.items()))

    @property
    def precedences(self) -> dict[str, int]:
        """Hierarchical label → the lowest precedence of its anchors."""
        found: dict[str, int] = {}
        for anchor in self.anchors.values():
            own = found.setdefault(anchor.hierarchical_label, anchor.precedence)
            found[anchor.hierarchical_label] = min(own, anchor.precedence)
        return found

    def skips(self, qid: str) -> bool:
        """Whether the class is out of the graph."""
        return qid in self.ignored and self.ignored[qid].reach == "class"

    def closes(self, qid: str) -> bool:
        """Whether everything below the class, up to the next anchor, stays without a label."""
        return qid in self.ignored and self.ignored[qid].reach == "below"


def number(qid: str) -> int:
    """The number of a QID: the order of all ties, as text would put Q10 before Q9.

    >>> number("Q64")
    64
    """
    return int(qid[1:])


def load_taxonomy(folder: Path | None = None) -> Taxonomy:
    """Read the curated files of `folder` (default: those that ship with the package).

    Raises HgldError that lists every problem with file and line.
    """
    folder = Path(folder) if folder is not None else CURATED
    taxonomy, problems = _read(folder)
    if problems:
        raise HgldError(f"{len(problems)} problem(s) in the taxonomy\n" + "\n".join(problems))
    return taxonomy


def taxonomy_problems(folder: Path) -> list[str]:
    """Every problem of the curated files as "file:line: what is wrong"; an empty list when they are valid."""
    try:
        return _read(Path(folder))[1]
    except HgldError as error:
        return str(error).splitlines()


def _read(folder: Path) -> tuple[Taxonomy, list[str]]:
    problems: list[str] = []
    anchors: dict[str, Anchor] = {}
    ignored: dict[str, Ignored] = {}
    cuts: dict[tuple[str, str], Cut] = {}
    for where, row in _rows(
        folder / "taxonomy.csv", _ANCHORS, ("hierarchical_label", "anchor_qid"), problems
    ):
        problems += [f"{where}: {text}" for text in _anchor_problems(row, anchors)]
        if re.fullmatch(r"\d+", row["precedence"]):
            anchors[row["anchor_qid"]] = Anchor(row["anchor_qid"], row["anchor_label"], row["hierarchical_label"],
                                                row["natural_or_human_made"], int(row["precedence"]))  # fmt: skip
    for where, row in _rows(folder / "ignored_classes.csv", _IGNORED, ("qid",), problems):
        if row["reach"] not in REACHES:
            problems.append(f"{where}: reach '{row['reach']}' is none of {', '.join(REACHES)}")
        if row["qid"] in anchors:
            problems.append(
                f"{where}: {row['qid']} is an anchor of '{anchors[row['qid']].hierarchical_label}'"
            )
        ignored[row["qid"]] = Ignored(row["qid"], row["label"], row["reach"], row["reason"])
    for _, row in _rows(folder / "cut_edges.csv", _CUTS, ("child", "parent"), problems):
        cuts[row["child"], row["parent"]] = Cut(row["child"], row["parent"], row["reason"])
    return Taxonomy(anchors, ignored, cuts), problems


def _rows(
    path: Path, columns: list[str], key: tuple[str, ...], problems: list[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows with their place; empty values, malformed QIDs, and rows out of order become problems."""
    before: tuple[str | int, ...] = ()
    table, lines = read_numbered(path, columns)
    for line, values in zip(lines, table.itertuples(index=False, name=None), strict=True):
        where, row = f"{path}:{line}", dict(zip(columns, map(str, values), strict=True))
        wrong = [name for name in columns if not row[name].strip()]
        wrong += [name for name in columns if name in _QIDS and not re.fullmatch(r"Q[1-9]\d*", row[name])]
        if wrong:
            problems.append(f"{where}: no valid {', '.join(dict.fromkeys(wrong))}")
            continue
        place = tuple(number(row[name]) if name in _QIDS else row[name] for name in key)
        if before and place <= before:
            problems.append(f"{where}: out of order or twice; rows are sorted by {', '.join(key)}")
        before = place
        yield where, row


_QIDS = {"anchor_qid", "qid", "child", "parent"}


def _anchor_problems(row: dict[str, str], anchors: dict[str, Anchor]) -> Iterator[str]:
    label, nature = row["hierarchical_label"], row["natural_or_human_made"]
    if nature not in NATURES:
        yield f"'{nature}' is neither {' nor '.join(NATURES)}"
    if not re.fullmatch(r"\d+", row["precedence"]):
        yield f"precedence '{row['precedence']}' is not a whole number"
    if row["anchor_qid"] in anchors:
        yield f"{row['anchor_qid']} is also an anchor of '{anchors[row['anchor_qid']].hierarchical_label}'"
    others = {a.natural_or_human_made for a in anchors.values() if a.hierarchical_label == label}
    if others - {nature}:
        yield f"'{label}' is {', '.join(sorted(others - {nature}))} in another row"
