"""Classes worth a verdict: one answer settles all landmarks of a class that have no label of their own."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from hgld.hierarchy.fusion.evidence_kinds import BY_CLASS

# A verdict on a class of one landmark is a verdict on that landmark, and says less.
LEAST_LANDMARKS = 2
_EXAMPLES = 5


def class_candidates(
    landmarks: pd.DataFrame, classes: Mapping[str, Collection[str]], proposals: pd.DataFrame
) -> pd.DataFrame:
    """One row per class that at least LEAST_LANDMARKS landmarks in need of a verdict have (the columns of `landmarks`).

    landmarks: the candidates for review (columns category, reason, images, priority, …), of which those with a reason
    need a verdict, and those that a verdict on a class has labelled needed one before it; classes: category without a
    label → its classes; proposals: the labels that the names of classes suggest (columns class, label,
    hierarchical_label, score, margin, evidence).

    The category of a row is the QID of the class. Its priority is the sum of those of the landmarks in need, so that it
    comes before each of them; its images are those of all landmarks that the verdict settles.
    """
    table = landmarks.assign(needy=(landmarks["reason"] != "") | (landmarks["suggested_by"] == BY_CLASS))
    row_of = table.set_index("category")[["needy", "images", "priority"]].to_dict("index")
    members: dict[str, list[str]] = defaultdict(list)
    for category in sorted(classes):
        for qid in dict.fromkeys(classes[category]):
            if category in row_of:
                members[qid].append(category)
    proposal_of = {str(row["class"]): row for row in proposals.to_dict("records")}
    rows = []
    for qid, categories in sorted(members.items()):
        needy = [category for category in categories if row_of[category]["needy"]]
        if len(needy) < LEAST_LANDMARKS:
            continue
        by_images = sorted(categories, key=lambda category: (-row_of[category]["images"], category))
        rows.append(
            {
                "category": qid,
                "kind": "class",
                **_suggestion(proposal_of.get(qid)),
                "runner_up": "",
                "images": sum(row_of[category]["images"] for category in categories),
                "priority": round(sum(row_of[category]["priority"] for category in needy), 4),
                "reason": "class",
                "evidence": _evidence(by_images, proposal_of.get(qid)),
            }
        )
    return pd.DataFrame(rows, columns=landmarks.columns).astype(landmarks.dtypes)


def _suggestion(proposal: Mapping[Any, Any] | None) -> dict[str, str]:
    if proposal is None:
        return dict.fromkeys(("suggested_label", "suggested_by", "score", "margin"), "")
    return {
        "suggested_label": str(proposal["hierarchical_label"]),
        "suggested_by": "class",
        "score": f"{proposal['score']:.4f}",
        "margin": f"{proposal['margin']:.4f}",
    }


def _evidence(categories: list[str], proposal: Mapping[Any, Any] | None) -> str:
    more = ", …" if len(categories) > _EXAMPLES else ""
    text = f"{len(categories)} landmarks without a label of their own: {', '.join(categories[:_EXAMPLES])}{more}"
    return f"{text}; {proposal['evidence']}" if proposal is not None and proposal["evidence"] else text
