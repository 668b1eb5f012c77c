"""The tables of a release: what each is, its key, and a sentence for every column.

The one source of columns.json, of the tables of columns in README.md and of the record sets in croissant.json. A column
without a sentence is an error when the release is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.hierarchy.fusion.evidence_kinds import KINDS

_SOURCES = ", ".join(f"{kind.source} ({kind.title})" for kind in KINDS)
TEXT, WHOLE, FRACTION, YES_NO = "text", "whole number", "number", "true or false"


@dataclass(frozen=True)
class Column:
    """The type of a column, one of TEXT, WHOLE, FRACTION and YES_NO, and what it says."""

    type: str
    about: str


@dataclass(frozen=True)
class Table:
    """A file of the release: what a row is, the columns that identify it, and all columns in their order.

    config: its name as a configuration of `datasets` and as a record set of Croissant; "" for a CSV, which repeats what
    a Parquet table has, and for what the labels were derived from.
    """

    file: str
    about: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    config: str = ""


def _text(about: str) -> Column:
    return Column(TEXT, about)


_LABEL = {
    "supercategory": _text("English label of the Wikidata class that decided; empty where Wikidata did not"),
    "hierarchical_label": _text("The label, one of taxonomy.parquet; empty where there is none"),
    "natural_or_human_made": _text("natural or human-made; empty where there is no label"),
}
_IMAGE = _text("GLDv2's id of the image, 16 hexadecimal digits")
_LANDMARK = _text("GLDv2's number of the landmark; train and index number theirs independently")
_CATEGORY = _text(
    "The landmark's category on Wikimedia Commons, without prefix; it links the splits and labels.parquet"
)
_ITEM = {
    "qid": _text("The category's item on Wikidata; empty where none was found"),
    "method": _text("How it was found: sitelink, category-item, p373, soft-redirect or none"),
    "class": _text("The class of the item that decided"),
    "path": _text("From this class up to the anchor class of the label: QIDs, separated by >"),
}
_SCORES = {
    "score": Column(FRACTION, "Probability of the proposed label, 0 to 1; missing where there is no proposal"),
    "margin": Column(FRACTION, "Its lead over the second label; missing where there is no proposal"),
}
_VERDICT = {
    "annotator": _text("Who gave the verdict; empty without one"),
    "decided_on": _text("The day of the verdict; empty without one"),
}
_PLACE = {
    "country": _text("ISO 3166-1 code of the country of the item; of several, all, separated by |; empty if unknown"),
    "continent": _text("The continent, by country and coordinates; of several, all, separated by |; empty if unknown"),
    "latitude": Column(FRACTION, "Degrees north, from Wikidata; missing where it is not known"),
    "longitude": Column(FRACTION, "Degrees east, from Wikidata; missing where it is not known"),
}
_CLASS_OF_LABEL = {
    "hierarchical_label": _text("The label"),
    "natural_or_human_made": _text("natural or human-made"),
}
_DECIDED_BY = _text("published: a convention of GLDv2's published labels; hgld or a name: who decided")
_TAXONOMY = {
    **_CLASS_OF_LABEL,
    "definition": _text("What the label is for, in a sentence"),
    "anchor_qid": _text("A Wikidata class that stands for the label, with all classes nearest to it"),
    "anchor_label": _text("English label of that class"),
    "precedence": Column(WHOLE, "Of the labels of an item, the one with the lowest number decides"),
    "decided_by": _DECIDED_BY,
}
_GLDV2 = {
    "landmark_id": _LANDMARK,
    "category": _text("The category as GLDv2 gives it: its URL, percent-encoded"),
    **_LABEL,
}


def _gldv2(split: str) -> Table:
    about = f"One row per landmark of {split}, in the columns, order and spelling of GLDv2's file of this name"
    return Table(f"{split}_label_to_hierarchical.csv", about, ("landmark_id",), _GLDV2)


TABLES = (
    Table(
        "labels.parquet",
        "One row per category: its label, and what the label rests on",
        ("category",),
        {
            "category": _CATEGORY,
            **_LABEL,
            "source": _text(f"What decided: {_SOURCES}; empty without a label"),
            **_ITEM,
            **_SCORES,
            **_VERDICT,
            "note": _text("Why Wikidata gives no label, and the comment of the verdict"),
            **_PLACE,
            "snapshot": _text("The day of the snapshot of Wikidata; empty where it is not known"),
        },
        "labels",
    ),
    Table(
        "train.parquet",
        "One row per train image, with the labels of its landmark",
        ("image_id",),
        {
            "image_id": _IMAGE,
            "landmark_id": _LANDMARK,
            "category": _CATEGORY,
            **_LABEL,
            **_PLACE,
            "clean": Column(YES_NO, "Whether the image is in GLDv2's cleaned subset (train_clean)"),
        },
        "train",
    ),
    Table(
        "index.parquet",
        "One row per index image, the gallery of the benchmark",
        ("image_id",),
        {"image_id": _IMAGE, "landmark_id": _LANDMARK, "category": _CATEGORY, **_LABEL, **_PLACE},
        "index",
    ),
    Table(
        "test.parquet",
        "One row per test image, the queries of the benchmark",
        ("image_id",),
        {
            "image_id": _IMAGE,
            "usage": _text("GLDv2's split of the queries: Public, Private or Ignored (not a query)"),
            "relevant": _text("Ids of the index images of its landmark, separated by spaces"),
            "category": _text("The category of most of the relevant images; empty where there is no landmark"),
            **_LABEL,
            **_PLACE,
        },
        "test",
    ),
    Table(
        "taxonomy.parquet",
        "One row per anchor class of a label, with the definition of the label",
        ("anchor_qid",),
        _TAXONOMY,
        "taxonomy",
    ),
    Table(
        "evidence.parquet",
        "One row per category and kind of evidence, also of the labels that were not chosen",
        ("category", "source"),
        {
            "category": _CATEGORY,
            "source": _text(f"The kind of evidence: {_SOURCES}"),
            "hierarchical_label": _text("The label that it gives; empty where it gives none"),
            "supercategory": _text("English label of the class, for wikidata and verdicts"),
            **_ITEM,
            "qid": _text("The category's item on Wikidata; for review, an item that the annotator rejects"),
            **_SCORES,
            **_VERDICT,
            "note": _text("Its grounds, such as the labels that name and images suggest, each with its probability"),
        },
        "evidence",
    ),
    Table(
        "quality.parquet",
        "One row per label, and one of all of them: where it comes from, and how precise it is",
        ("hierarchical_label",),
        {
            "hierarchical_label": _text("The label; (all) for all of them"),
            "natural_or_human_made": _text("natural or human-made; empty for all"),
            "categories": Column(WHOLE, "Categories with the label"),
            **{
                "from_" + kind.source.replace("-", "_"): Column(WHOLE, f"Of these, from {kind.title}") for kind in KINDS
            },
            "controls": Column(WHOLE, "Categories that were drawn at random and judged by annotators"),
            "precision": Column(
                FRACTION,
                "The fraction of the controls whose label was confirmed, each source weighted by its labels; of the "
                "labels before verdicts; missing where a source of the label has no judged control",
            ),
            "precision_low": Column(FRACTION, "Lower end of its 95 % interval"),
            "precision_high": Column(FRACTION, "Upper end of its 95 % interval"),
        },
        "quality",
    ),
    Table(
        "class_graph.parquet",
        "One row per subclass statement that was used, and one with an empty parent per class at the top",
        ("class", "parent"),
        {
            "class": _text("A Wikidata class"),
            "class_label": _text("Its English label; empty where there is none"),
            "parent": _text("A class above it; empty for a class at the top"),
            "parent_label": _text("English label of that class"),
            "shortcut": Column(YES_NO, "Whether a longer path says the same; drawings of the hierarchy leave it out"),
            "hierarchical_label": _text("The label of `class`, from the nearest anchor above it; empty for none"),
        },
        "class_graph",
    ),
    Table(
        "candidates.parquet",
        "One row per category, item that it may be about, and class of this item",
        ("category", "qid", "class"),
        {
            "category": _CATEGORY,
            "qid": _text("An item on Wikidata that the category may be about"),
            "method": _text("How it was found: sitelink, category-item, p373 or soft-redirect"),
            "confidence": _text("Of this match: high, medium or low; the items of the highest one decide"),
            "class": _text("A class of the item (P31); empty for an item without a class"),
        },
    ),
    Table(
        "removed_edges.parquet",
        "One row per subclass statement of Wikidata that no path may use; with class_graph.parquet, all statements",
        ("class", "parent"),
        {
            "class": _text("A Wikidata class"),
            "parent": _text("What Wikidata has above it"),
            "reason": _text("Why it is not used: a cut (curated), an ignored class, or a cycle"),
        },
    ),
    Table(
        "ignored_classes.parquet",
        "One row per class that never gives a label",
        ("qid",),
        {
            "qid": _text("A Wikidata class"),
            "label": _text("English label of that class"),
            "reach": _text("class: it alone; below: also classes nearest to it; area: the same, for areas of land"),
            "reason": _text("Why it gives no label"),
            "decided_by": _DECIDED_BY,
        },
    ),
    Table(
        "cut_edges.parquet",
        "One row per subclass statement that was cut by hand",
        ("child", "parent"),
        {
            "child": _text("A Wikidata class"),
            "child_label": _text("English label of that class"),
            "parent": _text("What Wikidata has above it"),
            "parent_label": _text("English label of that class"),
            "reason": _text("Why the statement does not hold for landmarks"),
            "decided_by": _DECIDED_BY,
        },
    ),
    Table(
        "verdicts.parquet",
        "One row per annotator and landmark or class that was judged: the newest verdict",
        ("kind", "category", "annotator"),
        {
            "kind": _text("landmark, or class for all landmarks of a class that have no label of their own"),
            "category": _text("The category; for a verdict on a class, the QID of the class"),
            "hierarchical_label": _text("The label given; empty where the annotator says that there is none"),
            "suggested_label": _text("The label that was suggested to the annotator"),
            "supercategory": _text("A class that the annotator gives the landmark, as a QID; mostly empty"),
            "rejected_item": _text("An item of Wikidata that is another place, as a QID; mostly empty"),
            "annotator": _text("Who gave the verdict"),
            "decided_on": _text("The day or the time of the verdict, UTC"),
            "comment": _text("What the annotator says about it"),
            "counts": Column(YES_NO, "Whether it counts; false where annotators disagree, or another one adjudicates"),
        },
    ),
    _gldv2("train"),
    _gldv2("index"),
    Table("taxonomy.csv", "The same as taxonomy.parquet, for a spreadsheet", ("anchor_qid",), _TAXONOMY),
)
CONFIGS = {table.config: table for table in TABLES if table.config}


def check_columns(frames: Mapping[str, pd.DataFrame]) -> None:
    """Raise HgldError unless the tables, by file name, are those of TABLES with the columns described there."""
    known = {table.file: table for table in TABLES}
    problems = [f"{name}: no such table in TABLES" for name in frames if name not in known]
    problems += [f"{name}: not written" for name in known if name not in frames]
    for name, frame in frames.items():
        described = {column: about.type for column, about in known[name].columns.items()} if name in known else {}
        found = {str(column): _type(frame[column]) for column in frame}
        if list(found) != list(described):
            problems.append(f"{name}: has the columns {', '.join(found)}; described are {', '.join(described)}")
        problems += [
            f"{name}: column {column} is {type_}, described as {described[column]}"
            for column, type_ in found.items()
            if described.get(column, type_) != type_
        ]
    if problems:
        raise HgldError(
            "the release is not what pipeline/release/texts/columns.py describes; nothing was written:", *problems
        )


def _type(values: "pd.Series[Any]") -> str:
    if pd.api.types.is_bool_dtype(values):
        return YES_NO
    if pd.api.types.is_integer_dtype(values):
        return WHOLE
    return FRACTION if pd.api.types.is_float_dtype(values) else TEXT


def columns_json(rows: Mapping[str, int]) -> dict[str, object]:
    """The content of columns.json: per file its rows, its key, and each column with type and description."""
    return {
        table.file: {
            "about": table.about,
            "rows": rows[table.file],
            "key": list(table.key),
            "columns": [
                {"name": name, "type": column.type, "about": column.about} for name, column in table.columns.items()
            ],
        }
        for table in TABLES
    }
