"""What has changed between two releases: landmarks that came and went, and labels that moved.

A landmark is named by its split and its id: the ids of train and index name different things. White space around a
label does not count.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import check_unique, read_numbered, read_parquet
from hgld.hierarchy.taxonomy.commons_category import normalise

SPLITS = ("train", "index")
KINDS = {
    "added": "landmarks only in the new one",
    "removed": "landmarks only in the old one",
    "labelled": "had no label, have one now",
    "emptied": "had a label, have none now",
    "moved": "have another label",
    "supercategory": "have the same label, another supercategory",
    "source": "have the same label from another source",
}

_COLUMNS = ["landmark_id", "category", "supercategory", "hierarchical_label", "natural_or_human_made"]


@dataclass(frozen=True)
class Label:
    """What a release says of a landmark; "" is none. source: who decided, where the release tells."""

    category: str
    supercategory: str
    hierarchical_label: str
    source: str = ""


@dataclass(frozen=True)
class Edition:
    """A release: what it calls itself, and its labels by (split, landmark id)."""

    name: str
    labels: Mapping[tuple[str, str], Label]


@dataclass(frozen=True)
class Change:
    """One landmark that the two releases do not say the same of; `kind` is one of KINDS."""

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


@dataclass(frozen=True)
class LabelDrift:
    """How many landmarks have a label before and after; of them, how many it won and lost."""

    label: str
    old: int
    new: int
    won: int
    lost: int


@dataclass(frozen=True)
class Move:
    """From one label to another, and how many landmarks; "" is none."""

    old: str
    new: str
    count: int


@dataclass(frozen=True)
class Drift:
    """The difference of two releases; see the module."""

    old: str
    new: str
    old_landmarks: int
    new_landmarks: int
    old_labelled: int
    new_labelled: int
    unchanged: int
    kinds: Mapping[str, int]
    labels: tuple[LabelDrift, ...]
    moves: tuple[Move, ...]
    changes: tuple[Change, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)

    def text(self, listed: int = 20) -> str:
        """Tables for the terminal, and the first `listed` changes."""
        return "\n".join(_lines(self, listed))


def read_edition(folder: Path) -> Edition:
    """A release folder: `train_label_to_hierarchical.csv`, `index_label_to_hierarchical.csv`, or both.

    Its `labels.parquet` and `metadata.json`, where they lie there, tell the sources and its name.

    Raises HgldError for a folder without any of these tables, a malformed one, and a landmark that is twice in one.
    """
    folder = Path(folder)
    found: dict[tuple[str, str], Label] = {}
    paths = {split: folder / f"{split}_label_to_hierarchical.csv" for split in SPLITS}
    if not any(path.is_file() for path in paths.values()):
        names = " or ".join(path.name for path in paths.values())
        raise HgldError(f"{folder}: no release; expected {names} in it")
    sources = _sources(folder / "labels.parquet")
    for split, path in paths.items():
        if path.is_file():
            table, lines = read_numbered(path, _COLUMNS, extra=True)
            check_unique(path, "landmark_id", table["landmark_id"], lines)
            for row in table[_COLUMNS].itertuples(index=False, name=None):
                landmark, category, supercategory, label, _ = map(str, row)
                source = sources.get(normalise(category), "") if sources else ""
                found[split, landmark] = Label(category, supercategory.strip(), label.strip(), source)
    return Edition(_title(folder), found)


def drift(old: Edition, new: Edition) -> Drift:
    """What changed from `old` to `new`; independent of the order of their rows.

    Raises HgldError when they have no landmark in common.
    """
    common = old.labels.keys() & new.labels.keys()
    if not common:
        raise HgldError(
            f"{old.name} and {new.name} have no landmark in common: are they releases of one dataset?"
        )
    changes = [
        change
        for key in sorted(old.labels.keys() | new.labels.keys(), key=_order)
        if (change := _change(key, old.labels.get(key), new.labels.get(key)))
    ]
    changes.sort(key=lambda one: list(KINDS).index(one.kind))
    kinds = Counter(change.kind for change in changes)
    before, after = _counted(old), _counted(new)
    return Drift(
        old=old.name,
        new=new.name,
        old_landmarks=len(old.labels),
        new_landmarks=len(new.labels),
        old_labelled=before.total(),
        new_labelled=after.total(),
        unchanged=len(old.labels.keys() | new.labels.keys()) - len(changes),
        kinds={kind: kinds[kind] for kind in KINDS},
        labels=_labels(changes, before, after),
        moves=_moves(changes),
        changes=tuple(changes),
    )


def _change(key: tuple[str, str], old: Label | None, new: Label | None) -> Change | None:
    was, now = old or Label("", "", ""), new or Label("", "", "")
    if old is None or new is None:
        kind = "added" if old is None else "removed"
    elif was.hierarchical_label != now.hierarchical_label:
        kind = (
            "labelled" if not was.hierarchical_label else "emptied" if not now.hierarchical_label else "moved"
        )
    elif was.supercategory != now.supercategory:
        kind = "supercategory"
    elif was.source and now.source and was.source != now.source:
        kind = "source"
    else:
        return None
    return Change(*key, now.category or was.category, kind, was.hierarchical_label, now.hierarchical_label,
                  was.supercategory, now.supercategory, was.source, now.source)  # fmt: skip


def _order(key: tuple[str, str]) -> tuple[int, int, str]:
    """Train before index, and 9 before 10."""
    return SPLITS.index(key[0]), len(key[1]), key[1]


def _counted(edition: Edition) -> Counter[str]:
    return Counter(label.hierarchical_label for label in edition.labels.values() if label.hierarchical_label)


def _labels(changes: list[Change], before: Counter[str], after: Counter[str]) -> tuple[LabelDrift, ...]:
    """Every label of the two, the most moved first."""
    differ = [change for change in changes if change.old_label != change.new_label]
    won, lost = Counter(c.new_label for c in differ), Counter(c.old_label for c in differ)
    rows = [LabelDrift(name, before[name], after[name], won[name], lost[name]) for name in {*before, *after}]
    return tuple(sorted(rows, key=lambda row: (-(row.won + row.lost), -row.new, row.label)))


def _moves(changes: list[Change]) -> tuple[Move, ...]:
    pairs = Counter((c.old_label, c.new_label) for c in changes if c.kind in ("moved", "labelled", "emptied"))
    return tuple(
        Move(*pair, number) for pair, number in sorted(pairs.items(), key=lambda one: (-one[1], one[0]))
    )


def _sources(path: Path) -> dict[str, str]:
    """Category → who decided, where the release has its table of categories."""
    if not path.is_file():
        return {}
    table = read_parquet(path, ["category", "source"])
    return dict(zip(table["category"], table["source"], strict=True))


def _title(folder: Path) -> str:
    """The release's own name and version, and where it lies."""
    try:
        content = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return str(folder)
    if not isinstance(content, dict) or "name" not in content:
        return str(folder)
    return f"{content['name']} {content.get('version', '')}".strip() + f" ({folder})"


def _lines(result: Drift, listed: int) -> list[str]:
    lines = [
        f"old                   {result.old}: {_size(result.old_labelled, result.old_landmarks)}",
        f"new                   {result.new}: {_size(result.new_labelled, result.new_landmarks)}",
        f"unchanged             {result.unchanged} landmarks",
        *(f"{kind:<22}{result.kinds[kind]} {text}" for kind, text in KINDS.items()),
    ]
    touched = [row for row in result.labels if row.won or row.lost]
    if touched:
        lines += ["", f"{'label':<26}{'old':>8}{'new':>8}{'change':>8}{'won':>8}{'lost':>8}"]
        lines += [
            f"{row.label:<26}{row.old:>8}{row.new:>8}{row.new - row.old:>+8}{row.won:>8}{row.lost:>8}"
            for row in touched
        ]
    if result.moves:
        lines += ["", f"{'from':<26}{'to':<26}{'count':>8}"]
        lines += [f"{shown(one.old):<26}{shown(one.new):<26}{one.count:>8}" for one in result.moves[:listed]]
    if result.changes:
        lines += ["", *(described(one) for one in result.changes[:listed])]
    if len(result.changes) > listed:
        lines += [f"... and {len(result.changes) - listed} more; --out FOLDER lists them all"]
    return lines


def described(change: Change) -> str:
    """One change as a line.

    >>> described(Change("train", "7", "Hoover Dam", "moved", "lake", "dam", "", "", "clip", "review"))
    'moved          train 7: lake (clip) → dam (review)  Hoover Dam'
    """
    old, new = shown(change.old_label), shown(change.new_label)
    if change.kind == "supercategory":
        old, new = (
            f"{label}, {name or '(no supercategory)'}"
            for label, name in ((old, change.old_supercategory), (new, change.new_supercategory))
        )
    who = [f"{label} ({source})" if source else label
           for label, source in ((old, change.old_source), (new, change.new_source))]  # fmt: skip
    said = {"added": who[1], "removed": who[0]}.get(change.kind, " → ".join(who))
    return f"{change.kind:<15}{change.split} {change.landmark_id}: {said}  {change.category}"


def shown(label: str) -> str:
    """A label as people read it, an empty one too."""
    return label or "(no label)"


def _size(labelled: int, landmarks: int) -> str:
    return f"{labelled} of {landmarks} landmarks labelled"
