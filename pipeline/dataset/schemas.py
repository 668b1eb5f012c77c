"""Schemas of the stages' tables, checked with pandera: where one is written (`validated`), and where one is read.

`read_stage_table` is how a stage or a command reads the table of another stage: a file that is foreign, truncated or
empty is an error, and never a release without labels. GLDv2's CSVs have their own checks (acquisition/gldv2_tables.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.files import read_json, remedy
from hgld.foundation.tables import read_parquet

if TYPE_CHECKING:
    import pandera.pandas as pa


class _Schema(NamedTuple):
    """The key, whose columns are unique together, and the columns in any order, each with its type (see `_types`)."""

    key: list[str]
    columns: dict[str, str]


_SCHEMAS = {
    # metadata
    "train": _Schema(["id"], {"id": "image id", "url": "text", "landmark_id": "landmark"}),
    "train_clean": _Schema(["id"], {"id": "image id", "landmark_id": "landmark"}),
    "train_label_to_category": _Schema(["landmark_id"], {"landmark_id": "landmark", "category": "text"}),
    "index": _Schema(["id"], {"id": "image id"}),
    "index_image_to_landmark": _Schema(["id"], {"id": "image id", "landmark_id": "landmark"}),
    "index_label_to_category": _Schema(["landmark_id"], {"landmark_id": "landmark", "category": "text"}),
    "test": _Schema(["id"], {"id": "image id"}),
    "retrieval_solution": _Schema(["id"], {"id": "image id", "images": "text", "usage": "usage"}),
    "recognition_solution": _Schema(["id"], {"id": "image id", "landmarks": "text or empty", "usage": "usage"}),
    # images
    "images": _Schema(["id"], {
        "id": "image id", "split": "text", "tar": "text", "offset": "count", "size": "count",
    }),
    # wikidata
    "items": _Schema(["category", "qid"], {
        "category": "text", "qid": "qid or empty", "method": "method", "confidence": "confidence",
        "candidates": "count", "via": "text or empty",
    }),
    "item_facts": _Schema(["qid"], {
        "qid": "qid", "label": "text or empty", "latitude": "degrees or missing", "longitude": "degrees or missing",
        "coordinates": "count", "countries": "text or empty", "sitelinks": "count",
    }),
    "item_classes": _Schema(["qid", "class"], {"qid": "qid", "class": "qid"}),
    "class_edges": _Schema(["child", "parent"], {"child": "qid", "parent": "qid"}),
    "class_labels": _Schema(["qid"], {"qid": "qid", "label": "text"}),
    "class_aliases": _Schema(["class", "alias"], {"class": "qid", "alias": "text"}),
    # build
    "labels": _Schema(["category"], {
        "category": "text", "qid": "qid or empty", "method": "method", "candidates": "count",
        "class": "qid or empty", "supercategory": "text or empty", "hierarchical_label": "text or empty",
        "natural_or_human_made": "nature or empty", "path": "text or empty", "note": "text or empty",
    }),
    "considered": _Schema(["category", "qid", "class"], {
        "category": "text", "qid": "qid", "class": "qid", "outcome": "text", "hierarchical_label": "text or empty",
    }),
    "classes": _Schema(["class"], {
        "class": "qid", "label": "text or empty", "hierarchical_label": "text or empty",
        "natural_or_human_made": "nature or empty", "path": "text or empty",
    }),
    "dag": _Schema(["child", "parent"], {"child": "qid", "parent": "qid"}),
    # embed
    "embedded_images": _Schema(["id"], {"id": "text", "category": "text"}),
    "prompts": _Schema(["hierarchical_label", "prompt"], {"hierarchical_label": "text", "prompt": "text"}),
    # refine
    "proposals": _Schema(["category"], {
        "category": "text", "hierarchical_label": "text", "score": "fraction", "margin": "fraction",
        "runner_up": "text", "images": "count", "evidence": "text", "source": "text",
        "outcome": "proposal outcome",
    }),
    "proposed_classes": _Schema(["class"], {
        "class": "qid", "label": "text or empty", "hierarchical_label": "text", "score": "fraction",
        "margin": "fraction", "evidence": "text or empty", "categories": "count",
    }),
    # release
    "released_labels": _Schema(["category"], {
        "category": "text", "supercategory": "text or empty", "hierarchical_label": "text or empty",
        "natural_or_human_made": "nature or empty", "source": "text or empty", "annotator": "text or empty",
    }),
}  # fmt: skip


# The schema of a table whose name another folder has too.
_NAMES = {
    ("embed", "images"): "embedded_images",
    ("refine", "classes"): "proposed_classes",
    ("release", "labels"): "released_labels",
}
# Columns that are empty in the same rows: an item has a confidence, and a label all that belongs to one.
_TOGETHER = {
    "items": ("qid", "confidence"),
    "labels": ("hierarchical_label", "natural_or_human_made", "class", "path"),
    "classes": ("hierarchical_label", "natural_or_human_made", "path"),
    "released_labels": ("hierarchical_label", "natural_or_human_made"),
}


class _Record(NamedTuple):
    """The file beside a folder's tables with their numbers of rows: where in it, and the name if not the table's."""

    file: str
    key: str = ""
    names: Mapping[str, str] = {}


_RECORDS = {
    "metadata": _Record("metrics.json"),
    "wikidata": _Record("snapshot.json", "counts"),
    "build": _Record("metrics.json", names={"labels": "categories", "dag": "edges", "considered": ""}),
    "refine": _Record("metrics.json"),
}


def read_stage_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table of a stage (data/P/FOLDER/NAME.parquet): `columns`, or all that its schema names.

    Raises HgldError when it is missing, is not a Parquet file, lacks columns, when its values do not have the types of
    its schema or its key is not unique, and when it has not as many rows as its stage recorded beside it.
    """
    path = Path(path)
    name = _NAMES.get((path.parent.name, path.stem), path.stem)
    schema = _SCHEMAS[name]
    wanted = list(columns or schema.columns)
    needed = list(dict.fromkeys([*schema.key, *wanted]))
    frame = read_parquet(path, needed)
    _check_count(path, len(frame))
    try:
        return validated(frame, name, str(path), needed)[wanted]
    except HgldError as error:
        raise HgldError(*error.args, remedy(path)) from None


def _check_count(path: Path, found: int) -> None:
    """Raise HgldError unless the table has as many rows as its stage recorded beside it; some stages record none."""
    record = _RECORDS.get(path.parent.name)
    name = record.names.get(path.stem, path.stem) if record else ""
    if record is None or not name or not (path.parent / record.file).is_file():
        return
    document = read_json(path.parent / record.file)
    counts = document.get(record.key) if record.key else document
    if isinstance(counts, dict) and counts.get(name, found) != found:
        raise HgldError(
            f"{path}: has {found} rows, and {record.file} beside it says {str(counts[name])[:40]}: not from the "
            f"same run; {remedy(path)}"
        )


def check_known(categories: Iterable[str], known: Iterable[str], path: Path, fault: str) -> None:
    """Raise HgldError unless all `categories` are known; fault: what an unknown one says about the table in `path`."""
    unknown = sorted(set(categories) - set(known))
    if unknown:
        raise HgldError(
            f"{path}: not made from the present data: {len(unknown)} {fault}, such as {unknown[0]!r}; {remedy(path)}"
        )


def validated(frame: pd.DataFrame, name: str, where: str = "", columns: Sequence[str] | None = None) -> pd.DataFrame:
    """`frame` itself, if it has exactly the columns (by default all), types and unique keys of the schema `name`.

    where: what to name in the message (a file, a URL).

    Raises HgldError that shows, for every rule, the first values that violate it.
    """
    import pandera.errors

    try:
        _dataframe_schema(name, tuple(columns or _SCHEMAS[name].columns)).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases.groupby(["column", "check"], dropna=False, sort=True)["failure_case"]
        lines = [
            f"  {column}: {check} fails for {len(values)} value(s), such as {list(values[:3])}"
            for (column, check), values in cases
        ]
        raise HgldError(f"{where or name}: not a valid '{name}' table", *lines) from None
    _check_together(frame, _TOGETHER.get(name, ()), where or name)
    return frame


def _check_together(frame: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    """Raise HgldError unless the columns, those of them that were read, are empty in the same rows."""
    present = [column for column in columns if column in frame]
    for column in present[1:]:
        differ = (frame[present[0]] == "") != (frame[column] == "")
        if differ.any():
            raise HgldError(
                f"{where}: {int(differ.sum())} rows have one of {present[0]} and {column}, such as that of "
                f"{frame.loc[differ].iloc[0, 0]!r}"
            )


@cache
def _dataframe_schema(name: str, columns: tuple[str, ...]) -> "pa.DataFrameSchema":
    import pandera.pandas as pa

    schema, types = _SCHEMAS[name], _types()
    return pa.DataFrameSchema(
        {column: types[schema.columns[column]] for column in columns}, unique=schema.key, strict=True
    )


@cache
def _types() -> "dict[str, pa.Column]":
    import pandera.pandas as pa

    def one_of(*names: str) -> pa.Column:
        return pa.Column("str", pa.Check.isin(names))

    return {
        "image id": pa.Column("str", pa.Check.str_matches(r"^[0-9a-f]{16}\Z", error="16 hex digits")),
        "landmark": pa.Column("str", pa.Check.str_matches(r"^[0-9]{1,18}\Z", error="1 to 18 digits")),
        "usage": one_of("Public", "Private", "Ignored"),
        "qid": pa.Column("str", pa.Check.str_matches(r"^Q[0-9]+\Z", error="a QID")),
        "qid or empty": pa.Column("str", pa.Check.str_matches(r"^(Q[0-9]+)?\Z", error="a QID or empty")),
        "text": pa.Column("str", pa.Check.str_length(min_value=1, error="not empty")),
        "text or empty": pa.Column("str"),
        "method": one_of("sitelink", "category-item", "p373", "soft-redirect", "none"),
        "confidence": one_of("high", "medium", "low", ""),
        "nature or empty": one_of("natural", "human-made", ""),
        "proposal outcome": one_of("accepted", "review", "empty"),
        "degrees or missing": pa.Column("float64", pa.Check.in_range(-360, 360, error="degrees"), nullable=True),
        "count": pa.Column("int64", pa.Check.ge(0, error="not negative")),
        "fraction": pa.Column("float64", pa.Check.in_range(0, 1, error="between 0 and 1")),
    }
