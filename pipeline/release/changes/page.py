"""changes.html: what changed, by cause, and which edit moved which landmarks; one file that loads nothing."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hgld.foundation.display.html_page import render_page
from hgld.foundation.display.text_table import TextTable
from hgld.hierarchy.comparison.drift.causes import CAUSES, Explanation
from hgld.hierarchy.comparison.drift.report import Drift
from hgld.hierarchy.comparison.release_diff import Change, category_name

# Limits of the page; changes.csv is complete.
MOST_EDITS, MOST_LANDMARKS, MOST_SINGLE = 50, 40, 100


@dataclass(frozen=True)
class Part:
    """A further part of the page: a chart (SVG that escapes every name), a table, or both."""

    title: str
    note: str = ""
    svg: str = ""
    table: TextTable | None = None


@dataclass(frozen=True)
class _Landmark:
    """A landmark, or several of one category, with the old and the new path; `ids` such as "train 10, index 7".

    why: the edits, where they stand beside the landmark.
    """

    name: str
    ids: str
    old: Sequence[str]
    new: Sequence[str]
    why: str = ""


@dataclass
class _Edit:
    """The landmarks that the same edits moved."""

    text: str
    by: str
    count: int = 0
    landmarks: list[_Landmark] = field(default_factory=list)

    @property
    def more(self) -> int:
        """The landmarks that are not shown."""
        return self.count - sum(map(_count, self.landmarks))


@dataclass
class _Cause:
    """A cause with the edits that changed several categories, those of the most landmarks first; others one by one.

    more: the landmarks that are not shown.
    """

    key: str
    title: str
    count: int
    share: float
    edits: list[_Edit]
    single: list[_Landmark]
    more: int


def changes_page(drift: Drift, title: str, parts: Sequence[Part] = ()) -> str:
    """The page: self-contained, and the same for equal releases."""
    diff = drift.diff
    kinds = [(kind, count) for kind, count in diff.kinds.items() if count]
    return render_page(
        "hgld.pipeline.release.changes",
        "changes.html",
        title=title,
        note=drift.note,
        old=f"{diff.old_labelled:,} of {diff.old_landmarks:,} landmarks labelled",
        new=f"{diff.new_labelled:,} of {diff.new_landmarks:,}",
        changed=len(diff.changes),
        unchanged=diff.unchanged,
        kinds=kinds,
        causes=_causes(drift),
        parts=[part for part in parts if part.svg or (part.table and part.table.rows)],
    )


def _causes(drift: Drift) -> list[_Cause]:
    pairs: dict[str, list[tuple[Change, Explanation]]] = defaultdict(list)
    for change, why in zip(drift.diff.changes, drift.explanations, strict=True):
        pairs[why.cause].append((change, why))
    total = len(drift.diff.changes)
    causes = []
    for key, title in CAUSES.items():
        if own := pairs[key]:
            edits, single = _edits(own)
            shown = [*edits[:MOST_EDITS]], single[:MOST_SINGLE]
            more = sum(edit.count for edit in edits[MOST_EDITS:]) + sum(map(_count, single[MOST_SINGLE:]))
            causes.append(_Cause(key, title, len(own), len(own) / total, *shown, more))
    return causes


def _count(landmark: _Landmark) -> int:
    return landmark.ids.count(",") + 1


def _edits(pairs: Sequence[tuple[Change, Explanation]]) -> tuple[list[_Edit], list[_Landmark]]:
    """The edits of several categories with their landmarks; and those landmarks that have an edit of their own."""
    grouped: dict[tuple[str, str], list[Change]] = defaultdict(list)
    for change, why in pairs:
        grouped[why.text, why.by].append(change)
    edits, single = list[_Edit](), list[_Landmark]()
    for (text, by), changes in grouped.items():
        landmarks = _landmarks(changes)
        if len(landmarks) == 1:
            single.append(replace(landmarks[0], why=f"{text} · {by}" if by else text))
        else:
            edits.append(_Edit(text, by, len(changes), landmarks[:MOST_LANDMARKS]))
    edits.sort(key=lambda edit: (-edit.count, edit.text))
    return edits, sorted(single, key=lambda landmark: (landmark.name, landmark.ids))


def _landmarks(changes: Sequence[Change]) -> list[_Landmark]:
    """One per category and pair of paths, by name."""
    merged: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for change in changes:
        old, new = _paths(change)
        merged[category_name(change.category), old, new].append(f"{change.split} {change.landmark_id}")
    return [_Landmark(name, ", ".join(ids), old, new) for (name, old, new), ids in sorted(merged.items())]


def _paths(change: Change) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The old and the new path, from fine to coarse; what is the same in both only where it says what is meant."""
    if change.kind in ("place", "category", "source"):
        old, new = change.sides()
        return (old,), (new if change.kind != "category" else category_name(new),)
    old_path = _path(change.old_supercategory, change.old_label, change.old_nature, change.old_source)
    new_path = _path(change.new_supercategory, change.new_label, change.new_nature, change.new_source)
    return () if change.kind == "added" else old_path, () if change.kind == "removed" else new_path


def _path(supercategory: str, label: str, nature: str, source: str) -> tuple[str, ...]:
    if not label:
        return ("no label",)
    own = supercategory if supercategory.casefold() != label.casefold() else ""
    return tuple(filter(None, (own, label, nature)))
