"""Faults and what came of them: rows that tests add while they run, printed when the run ends."""

from dataclasses import dataclass, field
from itertools import groupby


@dataclass
class FaultTable:
    """`add` from any test; `lines` for the end of the run."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, part: str, fault: str, outcome: str) -> None:
        """Note what `part` (a stage or module) made of a fault: the outcome in one line."""
        self.rows.append((part, fault, " ".join(outcome.split())))

    def lines(self, width: int = 150) -> list[str]:
        """The table as text, by part; a long outcome is cut."""
        if not self.rows:
            return []
        indent = max(len(fault) for _, fault, _ in self.rows)
        found = []
        for part, rows in groupby(sorted(set(self.rows)), key=lambda row: row[0]):
            found.append(part)
            for _, fault, outcome in rows:
                found.append(f"  {fault:<{indent}}  {outcome}"[:width])
        return found
