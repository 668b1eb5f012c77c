"""The shape of the tables that come from outside or out of a model, checked with pandera where they are written.

These are the index of the image tars, what Wikidata says, and CLIP's proposals. GLDv2's metadata are checked where they
are read (acquisition/gldv2_tables.py); the tables that are made of
all these (build, queue, release) are not checked here.
"""

from typing import TYPE_CHECKING

import pandas as pd

from hgld.foundation.errors import HgldError

if TYPE_CHECKING:
    import pandera.pandas as pa

# name -> ({column: check}, the columns that together name a row). A check is "id" (16 hex digits), "qid",
# "text" (not empty), "any" (may be empty), "count", "share" or "degrees" (may be missing).
_SHAPES: dict[str, tuple[dict[str, str], list[str]]] = {
    "images": ({"id": "id", "split": "text", "tar": "text", "offset": "count", "size": "count"}, ["id"]),
    "items": ({"category": "text", "qid": "any", "method": "method", "confidence": "any", "candidates": "count",
               "via": "any"}, ["category", "qid"]),
    "item_facts": ({"qid": "qid", "label": "any", "latitude": "degrees", "longitude": "degrees", "coordinates": "count",
                    "countries": "any", "sitelinks": "count"}, ["qid"]),
    "item_classes": ({"qid": "qid", "class": "qid"}, ["qid", "class"]),
    "class_edges": ({"child": "qid", "parent": "qid"}, ["child", "parent"]),
    "class_labels": ({"qid": "qid", "label": "text"}, ["qid"]),
    "class_aliases": ({"class": "qid", "alias": "text"}, ["class", "alias"]),
    "proposals": ({"category": "text", "hierarchical_label": "text", "score": "share", "margin": "share",
                   "runner_up": "text", "images": "count", "evidence": "text", "source": "text",
                   "outcome": "text"}, ["category"]),
}  # fmt: skip


def validated(frame: pd.DataFrame, name: str, where: str = "") -> pd.DataFrame:
    """`frame` itself when it has the columns, types and unique keys of the table `name`.

    where: what to name in the message (a file, a URL).

    Raises HgldError that shows the first offending values of every broken rule.
    """
    import pandera.errors

    try:
        _schema(name).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases.groupby(["column", "check"], dropna=False, sort=True)["failure_case"]
        lines = [f"  {column}: {check} fails for {len(values)} value(s), such as {list(values[:3])}"
                 for (column, check), values in cases]  # fmt: skip
        raise HgldError(f"{where or name}: not a valid '{name}' table\n" + "\n".join(lines)) from None
    return frame


def _schema(name: str) -> "pa.DataFrameSchema":
    import pandera.pandas as pa

    text = "str"
    checks: dict[str, pa.Column] = {
        "id": pa.Column(text, pa.Check.str_matches(r"^[0-9a-f]{16}$", error="16 hex digits")),
        "qid": pa.Column(text, pa.Check.str_matches(r"^Q[0-9]+$", error="a QID")),
        "text": pa.Column(text, pa.Check.str_length(min_value=1, error="not empty")),
        "any": pa.Column(text),
        "method": pa.Column(
            text, pa.Check.isin(["sitelink", "category-item", "p373", "soft-redirect", "none"])
        ),
        "degrees": pa.Column("float64", pa.Check.in_range(-360, 360, error="degrees"), nullable=True),
        "count": pa.Column("int64", pa.Check.ge(0, error="not negative")),
        "share": pa.Column("float64", pa.Check.in_range(0, 1, error="between 0 and 1")),
    }
    columns, key = _SHAPES[name]
    return pa.DataFrameSchema(
        {column: checks[check] for column, check in columns.items()},
        unique=key,
        strict=True,
    )
