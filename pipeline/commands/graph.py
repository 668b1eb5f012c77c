"""`hgld graph`: the hierarchy as a picture for the browser, as GraphML and as Parquet.

The picture is a sunburst: natural and human-made, the hierarchical labels, then the classes on each category's way
from its anchor down to its supercategory, as wide as they have categories. One file, nothing is fetched.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import networkx as nx
import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

from hgld.foundation.files import replacing, write_text
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.taxonomy.taxonomy import NATURES, Taxonomy, load_taxonomy, number

NODES = ["id", "kind", "name", "hierarchical_label", "natural_or_human_made", "categories"]
EDGES = ["child", "parent", "kind"]
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass
class Node:
    """A ring segment: its name, its QID (none above the classes), the categories that end here, what is below."""

    name: str
    qid: str = ""
    own: int = 0
    below: dict[str, "Node"] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Categories that end here or below."""
        return self.own + sum(node.total for node in self.below.values())

    def plain(self) -> dict[str, object]:
        """Nested values for JSON, the widest first."""
        ordered = sorted(self.below.values(), key=lambda node: (-node.total, node.name, node.qid))
        found: dict[str, object] = {"n": self.name, "c": self.total}
        if self.qid:
            found["q"] = self.qid
        if ordered:
            found["k"] = [node.plain() for node in ordered]
        return found


def draw(params: Params, out: Path) -> str:
    """Write graph.html, graph.graphml, nodes.parquet and edges.parquet of the profile's build to `out`."""
    labels, classes, dag = (
        read_parquet(params.data / "build" / f"{name}.parquet") for name in ("labels", "classes", "dag")
    )
    taxonomy = load_taxonomy(Path(params.build.taxonomy))
    root = tree(labels, classes)
    nodes, edges = tables(labels, classes, dag, taxonomy)
    write_text(page(root, params.release.name), out / "graph.html")
    write_parquet(nodes, out / "nodes.parquet")
    write_parquet(edges, out / "edges.parquet")
    with replacing(out / "graph.graphml") as part:
        # the variant that needs no lxml, so that every machine writes the same bytes
        nx.write_graphml_xml(graph(nodes, edges), part)
    return f"{out}/graph.html: {root.total:,} categories, {len(nodes):,} nodes, {len(edges):,} edges"


def tree(labels: pd.DataFrame, classes: pd.DataFrame) -> Node:
    """The labelled categories under natural | human-made, their label, and the classes from the anchor down."""
    names = dict(zip(classes["class"], classes["label"], strict=True))
    root = Node("landmarks")
    shown = labels[labels["hierarchical_label"] != ""]
    columns = ["natural_or_human_made", "hierarchical_label", "path"]
    for nature, label, path in shown[columns].itertuples(index=False, name=None):
        node = root.below.setdefault(nature, Node(nature))
        node = node.below.setdefault(label, Node(label.strip()))
        for qid in reversed(path.split(">")):
            node = node.below.setdefault(qid, Node(names.get(qid) or qid, qid))
        node.own += 1
    return root


def page(root: Node, title: str) -> str:
    """The picture as one HTML file."""
    template = files("hgld.pipeline").joinpath("graph.html").read_text(encoding="utf-8")
    data = json.dumps(root.plain(), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Environment(autoescape=True).from_string(template).render(title=title, data=Markup(data)) + "\n"


def tables(
    labels: pd.DataFrame, classes: pd.DataFrame, dag: pd.DataFrame, taxonomy: Taxonomy
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Nodes and edges: the reduced class graph, every anchor below its label, every label below its nature."""
    natures = taxonomy.natures
    told = labels[labels["hierarchical_label"] != ""]
    of_class, of_label = Counter(told["class"]), Counter(told["hierarchical_label"])
    of_nature = Counter(told["natural_or_human_made"])
    nodes: list[tuple[str, str, str, str, str, int]] = [
        (nature, "nature", nature, "", nature, of_nature[nature]) for nature in NATURES
    ]
    nodes += [(label, "label", label.strip(), label, natures[label], of_label[label]) for label in natures]
    nodes += [
        (qid, "class", name, label, nature, of_class[qid])
        for qid, name, label, nature in classes[NODES_OF_CLASSES].itertuples(index=False, name=None)
    ]
    known = set(classes["class"])
    edges = [(label, natures[label], "label") for label in natures]
    edges += [
        (qid, taxonomy.anchors[qid].hierarchical_label, "anchor")
        for qid in sorted(taxonomy.anchors.keys() & known, key=number)
    ]
    edges += [(child, parent, "subclass") for child, parent in dag.itertuples(index=False, name=None)]
    return pd.DataFrame(nodes, columns=NODES), pd.DataFrame(edges, columns=EDGES)


NODES_OF_CLASSES = ["class", "label", "hierarchical_label", "natural_or_human_made"]


def graph(nodes: pd.DataFrame, edges: pd.DataFrame) -> "nx.DiGraph[str]":
    """The tables as a graph whose nodes and edges carry the columns as attributes."""
    found: nx.DiGraph[str] = nx.DiGraph()
    for one in nodes.to_dict("records"):
        found.add_node(one["id"], **{key: _xml(one[key]) for key in NODES[1:]})
    for one in edges.to_dict("records"):
        found.add_edge(one["child"], one["parent"], kind=one["kind"])
    return found


def _xml(value: object) -> object:
    return _NO_XML.sub("\ufffd", value) if isinstance(value, str) else value
