"""Who calls what which: a square of counts over the labels, in the order in which people read it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

EMPTY = "(no label)"

# Groups of labels from top to bottom; a label that the taxonomy does not have comes last.
_GROUPS = ("natural", "human-made", "other")

# A square of more is no picture any more: the most frequent are kept.
MOST = 150


@dataclass(frozen=True)
class Matrix:
    """Counts by (row, column): a row is a reference label, a column ours or EMPTY; zeros are left out.

    labels: natural before human-made, in each the most frequent in the reference first, then by name; groups: which
    of the two each label is, "other" where that is not known; row_totals: all of a row, the empty ones among them;
    left_out: how many labels have no row, being too many to look at.
    """

    labels: tuple[str, ...]
    groups: tuple[str, ...]
    counts: Mapping[tuple[str, str], int]
    row_totals: Mapping[str, int]
    left_out: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The labels, and EMPTY where one is left empty."""
        empty = any(column == EMPTY for _, column in self.counts)
        return (*self.labels, EMPTY) if empty else self.labels

    def share(self, row: str, column: str) -> float:
        """The share of a row's landmarks that this cell holds; 0 where the row has none."""
        total = self.row_totals.get(row, 0)
        return self.counts.get((row, column), 0) / total if total else 0.0


def confusion_matrix(
    ours: Mapping[str, str], reference: Mapping[str, str], natures: Mapping[str, str]
) -> Matrix:
    """The matrix of the landmarks that both maps have and the reference labels; independent of their order.

    natures: label → natural or human-made, labels without white space around them.
    """
    pairs = [(reference[key], ours[key] or EMPTY) for key in ours.keys() & reference.keys() if reference[key]]
    totals = Counter(row for row, _ in pairs)
    names = sorted({*totals, *(column for _, column in pairs if column != EMPTY)})
    groups = {label: natures.get(label, "other") for label in names}
    kept = sorted(names, key=lambda label: (-totals[label], label))[:MOST]
    order = sorted(kept, key=lambda label: (_GROUPS.index(groups[label]), -totals[label], label))
    drawn = {*kept, EMPTY}
    counts = Counter((row, column) for row, column in pairs if row in drawn and column in drawn)
    return Matrix(
        tuple(order),
        tuple(groups[label] for label in order),
        dict(sorted(counts.items())),
        dict(sorted(totals.items())),
        len(names) - len(kept),
    )
