"""How often another's labels are wrong: a reviewed sample of them, and what it says of all of them.

The sample is stratified by whether our label is the same, and by how sure we are of it: where a sure label of ours
differs, errors are likely, and such landmarks are few. A verdict weighs the published label against another one that
it is shown beside.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import check_unique, read_numbered
from hgld.hierarchy.comparison.stratified_sampling import Estimate, Stratum, estimate

# theirs: the published label is right; both: it can be defended, and so can another; ours: ours is right and theirs is
# not; neither: both are wrong; unknown: the reviewer cannot tell.
VERDICTS = ("theirs", "both", "ours", "neither", "unknown")
WRONG, ARGUABLE = ("ours", "neither"), ("ours", "neither", "both")

# how many faults a message lists
_SHOWN = 20


@dataclass(frozen=True)
class Case:
    """A landmark: its published label, ours, and the label that the published one is shown beside.

    score: of our label, in [0, 1], as text; empty where Wikidata decides. beside: ours, or, where that is the
    published one, the label that the name model holds for the next likely.
    """

    landmark_id: str
    category: str
    published: str
    ours: str
    score: str
    beside: str

    @property
    def stratum(self) -> str:
        """Is our label the same, and how sure are we of it?

        >>> Case("1", "Abbey", "church", "monastery", "0.7000", "monastery").stratum
        'name differs, 0.5 to 0.9'
        """
        how = "agrees" if self.ours == self.published else "differs"
        if not self.score:
            return f"Wikidata {how}"
        if float(self.score) >= 0.9:
            return f"name {how}, from 0.9"
        if how == "agrees":
            return "name agrees, below 0.9"
        return "name differs, 0.5 to 0.9" if float(self.score) >= 0.5 else "name differs, below 0.5"


@dataclass(frozen=True)
class Judged(Case):
    """A reviewed case.

    blind: the verdict that was given without knowing which label is published, nor whether ours is the same; verdict:
    the one after a second look at every case in which the published label did not win. right: the label that is right
    where neither of the two is, if there is one.
    """

    blind: str
    verdict: str
    right: str
    reason: str
    decided_by: str

    @property
    def order(self) -> tuple[str, int]:
        """How the rows of a file are sorted."""
        return self.stratum, int(self.landmark_id)


COLUMNS = ["stratum", *(field.name for field in fields(Judged))]


def read_review(path: Path, labels: Collection[str]) -> list[Judged]:
    """The reviewed rows of a CSV with COLUMNS; labels: those there are, without white space around them.

    Raises HgldError for a malformed file, and lists the rows that are not sound (file:line).
    """
    table, lines = read_numbered(path, COLUMNS)
    check_unique(path, "landmark_id", table["landmark_id"], lines)
    bad = [f"{path}:{line}: landmark_id '{key}' is no number"
           for key, line in zip(table["landmark_id"], lines, strict=True) if not key.isdecimal()]  # fmt: skip
    rows = [Judged(*map(str, values)) for values in table[COLUMNS[1:]].itertuples(index=False, name=None)]
    for row, stratum, line in zip(rows, table["stratum"], lines, strict=True):
        bad += [f"{path}:{line}: {what}" for what in _faults(row, str(stratum), set(labels))]
    if not bad and rows != sorted(rows, key=lambda row: row.order):
        bad.append(f"{path}: the rows are not sorted by stratum and landmark_id")
    if bad:
        more = [f"... and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else []
        raise HgldError(f"{len(bad)} fault(s); correct the rows:\n" + "\n".join([*bad[:_SHOWN], *more]))
    return rows


def _faults(row: Judged, stratum: str, labels: set[str]) -> Iterator[str]:
    if row.score and not _is_share(row.score):
        yield f"score '{row.score}' is no number from 0 to 1"
    elif stratum != row.stratum:
        yield f"stratum '{stratum}'; its labels and score say '{row.stratum}'"
    for name in ("published", "ours", "beside"):
        if (label := getattr(row, name)) not in labels:
            yield f"{name} '{label}' is none of the labels"
    for name in ("blind", "verdict"):
        if (verdict := getattr(row, name)) not in VERDICTS:
            yield f"{name} '{verdict}'; expected one of {', '.join(VERDICTS)}"
    if row.blind == "theirs" != row.verdict:
        yield f"verdict '{row.verdict}' after 'theirs'; where the published label won there is no second look"
    if row.ours == row.published and "ours" in (row.blind, row.verdict):
        yield "verdict 'ours' where both have the same label; expected 'theirs' or 'neither'"
    if row.right and (row.verdict != "neither" or row.right not in labels - {row.published, row.ours}):
        yield f"right '{row.right}'; expected a third label, and the verdict 'neither'"
    if not row.reason.strip() or not row.decided_by.strip():
        yield "a reason and decided_by are needed"


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def share(
    rows: Iterable[Judged], verdicts: Collection[str], sizes: Mapping[str, int], unknown: str = "left out"
) -> Estimate:
    """The share of landmarks whose verdict is one of `verdicts`, in the strata that `rows` are from.

    sizes: how many landmarks each stratum has. unknown: what becomes of rows without a verdict: "left out" (as if
    they were like the others of their stratum), or counted as "hit" or "miss".
    """
    counted = Counter((row.stratum, row.verdict) for row in rows)
    found = {}
    for name in sorted({stratum for stratum, _ in counted}):
        open_rows = counted[name, "unknown"]
        judged = sum(counted[name, one] for one in VERDICTS) - (open_rows if unknown == "left out" else 0)
        hits = sum(counted[name, one] for one in verdicts) + (open_rows if unknown == "hit" else 0)
        found[name] = Stratum(sizes[name], judged, hits)
    return estimate(found)
