"""The classes of a Wikidata snapshot by their English name: QID, label, and the path to the anchor."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from hgld.hierarchy.names.class_names import Tokens, tokenize
from hgld.hierarchy.taxonomy.class_graph import Edge, class_graph
from hgld.hierarchy.taxonomy.class_labels import anchor_paths
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy

_COLUMNS = ["class", "label", "hierarchical_label", "path"]


@dataclass(frozen=True)
class KnownClass:
    """A class with a label; `path` holds the QIDs from the class to its anchor."""

    qid: str
    name: str
    hierarchical_label: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class KnownClasses:
    """The labelled classes by the tokens of their name, and the English names of all classes by QID."""

    by_name: Mapping[Tokens, KnownClass]
    names: Mapping[str, str]

    def evidence(self, known: KnownClass) -> str:
        """The class and its path, by their names."""
        return f"class {known.qid}: " + " → ".join(self.names.get(qid, qid) for qid in known.path)


def index_by_name(table: pd.DataFrame) -> KnownClasses:
    """The classes of `build/classes` (columns class, label, hierarchical_label, path).

    Of several classes with the same name the one nearest to its anchor is kept, then the one with the lower QID number.
    """
    names = dict(zip(table["class"], table["label"], strict=True))
    labelled = [
        KnownClass(str(qid), str(name), str(label), tuple(str(path).split(">")))
        for qid, name, label, path in table[_COLUMNS].itertuples(index=False, name=None)
        if name and label
    ]
    by_name: dict[Tokens, KnownClass] = {}
    for known in sorted(labelled, key=lambda known: (len(known.path), qid_number(known.qid))):
        if tokens := tokenize(known.name):
            by_name.setdefault(tokens, known)
    return KnownClasses(by_name, names)


def class_label_table(edges: Iterable[Edge], labels: Mapping[str, str], taxonomy: Taxonomy) -> pd.DataFrame:
    """The table that `index_by_name` reads, from subclass edges (child, parent) and English labels alone."""
    dag = class_graph(edges, taxonomy).dag
    paths = anchor_paths(dag, taxonomy)
    rows = []
    for qid in sorted(dag, key=qid_number):
        path = paths.get(qid)
        labelled = (path.label, ">".join(path.qids)) if path and path.anchor else ("", "")
        rows.append((qid, labels.get(qid, ""), *labelled))
    return pd.DataFrame(rows, columns=_COLUMNS, dtype="str")
