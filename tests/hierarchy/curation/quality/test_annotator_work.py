"""What an annotator did: counts of verdicts by kind, days, and pace."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from hgld.hierarchy.curation.quality.annotator_work import annotator_work, pace

COLUMNS = ["annotator", "category", "hierarchical_label", "suggested_label", "decided_on"]


def test_the_newest_verdict_of_each_category_is_counted() -> None:
    rows = [
        ("ana", "a", "lake", "lake", "2026-01-03T10:00:00Z"),
        ("ana", "b", "cave", "lake", "2026-01-03T10:00:20Z"),
        ("ana", "c", "", "lake", "2026-01-03T10:01:00Z"),
        ("ana", "d", "", "", "2026-01-05T10:00:00Z"),
        ("ana", "a", "cave", "lake", "2026-01-05T10:00:30Z"),
        ("ben", "a", "lake", "lake", "2026-01-04"),
    ]
    ana, ben = annotator_work(pd.DataFrame(rows, columns=COLUMNS, dtype="str"))
    assert (ana.annotator, ana.verdicts, ana.accepted, ana.corrected, ana.no_label) == ("ana", 4, 0.0, 0.5, 0.5)
    assert (ana.first, ana.last) == ("2026-01-03", "2026-01-05")
    assert ana.per_minute == pytest.approx(3 / 1.5)
    assert (ben.verdicts, ben.accepted, ben.first, ben.last) == (1, 1.0, "2026-01-04", "2026-01-04")
    assert math.isnan(ben.per_minute)


@pytest.mark.parametrize(("second", "expected"), [("10:10:00", 0.1), ("10:10:01", math.nan), ("10:00:00", math.nan)])
def test_a_gap_of_more_than_ten_minutes_starts_a_session(second: str, expected: float) -> None:
    times = pd.Series(["2026-01-03T10:00:00Z", f"2026-01-03T{second}Z"], dtype="str")
    assert pace(times) == pytest.approx(expected, nan_ok=True)
