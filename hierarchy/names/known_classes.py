"""The classes of a Wikidata snapshot by their English name: which class, which label, and the path that says so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from hgld.hierarchy.names.class_names import key
from hgld.hierarchy.taxonomy.class_graph import Edge, class_graph
from hgld.hierarchy.taxonomy.class_labels import Route, routes
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, number


@dataclass(frozen=True)
class KnownClass:
    """A class that stands for a label; `path` holds the QIDs from it to the anchor."""

    qid: str
    name: str
    hierarchical_label: str
    path: tuple[str, ...]

    def evidence(self, names: Mapping[str, str]) -> str:
        """The class and its path in words."""
        return f"class {self.qid}: " + " → ".join(names.get(qid, qid) for qid in self.path)


@dataclass(frozen=True)
class Snapshot:
    """Classes by the key of their name, and the names of all classes."""

    classes: Mapping[tuple[str, ...], KnownClass]
    names: Mapping[str, str]


def snapshot(table: pd.DataFrame) -> Snapshot:
    """From the table `build/classes`: class, label, hierarchical_label, path.

    Of several classes with one name the one nearest to its anchor counts, then the one with the lower QID number.
    """
    names = dict(zip(table["class"], table["label"], strict=True))
    found: dict[tuple[str, ...], KnownClass] = {}
    known = [
        KnownClass(str(row[0]), str(row[1]), str(row[2]), tuple(str(row[3]).split(">")))
        for row in table[["class", "label", "hierarchical_label", "path"]].itertuples(index=False, name=None)
        if row[1] and row[2]
    ]
    for one in sorted(known, key=lambda one: (len(one.path), number(one.qid))):
        found.setdefault(key(one.name), one)
    return Snapshot({words: one for words, one in found.items() if words}, names)


def class_table(edges: Iterable[Edge], labels: Mapping[str, str], taxonomy: Taxonomy) -> pd.DataFrame:
    """The table `build/classes` for bare facts: subclass edges (child, parent) and English labels."""
    dag = class_graph(edges, taxonomy).dag
    ways = routes(dag, taxonomy)
    rows = [_row(qid, labels.get(qid, ""), ways.get(qid)) for qid in sorted(dag, key=number)]
    return pd.DataFrame(rows, columns=["class", "label", "hierarchical_label", "path"], dtype="str")


def _row(qid: str, name: str, route: Route | None) -> tuple[str, str, str, str]:
    if route is None or route.anchor is None:
        return qid, name, "", ""
    return qid, name, route.anchor.hierarchical_label, ">".join(route.path)
