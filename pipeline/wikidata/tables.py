"""What the stage `wikidata` hands on: its tables, made of what the endpoint said. Pure."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from hgld.hierarchy.taxonomy.taxonomy import number
from hgld.pipeline.wikidata.entities import Match, ends, resolve
from hgld.pipeline.wikidata.records import Heard

ITEMS = ["category", "qid", "method", "confidence", "candidates", "via"]
ITEM_FACTS = ["qid", "label", "latitude", "longitude", "coordinates", "countries", "sitelinks"]

# A point on Earth: longitude, then latitude. On another body the literal begins with that body's IRI.
_POINT = re.compile(r"point\s*\(\s*([-+.\deE]+)\s+([-+.\deE]+)\s*\)", re.IGNORECASE | re.ASCII)


def _none(*columns: str) -> pd.DataFrame:
    return _frame(list(columns), [])


@dataclass(frozen=True)
class Facts:
    """The tables of the stage, each sorted; columns as in hgld.pipeline.dataset.schemas."""

    items: pd.DataFrame
    item_classes: pd.DataFrame
    class_edges: pd.DataFrame
    class_labels: pd.DataFrame
    class_aliases: pd.DataFrame = field(default_factory=lambda: _none("class", "alias"))
    item_facts: pd.DataFrame = field(default_factory=lambda: _item_facts([], {}))


def facts(heard: Heard, categories: Iterable[str], soft_redirects: Mapping[str, str] | None = None) -> Facts:
    """The tables about `categories` (normalised names), from what an endpoint said of them.

    soft_redirects: category → the one that its page points to, see `resolve`.
    """
    matches = resolve(heard, categories, soft_redirects or {})
    wanted = sorted({match.qid for match in matches if match.qid}, key=number)
    said, above = _said(heard.items), _said(heard.classes)
    moved = _moved(above)
    used = {
        (item, end)
        for item in wanted
        for one in said.get((item, "P31"), ())
        for end in moved.get(one, (one,))
    }
    edges = {(below, end) for (child, prop), parents in above.items() if prop == "P279"
             for below in moved.get(child, (child,))
             for parent in parents for end in moved.get(parent, (parent,))}  # fmt: skip
    edges = _reached({one for _, one in used}, edges)
    known = sorted({one for _, one in used} | {one for edge in edges for one in edge})
    return Facts(
        items=_items(matches),
        item_classes=_frame(["qid", "class"], sorted(used)),
        class_edges=_frame(["child", "parent"], sorted(edges)),
        class_labels=_frame(["qid", "label"], [(one, name) for one in known if (name := label(one, above))]),
        class_aliases=_frame(
            ["class", "alias"], [(one, alias) for one in known for alias in above.get((one, "alias"), ())]
        ),
        item_facts=_item_facts(wanted, said),
    )


# (item or class, property) → its values, in order
Said = Mapping[tuple[str, str], list[str]]


def _said(rows: Iterable[tuple[str, ...]]) -> Said:
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for key, prop, value in rows:
        found[key, prop].append(value)
    return dict(found)


def label(key: str, said: Said) -> str:
    """The English label, else that for all languages, else ""; the first in order of several."""
    return (said.get((key, "label en")) or said.get((key, "label mul")) or [""])[0]


def _moved(above: Said) -> dict[str, tuple[str, ...]]:
    """Merged class → where it has gone."""
    targets = {one: tuple(own) for (one, prop), own in above.items() if prop == "sameAs"}
    return {one: ends(one, targets) for one in targets}


def _reached(classes: set[str], edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges at and above `classes`."""
    parents: defaultdict[str, list[str]] = defaultdict(list)
    for child, parent in edges:
        parents[child].append(parent)
    todo, seen = list(classes), set(classes)
    while todo:
        new = [parent for parent in parents[todo.pop()] if parent not in seen]
        seen.update(new)
        todo += new
    return {(child, parent) for child, parent in edges if child in seen}


def _items(matches: Iterable[Match]) -> pd.DataFrame:
    rows = [(m.category, m.qid, m.method, m.confidence, m.via) for m in matches]
    frame = _frame(["category", "qid", "method", "confidence", "via"], rows)
    count = frame[frame["qid"] != ""].groupby("category").size()
    return frame.assign(candidates=frame["category"].map(count).fillna(0).astype("int64"))[ITEMS]


def _item_facts(items: list[str], said: Said) -> pd.DataFrame:
    """One row an item; of several coordinates the first in order, and `coordinates` says how many there are."""
    rows: list[tuple[Any, ...]] = []
    for item in items:
        points = sorted({found for text in said.get((item, "P625"), ()) if (found := point(text))})
        latitude, longitude = points[0] if points else (math.nan, math.nan)
        counted = [
            int(text) for text in said.get((item, "sitelinks"), ()) if text.isascii() and text.isdecimal()
        ]
        links = max(counted, default=0)
        countries = " ".join(sorted(said.get((item, "P17"), ()), key=number))
        rows.append((item, label(item, said), latitude, longitude, len(points), countries, links))
    frame = pd.DataFrame(rows, columns=ITEM_FACTS)
    types = {"qid": "str", "label": "str", "countries": "str", "latitude": "float64", "longitude": "float64",
             "coordinates": "int64", "sitelinks": "int64"}  # fmt: skip
    return frame.astype(types)


def point(text: str) -> tuple[float, float] | None:
    """Latitude and longitude of a point on Earth as endpoints write it; None for anything else.

    >>> point("Point(2.35 48.853)")
    (48.853, 2.35)
    >>> point("<http://www.wikidata.org/entity/Q405> Point(23.4 0.6)")
    """
    found = _POINT.fullmatch(text.strip())
    try:
        longitude, latitude = (float(part) for part in found.groups()) if found else (math.nan, math.nan)
    except ValueError:
        return None
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 360 else None


def _frame(columns: list[str], rows: Sequence[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns, dtype="str")
