"""What changed between two releases, and why: each change with its cause, and the numbers by cause."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from hgld.foundation.display.text_table import TextTable
from hgld.foundation.display.visible import visible
from hgld.hierarchy.comparison.drift.causes import CAUSES, UNEXPLAINED, Explanation
from hgld.hierarchy.comparison.drift.explain import Explainer, from_gldv2
from hgld.hierarchy.comparison.drift.facts import missing_facts, read_facts
from hgld.hierarchy.comparison.drift.worlds import Worlds
from hgld.hierarchy.comparison.release_diff import (
    KINDS,
    Change,
    ReleaseDiff,
    ReleaseLabels,
    category_name,
    diff_releases,
    read_release_labels,
)

# The columns of changes.csv, and what they say.
CHANGE_COLUMNS = {
    "kind": f"What changed: {', '.join(KINDS)}",
    "split": "train or index",
    "landmark_id": "GLDv2's number of the landmark, in the split",
    "category": "The landmark's category on Wikimedia Commons, in the newer release",
    "old_label": "hierarchical_label in the older release; empty for none",
    "new_label": "hierarchical_label in the newer release; empty for none",
    "old_supercategory": "supercategory in the older release",
    "new_supercategory": "supercategory in the newer release",
    "old_nature": "natural_or_human_made in the older release",
    "new_nature": "natural_or_human_made in the newer release",
    "old_source": "What decided in the older release",
    "new_source": "What decided in the newer release",
    "cause": f"Why: {', '.join(CAUSES)}",
    "by": "Who made the edits: annotators, who decided a row of the taxonomy, Wikidata or GLDv2; empty if not known",
    "edits": "The edits that made the change, in words",
}


@dataclass(frozen=True)
class Drift:
    """The changes between two releases with their explanations, in the same order.

    labels: the labels of both; note: why causes could not be found, "" where they could.
    """

    diff: ReleaseDiff
    labels: tuple[ReleaseLabels, ReleaseLabels]
    explanations: tuple[Explanation, ...]
    note: str = ""

    @property
    def by_cause(self) -> dict[str, int]:
        """Cause → how many landmarks changed for it, in the order of CAUSES; 0 for causes that did not occur."""
        counts = Counter(explanation.cause for explanation in self.explanations)
        return {cause: counts[cause] for cause in CAUSES}

    def rows(self) -> list[tuple[str, ...]]:
        """A row per change (columns CHANGE_COLUMNS)."""
        return [
            (change.kind, change.split, change.landmark_id, category_name(change.category), change.old_label,
             change.new_label, change.old_supercategory, change.new_supercategory, change.old_nature,
             change.new_nature, change.old_source, change.new_source, why.cause, why.by, why.text)
            for change, why in zip(self.diff.changes, self.explanations, strict=True)
        ]  # fmt: skip

    def cause_table(self) -> TextTable:
        """The causes that occurred."""
        counts = [(CAUSES[cause], count) for cause, count in self.by_cause.items() if count]
        rows = [(title, count, f"{count / len(self.explanations):.1%}") for title, count in counts]
        return TextTable(("cause", "landmarks", "share"), rows, ["cause"])

    def text(self, limit: int = 20) -> str:
        """Tables for the terminal, with the first `limit` moves and changes."""
        changes = [
            f"{change}\n{'':<15}{visible(f'{why.text} ({why.by})' if why.by else why.text)}"
            for change, why in list(zip(self.diff.changes, self.explanations, strict=True))[:limit]
        ]
        if more := len(self.diff.changes) - len(changes):
            changes.append(f"... and {more} more; --out FOLDER lists all")
        causes = self.cause_table()
        tables = [*([causes] if causes.rows else []), *self.diff.tables(limit)]
        note = f"causes could not be found: {self.note}" if self.note else ""
        parts = [self.diff.summary(), visible(note), *map(str, tables), "\n".join(changes)]
        return "\n\n".join(part for part in parts if part)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        changes = [dict(zip(CHANGE_COLUMNS, row, strict=True)) for row in self.rows()]
        return {**self.summary(), "changes": changes}

    def summary(self) -> dict[str, object]:
        """Numbers for JSON: by kind, by cause, by label, and the moves."""
        content = {key: value for key, value in self.diff.to_dict().items() if key != "changes"}
        return {**content, "causes": self.by_cause, "note": self.note}


def explain_releases(old: Path, new: Path, names: tuple[str, str] = ("", "")) -> Drift:
    """The changes from one release folder to another with their causes; names: what they are called.

    Where one of them was written by an older version, without the tables that causes are found in, all changes but
    those of GLDv2 are not explained, and the note says why.

    Raises HgldError for folders that are no releases, or damaged, or have no landmark in common.
    """
    labels = read_release_labels(old, names[0]), read_release_labels(new, names[1])
    diff = diff_releases(*labels)
    lacking = next((pair for own, folder in zip(labels, (old, new), strict=True)
                    if (pair := (own.name, missing_facts(folder)))[1]), None)  # fmt: skip
    note = f"{lacking[0]} lacks {lacking[1]}: an older version of hgld wrote it" if lacking else ""
    changes = [_normalised(change) for change in diff.changes]
    if note:
        explanations = [from_gldv2(change) or Explanation(UNEXPLAINED, note=note) for change in changes]
        return Drift(diff, labels, tuple(explanations), note)
    explainer = Explainer(Worlds(read_facts(old), read_facts(new)))
    return Drift(diff, labels, tuple(map(explainer.explain, changes)))


def _normalised(change: Change) -> Change:
    return replace(change, category=category_name(change.category), old_category=category_name(change.old_category))
