"""Schemas of the tables that come from outside or from a model, checked with pandera where they are written.

These are the index of the image tars, Wikidata's tables, and the proposals. GLDv2's metadata are checked where they are
read (acquisition/gldv2_tables.py); the tables made from all of these (build, queue, release) are not checked here.
"""

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from hgld.foundation.errors import HgldError

if TYPE_CHECKING:
    import pandera.pandas as pa


class _Schema(NamedTuple):
    """The key, whose columns are unique together, and the columns in any order, each with its type (see `_types`)."""

    key: list[str]
    columns: dict[str, str]


_SCHEMAS = {
    "images": _Schema(["id"], {
        "id": "image id", "split": "text", "tar": "text", "offset": "count", "size": "count",
    }),
    "items": _Schema(["category", "qid"], {
        "category": "text", "qid": "text or empty", "method": "method", "confidence": "text or empty",
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
    "proposals": _Schema(["category"], {
        "category": "text", "hierarchical_label": "text", "score": "fraction", "margin": "fraction",
        "runner_up": "text", "images": "count", "evidence": "text", "source": "text", "outcome": "text",
    }),
}  # fmt: skip


def validated(frame: pd.DataFrame, name: str, where: str = "") -> pd.DataFrame:
    """`frame` itself, if it has exactly the columns, types and unique keys of the schema `name`.

    where: what to name in the message (a file, a URL).

    Raises HgldError that shows, for every rule, the first values that violate it.
    """
    import pandera.errors

    try:
        _dataframe_schema(name).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases.groupby(["column", "check"], dropna=False, sort=True)["failure_case"]
        lines = [
            f"  {column}: {check} fails for {len(values)} value(s), such as {list(values[:3])}"
            for (column, check), values in cases
        ]
        raise HgldError(f"{where or name}: not a valid '{name}' table\n" + "\n".join(lines)) from None
    return frame


def _dataframe_schema(name: str) -> "pa.DataFrameSchema":
    import pandera.pandas as pa

    schema, types = _SCHEMAS[name], _types()
    columns = {column: types[type_] for column, type_ in schema.columns.items()}
    return pa.DataFrameSchema(columns, unique=schema.key, strict=True)


def _types() -> "dict[str, pa.Column]":
    import pandera.pandas as pa

    methods = ["sitelink", "category-item", "p373", "soft-redirect", "none"]
    return {
        "image id": pa.Column("str", pa.Check.str_matches(r"^[0-9a-f]{16}$", error="16 hex digits")),
        "qid": pa.Column("str", pa.Check.str_matches(r"^Q[0-9]+$", error="a QID")),
        "text": pa.Column("str", pa.Check.str_length(min_value=1, error="not empty")),
        "text or empty": pa.Column("str"),
        "method": pa.Column("str", pa.Check.isin(methods)),
        "degrees or missing": pa.Column("float64", pa.Check.in_range(-360, 360, error="degrees"), nullable=True),
        "count": pa.Column("int64", pa.Check.ge(0, error="not negative")),
        "fraction": pa.Column("float64", pa.Check.in_range(0, 1, error="between 0 and 1")),
    }
