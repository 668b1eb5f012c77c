"""What changed between two releases: landmarks added and removed, and labels that changed.

A landmark is identified by its split and its id, as the ids of train and index are different spaces. White space
around a label is ignored.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hgld.foundation.display.text_table import TextTable
from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError
from hgld.foundation.tables import check_unique, parquet_columns, read_csv_with_lines, read_parquet, text_rows
from hgld.hierarchy.comparison.confusion import EMPTY
from hgld.hierarchy.taxonomy.commons_category import normalise

SPLITS = ("train", "index")
KINDS = {
    "added": "landmarks only in the new one",
    "removed": "landmarks only in the old one",
    "labelled": "had no label, have one now",
    "emptied": "had a label, have none now",
    "moved": "have another label",
    "nature": "have the same label, which is natural in one and human-made in the other",
    "supercategory": "have the same label, another supercategory",
    "source": "have the same label from another source",
    "place": "have the same label, another country, continent or coordinates",
    "category": "have the same label, and are of another category",
}

# The columns of labels.parquet that say where a landmark is.
PLACE = ("country", "continent", "latitude", "longitude")

_COLUMNS = ["landmark_id", "category", "supercategory", "hierarchical_label", "natural_or_human_made"]


class LandmarkKey(NamedTuple):
    """The identity of a landmark."""

    split: str
    landmark_id: str


@dataclass(frozen=True)
class LandmarkLabel:
    """The label of a landmark in a release, "" for none.

    source: who decided it; place: its country, continent and coordinates; both where the release has them.
    """

    category: str
    supercategory: str
    hierarchical_label: str
    source: str = ""
    nature: str = ""
    place: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReleaseLabels:
    """The title of a release, and its labels."""

    name: str
    labels: Mapping[LandmarkKey, LandmarkLabel]


@dataclass(frozen=True)
class Change:
    """A landmark that differs between the releases; `kind` is a key of KINDS.

    category: in the newer release, as GLDv2 gives it; in the older one for a landmark that is gone.
    """

    split: str
    landmark_id: str
    category: str
    kind: str
    old_label: str
    new_label: str
    old_supercategory: str
    new_supercategory: str
    old_source: str
    new_source: str
    old_nature: str = ""
    new_nature: str = ""
    old_category: str = ""
    old_place: str = ""
    new_place: str = ""

    @property
    def before(self) -> tuple[str, str, str, str]:
        """Label, nature, supercategory and source in the older release."""
        return self.old_label, self.old_nature, self.old_supercategory, self.old_source

    @property
    def after(self) -> tuple[str, str, str, str]:
        """The same in the newer release."""
        return self.new_label, self.new_nature, self.new_supercategory, self.new_source

    def __str__(self) -> str:
        """One line.

        >>> print(Change("train", "7", "Hoover Dam", "moved", "lake", "dam", "", "", "clip", "review"))
        moved          train 7: lake (clip) → dam (review)  Hoover Dam
        """
        text = " → ".join(filter(None, self.sides()))
        return visible(f"{self.kind:<15}{self.split} {self.landmark_id}: {text}  {self.category}")

    def sides(self) -> tuple[str, str]:
        """Old and new label, with what differs beside it; "" where the landmark is not in that release.

        >>> Change("train", "7", "Etna", "supercategory", "volcano", "volcano", "", "crater", "", "").sides()
        ('volcano, (no supercategory)', 'volcano, crater')
        """
        old, new = self.old_label or EMPTY, self.new_label or EMPTY
        if self.kind == "supercategory":
            old += f", {self.old_supercategory or '(no supercategory)'}"
            new += f", {self.new_supercategory or '(no supercategory)'}"
        elif self.kind == "nature":
            old, new = f"{old}, {self.old_nature}", f"{new}, {self.new_nature}"
        elif self.kind == "place":
            return self.old_place or "(no place)", self.new_place or "(no place)"
        elif self.kind == "category":
            return self.old_category, self.category
        old += f" ({self.old_source})" if self.old_source else ""
        new += f" ({self.new_source})" if self.new_source else ""
        return "" if self.kind == "added" else old, "" if self.kind == "removed" else new


@dataclass(frozen=True)
class LabelChange:
    """How many landmarks have a label in each release, and how many it won and lost."""

    label: str
    old: int
    new: int
    won: int
    lost: int


@dataclass(frozen=True)
class Move:
    """How many landmarks changed from one label to another; "" is none."""

    old: str
    new: str
    count: int


@dataclass(frozen=True)
class ReleaseDiff:
    """The difference of two releases; see the module."""

    old: str
    new: str
    old_landmarks: int
    new_landmarks: int
    old_labelled: int
    new_labelled: int
    unchanged: int
    kinds: Mapping[str, int]
    labels: tuple[LabelChange, ...]
    moves: tuple[Move, ...]
    changes: tuple[Change, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)

    def summary(self) -> str:
        """The numbers of landmarks, labelled ones, and changes of each kind, for the terminal."""
        return _summary(self)

    def tables(self, limit: int) -> list[TextTable]:
        """The labels that changed, and the `limit` most frequent moves; empty tables are left out."""
        return [table for table in (self.label_table(changed_only=True), self.move_table(limit)) if table.rows]

    def label_table(self, *, changed_only: bool = False) -> TextTable:
        """All labels, or those that a landmark won or lost."""
        rows = [
            (row.label, row.old, row.new, f"{row.new - row.old:+}", row.won, row.lost)
            for row in self.labels
            if row.won or row.lost or not changed_only
        ]
        return TextTable(("label", "old", "new", "change", "won", "lost"), rows, ["label"])

    def move_table(self, limit: int) -> TextTable:
        """The `limit` most frequent moves."""
        rows = [(move.old or EMPTY, move.new or EMPTY, move.count) for move in self.moves[:limit]]
        return TextTable(("from", "to", "landmarks"), rows, ["from", "to"])


def read_release_labels(folder: Path, name: str = "") -> ReleaseLabels:
    """Read a release folder: `train_label_to_hierarchical.csv`, `index_label_to_hierarchical.csv`, or both.

    The sources come from its `labels.parquet`, its title (unless `name` is given) from `metadata.json`; both files are
    optional.

    Raises HgldError for a folder without any of the CSV files, a malformed one, and a duplicate landmark in one.
    """
    folder = Path(folder)
    paths = {split: folder / f"{split}_label_to_hierarchical.csv" for split in SPLITS}
    if not any(path.is_file() for path in paths.values()):
        names = " or ".join(path.name for path in paths.values())
        raise HgldError(f"{folder}: no release; expected {names} in it")
    labels: dict[LandmarkKey, LandmarkLabel] = {}
    sources, places = _decided(folder / "labels.parquet")
    for split, path in paths.items():
        if path.is_file():
            table, lines = read_csv_with_lines(path, _COLUMNS, extra=True)
            check_unique(path, "landmark_id", table["landmark_id"], lines)
            for landmark, category, supercategory, label, nature in text_rows(table, *_COLUMNS):
                known = category_name(category) if sources else ""
                labels[LandmarkKey(split, landmark)] = LandmarkLabel(
                    category,
                    supercategory.strip(),
                    label.strip(),
                    sources.get(known, ""),
                    nature.strip(),
                    places.get(known, ()),
                )
    return ReleaseLabels(name or title(folder, folder), labels)


@cache
def category_name(text: str) -> str:
    """The name of a category that a release gives as a URL; the text itself where it is no category."""
    try:
        return normalise(text)
    except HgldError:
        return text


def diff_releases(old: ReleaseLabels, new: ReleaseLabels) -> ReleaseDiff:
    """What changed from `old` to `new`; independent of the order of their rows.

    Raises HgldError when they have no landmark in common.
    """
    if not old.labels.keys() & new.labels.keys():
        raise HgldError(f"{old.name} and {new.name} have no landmark in common: are they releases of one dataset?")
    keys = sorted(old.labels.keys() | new.labels.keys(), key=_order)
    changes = [change for key in keys if (change := _change(key, old.labels.get(key), new.labels.get(key)))]
    changes.sort(key=lambda change: list(KINDS).index(change.kind))
    kinds = Counter(change.kind for change in changes)
    old_counts, new_counts = _label_counts(old), _label_counts(new)
    return ReleaseDiff(
        old=old.name,
        new=new.name,
        old_landmarks=len(old.labels),
        new_landmarks=len(new.labels),
        old_labelled=old_counts.total(),
        new_labelled=new_counts.total(),
        unchanged=len(keys) - len(changes),
        kinds={kind: kinds[kind] for kind in KINDS},
        labels=_label_changes(changes, old_counts, new_counts),
        moves=_moves(changes),
        changes=tuple(changes),
    )


def _change(key: LandmarkKey, old: LandmarkLabel | None, new: LandmarkLabel | None) -> Change | None:
    before, after = old or LandmarkLabel("", "", ""), new or LandmarkLabel("", "", "")
    if old is None or new is None:
        kind = "added" if old is None else "removed"
    elif before.hierarchical_label != after.hierarchical_label:
        kind = "moved"
        if not before.hierarchical_label or not after.hierarchical_label:
            kind = "emptied" if before.hierarchical_label else "labelled"
    elif before.nature != after.nature:
        kind = "nature"
    elif before.supercategory != after.supercategory:
        kind = "supercategory"
    elif before.source and after.source and before.source != after.source:
        kind = "source"
    elif before.place and after.place and before.place != after.place:
        kind = "place"
    elif before.category != after.category:
        kind = "category"
    else:
        return None
    return Change(
        *key, after.category or before.category, kind, before.hierarchical_label, after.hierarchical_label,
        before.supercategory, after.supercategory, before.source, after.source, before.nature, after.nature,
        before.category or after.category, *(", ".join(filter(None, side.place)) for side in (before, after)),
    )  # fmt: skip


def _order(key: LandmarkKey) -> tuple[int, int, str]:
    """Train before index, and 9 before 10."""
    return SPLITS.index(key.split), len(key.landmark_id), key.landmark_id


def _label_counts(release: ReleaseLabels) -> Counter[str]:
    return Counter(label.hierarchical_label for label in release.labels.values() if label.hierarchical_label)


def _label_changes(changes: list[Change], old: Counter[str], new: Counter[str]) -> tuple[LabelChange, ...]:
    """Every label of the two releases, those with most changes first."""
    differing = [change for change in changes if change.old_label != change.new_label]
    won, lost = Counter(c.new_label for c in differing), Counter(c.old_label for c in differing)
    rows = [LabelChange(name, old[name], new[name], won[name], lost[name]) for name in {*old, *new}]
    return tuple(sorted(rows, key=lambda row: (-(row.won + row.lost), -row.new, row.label)))


def _moves(changes: list[Change]) -> tuple[Move, ...]:
    counts = Counter(
        (change.old_label, change.new_label) for change in changes if change.kind in ("moved", "labelled", "emptied")
    )
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Move(old, new, count) for (old, new), count in ordered)


def _decided(path: Path) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Category → who decided its label, and → its place; empty where the release has no such table or columns."""
    if not path.is_file():
        return {}, {}
    place = [name for name in PLACE if name in parquet_columns(path)]
    table = read_parquet(path, ["category", "source", *place])
    categories, sources = zip(*text_rows(table, "category", "source"), strict=True) if len(table) else ((), ())
    known = dict(zip(categories, sources, strict=True))
    if len(place) < len(PLACE):
        return known, {}
    numbers = ([f"{value:g}" if value == value else "" for value in table[name].tolist()] for name in PLACE[2:])
    texts = text_rows(table, *PLACE[:2])
    places = ((*pair, *point) for pair, point in zip(texts, zip(*numbers, strict=True), strict=True))
    return known, dict(zip(categories, places, strict=True))


def title(folder: Path, shown: Path) -> str:
    """Name and version of the release with its place, `shown`; only the place when it has no valid metadata.json."""
    try:
        content = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return str(shown)
    if not isinstance(content, dict) or "name" not in content:
        return str(shown)
    return f"{content['name']} {content.get('version', '')}".strip() + f" ({shown})"


def _summary(diff: ReleaseDiff) -> str:
    old, new = visible(diff.old), visible(diff.new)
    return "\n".join(
        [
            f"old                   {old}: {diff.old_labelled} of {diff.old_landmarks} landmarks labelled",
            f"new                   {new}: {diff.new_labelled} of {diff.new_landmarks} landmarks labelled",
            f"unchanged             {diff.unchanged} landmarks",
            *(f"{kind:<22}{diff.kinds[kind]} {text}" for kind, text in KINDS.items() if diff.kinds[kind]),
        ]
    )
