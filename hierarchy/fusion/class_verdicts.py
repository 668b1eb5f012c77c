"""Verdicts on classes: what one verdict says about every landmark of its class.

A verdict "hypermarket is shopping" labels the landmarks that are instances of hypermarket, that no path of classes
labels, and that no annotator has judged themselves. A verdict that a class says nothing about the label takes back what
the name of the class suggested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from hgld.hierarchy.fusion.evidence_kinds import BY_CLASS

COLUMNS = ["category", "source", "hierarchical_label", "supercategory", "class", "path", "annotator", "decided_on",
           "note"]  # fmt: skip


@dataclass(frozen=True)
class ClassVerdicts:
    """What the verdicts on classes say.

    claims: one row per category (columns COLUMNS, sorted); refuted: pairs of a category and a label that the name of
    its class suggested, and that a verdict took back.
    """

    claims: pd.DataFrame
    refuted: frozenset[tuple[str, str]]


def spread(
    verdicts: pd.DataFrame,
    classes: Mapping[str, Sequence[str]],
    precedences: Mapping[str, int],
    names: Mapping[str, str],
) -> ClassVerdicts:
    """The claims of settled verdicts on classes.

    verdicts: one row per class (QID in the column category); classes: category without a label → its classes, lowest
    QID number first; precedences: label → its precedence in the taxonomy; names: QID → name.

    Of several classes of a category, the label with the lowest precedence decides, as it does for Wikidata's paths,
    then the first class.
    """
    verdict_of = {str(row["category"]): row for row in verdicts.to_dict("records")}
    rows, refuted = [], set()
    for category in sorted(classes):
        judged = [qid for qid in classes[category] if qid in verdict_of]
        for qid in judged:
            verdict = verdict_of[qid]
            if not verdict["hierarchical_label"] and verdict["suggested_label"]:
                refuted.add((category, str(verdict["suggested_label"])))
        labelled = [qid for qid in judged if verdict_of[qid]["hierarchical_label"]]
        if labelled:
            best = min(labelled, key=lambda qid: precedences[verdict_of[qid]["hierarchical_label"]])
            verdict, name = verdict_of[best], names.get(best, best)
            comment = f": {verdict['comment']}" if verdict["comment"] else ""
            rows.append(
                {
                    "category": category,
                    "source": BY_CLASS,
                    "hierarchical_label": verdict["hierarchical_label"],
                    "supercategory": name,
                    "class": best,
                    "path": best,
                    "annotator": verdict["annotator"],
                    "decided_on": verdict["decided_on"],
                    "note": f"all of the class {name} ({best}){comment}",
                }
            )
    return ClassVerdicts(pd.DataFrame(rows, columns=COLUMNS, dtype="str"), frozenset(refuted))
