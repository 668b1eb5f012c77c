"""How good the labels of a release are, as far as it is known, and why some landmarks have none."""

from collections.abc import Mapping
from math import nan

import pandas as pd

from hgld.hierarchy.curation.quality.precision import total_precision
from hgld.hierarchy.fusion.evidence_kinds import KINDS

OF_ALL = "(all)"

# The beginning of a note of the stage `build` → the reason that a release gives.
_REASONS = {
    "no item found": "no item on Wikidata",
    "the item has no class": "the item has no class",
    "only ignored classes": "no class leads to a label",
    "no class leads to a label": "no class leads to a label",
    "ambiguous": "candidate items disagree",
}
JUDGED_EMPTY, OTHER = "annotators gave no label", "other"
REASONS = (*dict.fromkeys(_REASONS.values()), JUDGED_EMPTY, OTHER)


def label_quality(labels: pd.DataFrame, accepted: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """One row per label, then one of all of them: categories by source, and the precision that annotators found.

    The precision is that of the labels before a person judged them: the fraction of the judged controls whose label was
    confirmed, each source weighted by its labels, with its 95 % interval (see total_precision); missing where a source
    of the label has no judged control. The labels that verdicts have given since are not doubted.

    labels: the released ones, one row per category (category, hierarchical_label, natural_or_human_made, source);
    accepted: those that were accepted without a verdict (category, suggested_label, suggested_by); judged: their judged
    controls, from `confirmations`.
    """
    labelled = labels[labels["hierarchical_label"] != ""]
    controls = judged.merge(accepted[["category", "suggested_label"]], on="category")
    groups = {str(label): rows for label, rows in labelled.groupby("hierarchical_label", sort=True)}
    rows = [
        _row(
            label, rows, accepted[accepted["suggested_label"] == label], controls[controls["suggested_label"] == label]
        )
        for label, rows in groups.items()
    ]
    table = pd.DataFrame([*rows, _row(OF_ALL, labelled, accepted, controls)])
    numbers = dict.fromkeys(("precision", "precision_low", "precision_high"), "float64")
    return table.astype({"hierarchical_label": "str", "natural_or_human_made": "str"} | numbers)


def _row(label: str, rows: pd.DataFrame, accepted: pd.DataFrame, controls: pd.DataFrame) -> dict[str, object]:
    counts = rows["source"].value_counts()
    found = total_precision(controls, accepted["suggested_by"].value_counts()) if len(controls) else None
    return {
        "hierarchical_label": label,
        "natural_or_human_made": "" if label == OF_ALL else str(rows["natural_or_human_made"].iloc[0]),
        "categories": len(rows),
        **{_column(kind.source): int(counts.get(kind.source, 0)) for kind in KINDS},
        "controls": len(controls),
        "precision": found.estimate if found else nan,
        "precision_low": found.low if found else nan,
        "precision_high": found.high if found else nan,
    }


def _column(source: str) -> str:
    """The column that counts the categories of a source."""
    return "from_" + source.replace("-", "_")


def quality_numbers(table: pd.DataFrame) -> dict[str, dict[str, float | int | None]]:
    """Label, or OF_ALL → controls, precision and its interval, of the labels that have judged controls; for card.json.

    table: from label_quality.
    """
    return {
        str(row["hierarchical_label"]): {
            "categories": int(row["categories"]),
            "controls": int(row["controls"]),
            **{
                name: None if row[name] != row[name] else round(float(row[name]), 4)
                for name in ("precision", "precision_low", "precision_high")
            },
        }
        for row in table.to_dict("records")
        if row["controls"] or row["hierarchical_label"] == OF_ALL
    }


def missing_labels(labels: pd.DataFrame, images: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, int]]:
    """Reason (REASONS) → how many categories without a label it has, and images of each split.

    labels: one row per category (category, hierarchical_label, source, note); images: split → its images.
    """
    empty = labels[labels["hierarchical_label"] == ""]
    reason_of = pd.Series(
        [_reason(source, note) for source, note in zip(empty["source"], empty["note"], strict=True)],
        index=empty["category"],
        dtype="str",
    )
    found = {split: table["category"].map(reason_of).value_counts() for split, table in images.items()}
    categories = reason_of.value_counts()
    return {
        reason: {
            "categories": int(categories.get(reason, 0)),
            **{split: int(counts.get(reason, 0)) for split, counts in found.items()},
        }
        for reason in REASONS
    }


def _reason(source: str, note: str) -> str:
    """Why a category has no label.

    >>> _reason("", "ambiguous: Q1 lake, Q2 dam")
    'candidate items disagree'
    """
    if source == "review":
        return JUDGED_EMPTY
    return next((reason for start, reason in _REASONS.items() if note.startswith(start)), OTHER)
