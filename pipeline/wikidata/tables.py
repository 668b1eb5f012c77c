"""The output tables of the stage `wikidata`, built from the records of an endpoint. Pure."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pandas as pd

from hgld.foundation.text_input import whole_number
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.pipeline.wikidata.entities import Match, final_targets, reachable, resolve_categories
from hgld.pipeline.wikidata.records import WikidataRecords

ITEMS = ["category", "qid", "method", "confidence", "candidates", "via"]
ITEM_FACTS = ["qid", "label", "latitude", "longitude", "coordinates", "countries", "sitelinks"]

# WKT of a point on Earth: longitude, then latitude. On any other body the literal starts with the IRI of that body.
_POINT = re.compile(r"point\s*\(\s*([-+.\deE]+)\s+([-+.\deE]+)\s*\)", re.IGNORECASE | re.ASCII)


# (item or class, property) → its values, sorted
Statements = Mapping[tuple[str, str], list[str]]


def _frame(columns: list[str], rows: Sequence[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns, dtype="str")


@dataclass(frozen=True)
class WikidataTables:
    """The tables of the stage, each sorted; their columns are declared in hgld.pipeline.dataset.schemas."""

    items: pd.DataFrame
    item_classes: pd.DataFrame
    class_edges: pd.DataFrame
    class_labels: pd.DataFrame
    class_aliases: pd.DataFrame = field(default_factory=lambda: _frame(["class", "alias"], []))
    item_facts: pd.DataFrame = field(default_factory=lambda: _item_facts([], {}))


def build_tables(
    records: WikidataRecords, categories: Iterable[str], soft_redirects: Mapping[str, str] | None = None
) -> WikidataTables:
    """Build the tables about `categories` (normalised names) from the records of an endpoint.

    soft_redirects: category → the category that its page redirects to, see `resolve_categories`.
    """
    matches = resolve_categories(records, categories, soft_redirects or {})
    items = sorted({match.qid for match in matches if match.qid}, key=qid_number)
    item_statements, class_statements = _statements(records.items), _statements(records.classes)
    merged = _merged_classes(class_statements)
    item_classes = {
        (item, target)
        for item in items
        for qid in item_statements.get((item, "P31"), ())
        for target in merged.get(qid, (qid,))
    }
    used = {qid for _, qid in item_classes}
    edges = _edges_from(used, _subclass_edges(class_statements, merged))
    known = sorted(used.union(chain.from_iterable(edges)))
    labels = [(qid, label) for qid in known if (label := english_label(qid, class_statements))]
    aliases = [(qid, alias) for qid in known for alias in class_statements.get((qid, "alias"), ())]
    return WikidataTables(
        items=_items(matches),
        item_classes=_frame(["qid", "class"], sorted(item_classes)),
        class_edges=_frame(["child", "parent"], sorted(edges)),
        class_labels=_frame(["qid", "label"], labels),
        class_aliases=_frame(["class", "alias"], aliases),
        item_facts=_item_facts(items, item_statements),
    )


def _statements(rows: Iterable[tuple[str, ...]]) -> Statements:
    values: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for key, prop, value in rows:
        values[key, prop].append(value)
    return dict(values)


def english_label(qid: str, statements: Statements) -> str:
    """The English label, else the one for all languages (mul), else ""; of several the first in sort order."""
    return (statements.get((qid, "label en")) or statements.get((qid, "label mul")) or [""])[0]


def _merged_classes(class_statements: Statements) -> dict[str, tuple[str, ...]]:
    """Merged class → its final targets."""
    targets = {qid: tuple(values) for (qid, prop), values in class_statements.items() if prop == "sameAs"}
    return {qid: final_targets(qid, targets) for qid in targets}


def _subclass_edges(class_statements: Statements, merged: Mapping[str, tuple[str, ...]]) -> set[tuple[str, str]]:
    """The edges child → parent between classes, merged classes replaced by their targets."""
    return {
        (child_target, parent_target)
        for (child, prop), parents in class_statements.items()
        if prop == "P279"
        for child_target in merged.get(child, (child,))
        for parent in parents
        for parent_target in merged.get(parent, (parent,))
    }


def _edges_from(classes: set[str], edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges whose child is one of `classes` or an ancestor of one."""
    parents: defaultdict[str, list[str]] = defaultdict(list)
    for child, parent in edges:
        parents[child].append(parent)
    ancestors = reachable(classes, parents)
    return {(child, parent) for child, parent in edges if child in ancestors}


def _items(matches: Iterable[Match]) -> pd.DataFrame:
    rows = [(m.category, m.qid, m.method, m.confidence, m.via) for m in matches]
    frame = _frame(["category", "qid", "method", "confidence", "via"], rows)
    count = frame[frame["qid"] != ""].groupby("category").size()
    return frame.assign(candidates=frame["category"].map(count).fillna(0).astype("int64"))[ITEMS]


def _item_facts(items: list[str], statements: Statements) -> pd.DataFrame:
    """One row per item; the first of its coordinates in sort order, and their number in `coordinates`."""
    rows: list[tuple[Any, ...]] = []
    for item in items:
        points = sorted({place for text in statements.get((item, "P625"), ()) if (place := point(text))})
        latitude, longitude = points[0] if points else (math.nan, math.nan)
        sitelinks = max((whole_number(text) or 0 for text in statements.get((item, "sitelinks"), ())), default=0)
        countries = " ".join(sorted(statements.get((item, "P17"), ()), key=qid_number))
        label = english_label(item, statements)
        rows.append((item, label, latitude, longitude, len(points), countries, sitelinks))
    frame = pd.DataFrame(rows, columns=ITEM_FACTS)
    types = {"qid": "str", "label": "str", "countries": "str", "latitude": "float64", "longitude": "float64",
             "coordinates": "int64", "sitelinks": "int64"}  # fmt: skip
    return frame.astype(types)


def point(text: str) -> tuple[float, float] | None:
    """Latitude and longitude in degrees of a WKT point on Earth; None for anything else.

    >>> point("Point(2.35 48.853)")
    (48.853, 2.35)
    >>> point("<http://www.wikidata.org/entity/Q405> Point(23.4 0.6)")
    """
    if not (match := _POINT.fullmatch(text.strip())):
        return None
    try:
        longitude, latitude = map(float, match.groups())
    except ValueError:  # such as "- 1"
        return None
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 360 else None
