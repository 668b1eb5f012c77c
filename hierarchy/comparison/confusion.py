"""The confusion matrix of two label maps, in the order in which it is drawn."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

EMPTY = "(no label)"

# The groups of labels from top to bottom; "other" are labels that the taxonomy does not have.
_GROUPS = ("natural", "human-made", "other")

# A larger matrix cannot be read as an image; only the most frequent labels are kept.
MAX_LABELS = 150


@dataclass(frozen=True)
class ConfusionMatrix:
    """Non-zero counts by (row, column): the row is the reference label, the column is our label or EMPTY.

    labels: natural before human-made, within a group by decreasing frequency in the reference, then by name; groups:
    natural, human-made or other, for each label; row_totals: landmarks of each reference label, with our empty ones;
    left_out: the number of labels beyond MAX_LABELS.
    """

    labels: tuple[str, ...]
    groups: tuple[str, ...]
    counts: Mapping[tuple[str, str], int]
    row_totals: Mapping[str, int]
    left_out: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The labels, and EMPTY if it has a count."""
        empty = any(column == EMPTY for _, column in self.counts)
        return (*self.labels, EMPTY) if empty else self.labels

    def row_fraction(self, row: str, column: str) -> float:
        """The count of a cell divided by the total of its row; 0 for an empty row."""
        total = self.row_totals.get(row, 0)
        return self.counts.get((row, column), 0) / total if total else 0.0


def confusion_matrix(
    ours: Mapping[str, str], reference: Mapping[str, str], natures: Mapping[str, str]
) -> ConfusionMatrix:
    """The matrix over the landmarks that both maps have and the reference labels; independent of their order.

    natures: label, without surrounding white space → natural or human-made.
    """
    pairs = [(reference[key], ours[key] or EMPTY) for key in ours.keys() & reference.keys() if reference[key]]
    totals = Counter(row for row, _ in pairs)
    names = sorted({*totals, *(column for _, column in pairs if column != EMPTY)})
    groups = {label: natures.get(label, "other") for label in names}
    kept = sorted(names, key=lambda label: (-totals[label], label))[:MAX_LABELS]
    order = sorted(kept, key=lambda label: (_GROUPS.index(groups[label]), -totals[label], label))
    drawn = {*kept, EMPTY}
    counts = Counter((row, column) for row, column in pairs if row in drawn and column in drawn)
    return ConfusionMatrix(
        labels=tuple(order),
        groups=tuple(groups[label] for label in order),
        counts=dict(sorted(counts.items())),
        row_totals=dict(sorted(totals.items())),
        left_out=len(names) - len(kept),
    )
