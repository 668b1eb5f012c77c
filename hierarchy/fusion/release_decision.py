"""The one decision: from everything that is claimed about a category to the label it is released with.

A claim is a row: who says it (one of TRUST), what, and on what grounds. All claims are kept beside the decision. The
order of trust is a person's verdict, then Wikidata, then a sure proposal, then nothing. A category has one proposal;
its source is the evidence that says most for it: the names of its classes, its own name, or CLIP on its images.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from hgld.hierarchy.fusion.proposals import accepted

PROPOSED = ("class", "name", "clip")
TRUST = ("review", "wikidata", *PROPOSED)

_TEXT = ("category", "source", "hierarchical_label", "supercategory", "qid", "method", "class", "path",
         "annotator", "decided_on", "note")  # fmt: skip
_NUMBERS = ("score", "margin")

CLAIMS = [*_TEXT[:8], *_NUMBERS, *_TEXT[8:]]

DECISIONS = ["category", "supercategory", "hierarchical_label", "natural_or_human_made", "source", "qid", "method",
             "class", "path", "score", "margin", "annotator", "decided_on", "note"]  # fmt: skip


@dataclass(frozen=True)
class Thresholds:
    """A proposal counts when its score and its margin reach these; both in [0, 1]."""

    score: float
    margin: float


def claims(labels: pd.DataFrame, proposals: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """All evidence as rows, one per category and source (columns CLAIMS; absent numbers are NaN).

    labels: `build/labels`, where a category that Wikidata leaves open has a note that says why; proposals:
    `refine/proposals`; verdicts: the settled ones. Claims about categories that are not in `labels` are left out:
    verdicts are shared by all profiles.
    """
    rows = [
        _rows(labels, "wikidata"),
        _rows(proposals.rename(columns={"evidence": "note"}), None),
        _rows(verdicts.rename(columns={"comment": "note"}), "review"),
    ]
    known = set(labels["category"])
    table = pd.concat(rows)
    table = table[table["category"].isin(known)]
    rank = table["source"].map(TRUST.index)
    return table.assign(rank=rank).sort_values(["category", "rank"], ignore_index=True)[CLAIMS]


def _rows(table: pd.DataFrame, source: str | None) -> pd.DataFrame:
    """`table` in the columns of a claim; text that it lacks is empty, numbers are NaN; None: it names its source."""
    frame = pd.DataFrame(index=table.index)
    for name in CLAIMS:
        frame[name] = table[name] if name in table else (float("nan") if name in _NUMBERS else "")
    types = dict.fromkeys(_TEXT, "str") | dict.fromkeys(_NUMBERS, "float64")
    return (frame if source is None else frame.assign(source=source)).astype(types)


def decide(evidence: pd.DataFrame, thresholds: Thresholds, kinds: Mapping[str, str]) -> pd.DataFrame:
    """One row a category (columns DECISIONS, sorted): its label, and who says so; whatever the order of `evidence`.

    kinds: label → natural or human-made. `qid` and `method` name the category's item whoever decided; `class`,
    `path` and the supercategory are Wikidata's and stand only where the label is Wikidata's too (said by Wikidata,
    or by a verdict that agrees): a picture or a person gives no finer class, and we do not invent one. Score and
    margin are the proposal's where there is one; annotator and date are the verdict's.
    """
    table = evidence.assign(rank=evidence["source"].map(TRUST.index)).sort_values(["category", "rank"])
    counts = _admissible(table, thresholds)
    chosen = table[counts].drop_duplicates("category").set_index("category")
    by_source = {name: table[table["source"] == name].set_index("category") for name in TRUST}
    proposed = table[table["source"].isin(PROPOSED)].drop_duplicates("category").set_index("category")
    result = pd.DataFrame(index=pd.Index(sorted(evidence["category"].unique()), name="category", dtype="str"))
    result["hierarchical_label"] = _text(chosen["hierarchical_label"], result.index)
    result["source"] = _text(chosen["source"], result.index)
    result["natural_or_human_made"] = result["hierarchical_label"].map(lambda label: kinds.get(label, ""))
    wikidata = by_source["wikidata"]
    agrees = result["hierarchical_label"] == _text(wikidata["hierarchical_label"], result.index)
    for name in ("supercategory", "class", "path"):
        result[name] = _text(wikidata[name], result.index).where(agrees, "")
    for name in ("qid", "method"):
        result[name] = _text(wikidata[name], result.index)
    for name in _NUMBERS:
        result[name] = proposed[name].reindex(result.index)
    for name in ("annotator", "decided_on"):
        result[name] = _text(by_source["review"][name], result.index)
    result["note"] = _notes(table, result.index)
    text = dict.fromkeys([name for name in DECISIONS if name not in _NUMBERS], "str")
    return result.reset_index()[DECISIONS].astype(text)


def _admissible(table: pd.DataFrame, thresholds: Thresholds) -> "pd.Series[bool]":
    """Which claims may decide: every verdict (also "leave it empty"), a label of Wikidata, a sure proposal."""
    said = table["hierarchical_label"] != ""
    sure = accepted(table, thresholds.score, thresholds.margin)
    return (
        (table["source"] == "review")
        | ((table["source"] == "wikidata") & said)
        | (table["source"].isin(PROPOSED) & said & sure)
    )


def _text(column: "pd.Series[str]", index: "pd.Index[str]") -> "pd.Series[str]":
    return column.reindex(index).fillna("").astype("str")


def _notes(table: pd.DataFrame, index: "pd.Index[str]") -> "pd.Series[str]":
    """Wikidata's note and the verdict's comment; a proposal's is in its score."""
    noted = table[~table["source"].isin(PROPOSED) & (table["note"] != "")]
    notes = noted.groupby("category", sort=True)["note"].agg(" | ".join)
    return _text(notes, index)
