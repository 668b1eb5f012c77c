"""Faults and their outcomes: rows that tests add, printed at the end of the test run."""

from dataclasses import dataclass, field
from itertools import groupby


@dataclass
class FaultTable:
    """Rows (part, fault, outcome)."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, part: str, fault: str, outcome: str) -> None:
        """Record the outcome of a fault in `part` (a stage or module)."""
        self.rows.append((part, fault, " ".join(outcome.split())))

    def lines(self, width: int = 150) -> list[str]:
        """The table as text, grouped by part; long lines are truncated."""
        if not self.rows:
            return []
        indent = max(len(fault) for _, fault, _ in self.rows)
        lines = []
        for part, rows in groupby(sorted(set(self.rows)), key=lambda row: row[0]):
            lines.append(part)
            for _, fault, outcome in rows:
                lines.append(f"  {fault:<{indent}}  {outcome}"[:width])
        return lines
