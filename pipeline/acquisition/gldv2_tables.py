"""Definitions of GLDv2's twelve metadata CSVs: file names, columns, allowed values, and the table each becomes."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

# What a whole value must match. "ids" is a cell of image ids; "any" is a text on one line, which may be empty.
# "prose" may have line ends; but a line in it that begins as a row does is a row that a stray quotation mark swallowed.
PATTERNS = {
    "id": r"[0-9a-f]{16}",
    "ids": r"[0-9a-f]{16}( [0-9a-f]{16})*",
    "landmark": r"[0-9]{1,18}",
    "text": r"[^\r\n]+",
    "usage": r"Public|Private|Ignored",
    "any": r"[^\r\n]*",
    "prose": r"(?s)(?!.*\n[0-9a-f]{16},).*",
}
EXPECTED = {
    "id": "16 hex digits",
    "ids": "image ids of 16 hex digits, one space between them",
    "landmark": "1 to 18 digits",
    "text": "a non-empty text on one line",
    "any": "a text on one line",
    "prose": "a text without rows of the table in it (a quotation mark is missing)",
    "usage": "Public, Private or Ignored",
}


def _explode_clean(table: pa.Table) -> pa.Table:
    """One row per landmark, with its images in one cell → one row per image."""
    ids = pc.split_pattern(table["images"].combine_chunks(), " ")
    landmarks = table["landmark_id"].combine_chunks().take(pc.list_parent_indices(ids))
    return pa.table({"id": pc.list_flatten(ids), "landmark_id": landmarks})


def _lower_case_columns(table: pa.Table) -> pa.Table:
    return table.rename_columns([name.lower() for name in table.column_names])


@dataclass(frozen=True)
class Table:
    """One upstream CSV: column → kind of value (a key of PATTERNS), and how its rows become the rows of our table.

    The first column of the result is the key: the rows are sorted by it, and it is unique.
    """

    file: str
    columns: dict[str, str]
    transform: Callable[[pa.Table], pa.Table] = field(default=lambda table: table)


_HIERARCHICAL = {
    "landmark_id": "landmark",
    "category": "text",
    "supercategory": "any",
    "hierarchical_label": "any",
    "natural_or_human_made": "any",
}

TABLES: dict[str, Table] = {
    "train": Table("train.csv", {"id": "id", "url": "text", "landmark_id": "landmark"}),
    "train_clean": Table("train_clean.csv", {"landmark_id": "landmark", "images": "ids"}, _explode_clean),
    "train_attribution": Table(
        "train_attribution.csv", {"id": "id", "url": "any", "author": "prose", "license": "any", "title": "prose"}
    ),
    "train_label_to_category": Table("train_label_to_category.csv", {"landmark_id": "landmark", "category": "text"}),
    "train_label_to_hierarchical": Table("train_label_to_hierarchical.csv", _HIERARCHICAL),
    "index": Table("index.csv", {"id": "id"}),
    "index_image_to_landmark": Table("index_image_to_landmark.csv", {"id": "id", "landmark_id": "landmark"}),
    "index_label_to_category": Table("index_label_to_category.csv", {"landmark_id": "landmark", "category": "text"}),
    "index_label_to_hierarchical": Table("index_label_to_hierarchical.csv", _HIERARCHICAL),
    "test": Table("test.csv", {"id": "id"}),
    "retrieval_solution": Table(
        "retrieval_solution_v2.1.csv", {"id": "id", "images": "text", "Usage": "usage"}, _lower_case_columns
    ),
    "recognition_solution": Table(
        "recognition_solution_v2.1.csv",
        {"id": "id", "landmarks": "any", "Usage": "usage"},
        _lower_case_columns,
    ),
}
