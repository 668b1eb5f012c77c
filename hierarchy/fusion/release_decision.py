"""The release decision: from all claims about a category to the label it is released with.

A claim is a row: its source (see evidence_kinds), its label, and the evidence. All claims are released beside the
decision. The order of trust is a reviewer's verdict, Wikidata, a verdict on a class of the category, a proposal above
the thresholds, no label. A category has one proposal; its source is the evidence that gives the label the highest
probability: the names of its classes, its own name, or CLIP on its images.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from hgld.hierarchy.fusion.evidence_kinds import BY_CLASS, proposal_sources, trust_order
from hgld.hierarchy.fusion.proposals import accepted

_TEXT = ("category", "source", "hierarchical_label", "supercategory", "qid", "method", "class", "path",
         "annotator", "decided_on", "note")  # fmt: skip
_NUMBERS = ("score", "margin")

CLAIMS = [*_TEXT[:8], *_NUMBERS, *_TEXT[8:]]

DECISIONS = ["category", "supercategory", "hierarchical_label", "natural_or_human_made", "source", "qid", "method",
             "class", "path", "score", "margin", "annotator", "decided_on", "note"]  # fmt: skip


@dataclass(frozen=True)
class Thresholds:
    """The least score and margin, both in [0, 1], at which a proposal becomes a label."""

    score: float
    margin: float


def claims(
    labels: pd.DataFrame, proposals: pd.DataFrame, by_class: pd.DataFrame, verdicts: pd.DataFrame
) -> pd.DataFrame:
    """All claims, one row per category and source (columns CLAIMS, sorted; missing numbers are NaN).

    labels: `build/labels`, with the reason in the note where Wikidata gives no label; proposals: `refine/proposals`;
    by_class: what verdicts on classes claim (class_verdicts.COLUMNS); verdicts: those on landmarks, without a conflict,
    with the item that the annotator rejects in the column `qid`. Verdicts are shared by all profiles, so claims about
    categories that are not in `labels` are dropped.
    """
    rows = [
        _rows(labels, "wikidata"),
        _rows(proposals.rename(columns={"evidence": "note"}), None),
        _rows(by_class, None),
        _rows(verdicts.rename(columns={"comment": "note"}), "review"),
    ]
    known = set(labels["category"])
    table = pd.concat(rows)
    table = table[table["category"].isin(known)]
    rank = table["source"].map(trust_order().index)
    return table.assign(rank=rank).sort_values(["category", "rank"], ignore_index=True)[CLAIMS]


def _rows(table: pd.DataFrame, source: str | None) -> pd.DataFrame:
    """`table` with the columns CLAIMS: missing text is empty, missing numbers NaN. None: it has a column `source`."""
    frame = pd.DataFrame(index=table.index)
    for name in CLAIMS:
        frame[name] = table[name] if name in table else (float("nan") if name in _NUMBERS else "")
    types = dict.fromkeys(_TEXT, "str") | dict.fromkeys(_NUMBERS, "float64")
    return (frame if source is None else frame.assign(source=source)).astype(types)


def decide(
    evidence: pd.DataFrame,
    thresholds: Thresholds,
    kinds: Mapping[str, str],
    refuted: Collection[tuple[str, str]] = (),
) -> pd.DataFrame:
    """One row per category (columns DECISIONS, sorted): its label and source, independent of the order of `evidence`.

    evidence: as `claims` gives it; kinds: label → natural or human-made; refuted: pairs of a category and a label that
    the name of its class suggested, and that a verdict on the class took back.

    Whatever the source, `qid` and `method` describe the category's item, score and margin the proposal, annotator and
    date the verdict. The supercategory, `class` and `path` come from Wikidata where its label is that of the decision,
    else from the verdict if it names a class; an image or a name never does. An item that a verdict rejects leaves no
    trace here, only in the claims.
    """
    table = evidence.assign(rank=evidence["source"].map(trust_order().index)).sort_values(["category", "rank"])
    admissible = _admissible(table, thresholds) & ~_is_refuted(table, refuted)
    chosen = table[admissible].drop_duplicates("category").set_index("category")
    by_source = {name: table[table["source"] == name].set_index("category") for name in trust_order()}
    proposed = table[table["source"].isin(proposal_sources())].drop_duplicates("category").set_index("category")
    result = pd.DataFrame(index=pd.Index(sorted(evidence["category"].unique()), name="category", dtype="str"))
    result["hierarchical_label"] = _text(chosen["hierarchical_label"], result.index)
    result["source"] = _text(chosen["source"], result.index)
    result["natural_or_human_made"] = result["hierarchical_label"].map(lambda label: kinds.get(label, ""))
    wikidata, verdicts = by_source["wikidata"], by_source["review"]
    item = _text(wikidata["qid"], result.index)
    rejected = (item != "") & (item == _text(verdicts["qid"], result.index))
    for name in ("qid", "method"):
        result[name] = _text(wikidata[name], result.index).mask(rejected, "")
    agrees = (result["hierarchical_label"] == _text(wikidata["hierarchical_label"], result.index)) & ~rejected
    by_verdict = result["source"].isin(["review", BY_CLASS]) & (_text(chosen["class"], result.index) != "")
    for name in ("supercategory", "class", "path"):
        own = _text(chosen[name], result.index).where(by_verdict, "")
        result[name] = own.mask(agrees & ~by_verdict, _text(wikidata[name], result.index))
    for name in _NUMBERS:
        result[name] = proposed[name].reindex(result.index)
    for name in ("annotator", "decided_on"):
        own = _text(verdicts[name], result.index)
        result[name] = own.mask(own == "", _text(by_source[BY_CLASS][name], result.index))
    result["note"] = _notes(table, result.index)
    text = dict.fromkeys([name for name in DECISIONS if name not in _NUMBERS], "str")
    return result.reset_index()[DECISIONS].astype(text)


def _admissible(table: pd.DataFrame, thresholds: Thresholds) -> "pd.Series[bool]":
    """Which claims may decide: any verdict (on a category: even an empty one), Wikidata's label, a sure proposal."""
    labelled = table["hierarchical_label"] != ""
    confident = accepted(table, thresholds.score, thresholds.margin)
    return (
        (table["source"] == "review")
        | (table["source"].isin(["wikidata", BY_CLASS]) & labelled)
        | (table["source"].isin(proposal_sources()) & labelled & confident)
    )


def _is_refuted(table: pd.DataFrame, refuted: Collection[tuple[str, str]]) -> "pd.Series[bool]":
    """Which claims are read from the name of a class that, as a verdict says, does not mean this label."""
    pairs = pd.MultiIndex.from_frame(table[["category", "hierarchical_label"]])
    return (table["source"] == "class") & pairs.isin(list(refuted))


def _text(column: "pd.Series[str]", index: "pd.Index[str]") -> "pd.Series[str]":
    return column.reindex(index).fillna("").astype("str")


def _notes(table: pd.DataFrame, index: "pd.Index[str]") -> "pd.Series[str]":
    """Wikidata's note and the verdict's comment; a proposal's note only repeats its score."""
    noted = table[~table["source"].isin(proposal_sources()) & (table["note"] != "")]
    notes = noted.groupby("category", sort=True)["note"].agg(" | ".join)
    return _text(notes, index)
