"""One verdict: what it says, and whether a row of a file is a valid one. The files are in verdicts."""

import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from hgld.foundation.errors import HgldError, suggest
from hgld.hierarchy.curation.verdict_csv import Row
from hgld.hierarchy.taxonomy.commons_category import normalise
from hgld.hierarchy.taxonomy.qid import QID

# What a verdict is about: the landmarks of a category, or all landmarks of a class that have no label of their own.
LANDMARK, CLASS = KINDS = ("landmark", "class")

# The answer of a verdict that says nothing about the label: the annotator cannot tell.
UNSURE = "unsure"


@dataclass(frozen=True)
class Verdict:
    """The decision of one annotator about one category or class, and the suggestion that was displayed.

    category: the Commons category, or, for the kind CLASS, the QID of the class. hierarchical_label: empty means that
    the category gets no label, or that the class says nothing about one; suggested_label and suggested_by: as they were
    then, whatever the taxonomy says today; suggested_score: a number in [0, 1] as text, or empty; decided_on: UTC,
    YYYY-MM-DDTHH:MM:SSZ, or YYYY-MM-DD, which is the start of that day; profile: that of the session, empty where it
    is not known (rows of older versions), which counts for every profile; kind: one of KINDS.

    Of a LANDMARK only, QIDs or empty: supercategory, the class that the annotator gives it; rejected_item, an item
    that the category was matched to and that is another place. version: of the tool that wrote the row. answer: empty
    where the label is the answer; UNSURE says nothing about the label, and takes back what the annotator said before.
    """

    category: str
    hierarchical_label: str
    suggested_label: str
    suggested_by: str
    suggested_score: str
    annotator: str
    decided_on: str
    comment: str = ""
    profile: str = ""
    kind: str = LANDMARK
    supercategory: str = ""
    rejected_item: str = ""
    version: str = ""
    answer: str = ""


class VerdictError(HgldError):
    """A verdict that is refused for what it says; nothing was written."""


COLUMNS = [field.name for field in fields(Verdict)]
# Older versions had no columns after the comment, then none after the profile, then none after the version.
OLDER = tuple(COLUMNS.index(name) + 1 for name in ("comment", "profile", "version"))

_KIND, _SCORE_PLACE, _DECIDED_ON = (COLUMNS.index(name) for name in ("kind", "suggested_score", "decided_on"))
# of this century: a mistyped year would outdo, or be outdone by, every other verdict
_TIME = re.compile(r"(20\d\d-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?Z?)?")
_SCORE = re.compile(r"[01](\.\d+)?|\d(\.\d+)?[eE]-\d+")


def verdict_of(row: Row) -> Verdict:
    """The verdict of a row, with its time, and a decimal comma, as `hgld review` writes them."""
    values = list(row.values)
    values[_KIND] = values[_KIND] or LANDMARK
    if row.delimiter != ",":
        values[_SCORE_PLACE] = values[_SCORE_PLACE].replace(",", ".")
    match = _TIME.fullmatch(values[_DECIDED_ON])
    if match and match[2]:
        values[_DECIDED_ON] = f"{match[1]}T{match[2]}{match[3] or ':00'}Z"
    return Verdict(*values)


def values_of(verdict: Verdict) -> tuple[str, ...]:
    """The values of a verdict in the order of COLUMNS."""
    return tuple(vars(verdict).values())


def verdict_problem(verdict: Verdict, owner: str, labels: Collection[str]) -> str:
    """Why a verdict in the file of `owner` is invalid; empty for a valid one. labels: the known hierarchical labels."""
    try:
        name = normalise(verdict.category, stored=True)
    except HgldError as error:
        return str(error)
    if name != verdict.category:
        return f"category {verdict.category!r} is not in its normal form, {name!r}; to correct it: hgld check --fix"
    label = verdict.hierarchical_label
    if label and label not in labels:
        return f"unknown label {label!r}{suggest(label, labels)}"
    if verdict.annotator != owner:
        return f"annotator {verdict.annotator!r} in the file of {owner!r}; each file has the verdicts of one annotator"
    if not is_time(verdict.decided_on):
        expected = "a date YYYY-MM-DD or a UTC time YYYY-MM-DDTHH:MM:SSZ, in 2000 to 2099"
        return f"decided_on {verdict.decided_on!r} is not {expected}"
    if verdict.suggested_score and not _is_score(verdict.suggested_score):
        return f"suggested_score {verdict.suggested_score!r} is not a number between 0 and 1"
    return _kind_problem(verdict) or _answer_problem(verdict)


def _kind_problem(verdict: Verdict) -> str:
    """Why a verdict does not fit its kind; empty for one that does."""
    if verdict.kind not in KINDS:
        return f"kind {verdict.kind!r} is not {' or '.join(KINDS)}"
    if verdict.kind == CLASS:
        if not re.fullmatch(QID, verdict.category):
            return f"category {verdict.category!r} of a verdict on a class is not its QID, such as Q22715"
        if verdict.supercategory or verdict.rejected_item:
            return "supercategory and rejected_item are for verdicts on landmarks, and this one is on a class"
    for name in ("supercategory", "rejected_item"):
        if (value := getattr(verdict, name)) and not re.fullmatch(QID, value):
            return f"{name} {value!r} is not a QID, such as Q22715"
    if verdict.supercategory and not verdict.hierarchical_label:
        return f"supercategory {verdict.supercategory} without a label"
    return ""


def _answer_problem(verdict: Verdict) -> str:
    if verdict.answer not in ("", UNSURE):
        return f"answer {verdict.answer!r} is neither empty nor {UNSURE}"
    if verdict.answer and (verdict.hierarchical_label or verdict.rejected_item):
        return f"answer {UNSURE} with a label or a rejected item; keep one of them"
    return ""


def is_time(text: str) -> bool:
    """Whether a text is a date, or a UTC time, that a verdict may have."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return bool(_TIME.fullmatch(text))


def _is_score(text: str) -> bool:
    return bool(_SCORE.fullmatch(text)) and 0 <= float(text) <= 1


def instant(decided_on: str) -> str:
    """The time of a verdict as a text that sorts by time: a date alone is the start of that day.

    >>> instant("2026-01-03")
    '2026-01-03T00:00:00Z'
    """
    return decided_on if "T" in decided_on else f"{decided_on}T00:00:00Z"


def utc_now() -> str:
    """The time as verdicts have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
