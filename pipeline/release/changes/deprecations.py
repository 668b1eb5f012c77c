"""deprecated.csv: landmarks, categories and labels that a release no longer has, and what replaced them."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from hgld.foundation.tables import read_csv
from hgld.hierarchy.comparison.drift.report import Drift
from hgld.hierarchy.comparison.release_diff import ReleaseLabels, category_name

FILE = "deprecated.csv"
COLUMNS = {
    "kind": "What is gone: landmark, category or label",
    "split": "train or index, for a landmark; else empty",
    "id": "Its id: the number of a landmark, the name of a category, or the label",
    "label": "The last hierarchical_label of a landmark or category; empty for none",
    "since": "The first version without it",
    "replaced_by": "The ids, of the same kind, that stand for it now, separated by |; empty if nothing does",
}
_SEPARATOR = "|"


class Deprecation(NamedTuple):
    """A row of deprecated.csv, see COLUMNS."""

    kind: str
    split: str
    id: str
    label: str
    since: str
    replaced_by: str


def deprecations(drift: Drift, old: Path, new: Path, version: str) -> list[Deprecation]:
    """What is gone since any former version: what `old` lists, without what is back, and what `version` lacks.

    Raises HgldError when the list of `old` is malformed.
    """
    before, after = drift.labels
    known_labels = _known_labels(new, after)
    gone = _known_labels(old, before) - known_labels
    rows = [*_landmarks(before, after, version), *_categories(before, after, version),
            *_labels(before, after, gone, version)]  # fmt: skip
    known = {(row.kind, row.split, row.id) for row in rows}
    path = old / FILE
    former = read_csv(path, list(COLUMNS)) if path.exists() else None
    earlier = [] if former is None else [Deprecation(*map(str, row)) for row in former.itertuples(index=False)]
    present = _present(after, known_labels)
    kept = [row for row in earlier if (row.kind, row.split, row.id) not in known | present]
    return sorted([*kept, *rows], key=_order)


def _order(row: Deprecation) -> tuple[str, str, int, str]:
    return row.kind, row.split, len(row.id) if row.kind == "landmark" else 0, row.id


def _known_labels(folder: Path, labels: ReleaseLabels) -> set[str]:
    """The labels of the release's taxonomy; without one, those that landmarks have."""
    path = folder / "taxonomy.csv"
    if path.exists():
        return {text.strip() for text in read_csv(path, ["hierarchical_label"], extra=True)["hierarchical_label"]}
    return {own.hierarchical_label for own in labels.labels.values()} - {""}


def _present(labels: ReleaseLabels, known: Iterable[str]) -> set[tuple[str, str, str]]:
    return {
        *(("landmark", key.split, key.landmark_id) for key in labels.labels),
        *(("category", "", category_name(own.category)) for own in labels.labels.values()),
        *(("label", "", label) for label in known),
    }


def _landmarks(before: ReleaseLabels, after: ReleaseLabels, version: str) -> list[Deprecation]:
    """A landmark is replaced by those of the same split that are of its category."""
    successors: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key, own in after.labels.items():
        successors[key.split, category_name(own.category)].append(key.landmark_id)
    return [
        Deprecation("landmark", key.split, key.landmark_id, own.hierarchical_label, version,
                    _joined(successors[key.split, category_name(own.category)]))
        for key, own in before.labels.items()
        if key not in after.labels
    ]  # fmt: skip


def _categories(before: ReleaseLabels, after: ReleaseLabels, version: str) -> list[Deprecation]:
    """A category is replaced by those that its landmarks are of now."""
    present = {category_name(own.category) for own in after.labels.values()}
    gone: dict[str, list[str]] = defaultdict(list)
    label: dict[str, str] = {}
    for key, own in before.labels.items():
        if (name := category_name(own.category)) not in present:
            gone[name] += [category_name(after.labels[key].category)] if key in after.labels else []
            label[name] = own.hierarchical_label
    return [Deprecation("category", "", name, label[name], version, _joined(now)) for name, now in gone.items()]


def _labels(before: ReleaseLabels, after: ReleaseLabels, gone: set[str], version: str) -> list[Deprecation]:
    """A label is replaced by those that its landmarks have now, the most frequent one first."""
    moved: dict[str, Counter[str]] = {label: Counter() for label in gone}
    for key, own in before.labels.items():
        if own.hierarchical_label in gone and key in after.labels:
            moved[own.hierarchical_label][after.labels[key].hierarchical_label] += 1
    return [
        Deprecation("label", "", label, label, version, _SEPARATOR.join(filter(None, _by_count(now))))
        for label, now in moved.items()
    ]


def _by_count(names: Counter[str]) -> list[str]:
    return sorted(names, key=lambda name: (-names[name], name))


def _joined(names: Iterable[str]) -> str:
    return _SEPARATOR.join(sorted({*names} - {""}, key=lambda name: (len(name), name)))
