"""What one annotator did: how many verdicts, which kinds, on which days, and how fast."""

from dataclasses import dataclass
from math import nan

import pandas as pd

from hgld.hierarchy.curation.settled_verdicts import newest
from hgld.hierarchy.curation.verdict import instant

# A longer gap between two verdicts starts a new session.
SESSION_GAP_S = 600


@dataclass(frozen=True)
class AnnotatorWork:
    """The newest verdicts of an annotator by category. per_minute: within sessions, NaN where unknown.

    accepted, corrected, no_label: fractions, which sum to 1; first, last: days, YYYY-MM-DD.
    """

    annotator: str
    verdicts: int
    accepted: float
    corrected: float
    no_label: float
    first: str
    last: str
    per_minute: float


def annotator_work(verdicts: pd.DataFrame) -> list[AnnotatorWork]:
    """One entry per annotator, sorted by name. verdicts: all rows, so that the pace counts corrected verdicts too."""
    return [_work(str(name), rows) for name, rows in verdicts.groupby("annotator", sort=True)]


def _work(name: str, rows: pd.DataFrame) -> AnnotatorWork:
    counted = newest(rows)
    no_label = counted["hierarchical_label"] == ""
    accepted = ~no_label & (counted["hierarchical_label"] == counted["suggested_label"])
    days = rows["decided_on"].str[:10]
    return AnnotatorWork(
        annotator=name,
        verdicts=len(counted),
        accepted=float(accepted.mean()),
        corrected=float((~no_label & ~accepted).mean()),
        no_label=float(no_label.mean()),
        first=str(days.min()),
        last=str(days.max()),
        per_minute=pace(rows["decided_on"]),
    )


def pace(decided_on: "pd.Series[str]") -> float:
    """Verdicts per minute within sessions: gaps of at most SESSION_GAP_S, per their total length; NaN without any.

    Verdicts with a date but no time do not count.

    >>> pace(pd.Series(["2026-01-03T10:00:00Z", "2026-01-03T10:00:30Z", "2026-01-03T12:00:00Z", "2026-01-04"]))
    2.0
    """
    times = pd.to_datetime(decided_on[decided_on.str.contains("T")].map(instant), utc=True).sort_values()
    gaps = times.diff().dt.total_seconds().dropna()
    within = gaps[gaps <= SESSION_GAP_S]
    return 60 * len(within) / float(within.sum()) if within.sum() else nan
