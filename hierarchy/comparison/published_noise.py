"""How often published labels are wrong, estimated from a reviewed sample.

The sample is stratified by whether our label is the same, and by how sure we are of ours: errors are likely where a
sure label of ours differs, and such landmarks are few. The reviewer sees the published label beside another one.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from hgld.foundation.errors import HgldError, shortened
from hgld.foundation.tables import check_unique, read_csv_with_lines
from hgld.foundation.text_input import whole_number
from hgld.hierarchy.comparison.stratified_sampling import Estimate, Stratum, estimate_fraction

# theirs: the published label is right; both: it is defensible, and so is another; ours: ours is right and the published
# one is not; neither: both are wrong; unknown: the reviewer cannot tell.
JUDGEMENTS = ("theirs", "both", "ours", "neither", "unknown")
WRONG, ARGUABLE = ("ours", "neither"), ("ours", "neither", "both")


@dataclass(frozen=True)
class SampledLandmark:
    """A landmark with its published label, ours, and the label beside which the published one is shown.

    score: of our label, in [0, 1], as text; empty where Wikidata decides. beside: our label, or, where that equals the
    published one, the second most likely label of the name model.
    """

    landmark_id: str
    category: str
    published: str
    ours: str
    score: str
    beside: str

    @property
    def stratum(self) -> str:
        """Whether our label is the same, and how sure we are of it.

        >>> SampledLandmark("1", "Abbey", "church", "monastery", "0.7000", "monastery").stratum
        'name differs, 0.5 to 0.9'
        """
        relation = "agrees" if self.ours == self.published else "differs"
        if not self.score:
            return f"Wikidata {relation}"
        if float(self.score) >= 0.9:
            return f"name {relation}, from 0.9"
        if relation == "agrees":
            return "name agrees, below 0.9"
        return "name differs, 0.5 to 0.9" if float(self.score) >= 0.5 else "name differs, below 0.5"


@dataclass(frozen=True)
class ReviewedLandmark(SampledLandmark):
    """A sampled landmark with its review.

    blind: the judgement made without knowing which label is published, nor whether ours is the same; verdict: the
    judgement after a second look, which every landmark had whose published label did not win. right: the correct label
    where neither is, if there is one.
    """

    blind: str
    verdict: str
    right: str
    reason: str
    decided_by: str

    @property
    def sort_key(self) -> tuple[str, int]:
        """The order of rows in a file."""
        return self.stratum, int(self.landmark_id)


COLUMNS = ["stratum", *(field.name for field in fields(ReviewedLandmark))]


def read_review(path: Path, labels: Collection[str]) -> list[ReviewedLandmark]:
    """Read a review: a CSV with COLUMNS.

    labels: the known labels, without surrounding white space.

    Raises HgldError for a malformed file, and for invalid rows (each with file:line).
    """
    table, lines = read_csv_with_lines(path, COLUMNS)
    check_unique(path, "landmark_id", table["landmark_id"], lines)
    problems = [
        f"{path}:{line}: landmark_id {key[:40]!r} is not a number"
        for key, line in zip(table["landmark_id"], lines, strict=True)
        if whole_number(key) is None
    ]
    rows = [ReviewedLandmark(*map(str, values)) for values in table[COLUMNS[1:]].itertuples(index=False, name=None)]
    for row, stratum, line in zip(rows, table["stratum"], lines, strict=True):
        problems += [f"{path}:{line}: {text}" for text in _row_problems(row, str(stratum), set(labels))]
    if not problems and rows != sorted(rows, key=lambda row: row.sort_key):
        problems.append(f"{path}: the rows are not sorted by stratum and landmark_id")
    if problems:
        raise HgldError(f"{len(problems)} problem(s); correct the rows:", *shortened(problems))
    return rows


def _row_problems(row: ReviewedLandmark, stratum: str, labels: set[str]) -> Iterator[str]:
    if row.score and not _in_unit_interval(row.score):
        yield f"score '{row.score}' is not a number from 0 to 1"
    elif stratum != row.stratum:
        yield f"stratum '{stratum}', but its labels and score give '{row.stratum}'"
    for name in ("published", "ours", "beside"):
        if (label := getattr(row, name)) not in labels:
            yield f"{name} '{label}' is not a known label"
    for name in ("blind", "verdict"):
        if (judgement := getattr(row, name)) not in JUDGEMENTS:
            yield f"{name} '{judgement}'; expected one of {', '.join(JUDGEMENTS)}"
    if row.blind == "theirs" != row.verdict:
        yield f"verdict '{row.verdict}' after blind 'theirs'; there is no second look where the published label won"
    if row.ours == row.published and "ours" in (row.blind, row.verdict):
        yield "verdict 'ours' where both have the same label; expected 'theirs' or 'neither'"
    if row.right and (row.verdict != "neither" or row.right not in labels - {row.published, row.ours}):
        yield f"right '{row.right}'; expected a third label, and the verdict 'neither'"
    if not row.reason.strip() or not row.decided_by.strip():
        yield "reason or decided_by is empty"


def _in_unit_interval(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def verdict_fraction(
    rows: Iterable[ReviewedLandmark],
    verdicts: Collection[str],
    sizes: Mapping[str, int],
    unknown: Literal["left out", "hit", "miss"] = "left out",
) -> Estimate:
    """The estimated fraction of landmarks whose verdict is one of `verdicts`, over the strata that occur in `rows`.

    sizes: stratum → its number of landmarks. unknown: how rows with the verdict "unknown" count; "left out" treats
    them like the other rows of their stratum.
    """
    counts = Counter((row.stratum, row.verdict) for row in rows)
    strata = {}
    for name in sorted({stratum for stratum, _ in counts}):
        undecided = counts[name, "unknown"]
        judged = sum(counts[name, verdict] for verdict in JUDGEMENTS) - (undecided if unknown == "left out" else 0)
        hits = sum(counts[name, verdict] for verdict in verdicts) + (undecided if unknown == "hit" else 0)
        strata[name] = Stratum(sizes[name], judged, hits)
    return estimate_fraction(strata)
