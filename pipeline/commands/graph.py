"""`hgld graph`: the hierarchy as an interactive chart, as GraphML and as Parquet.

The chart is a sunburst of categories. Its rings are natural and human-made, the hierarchical labels, and the classes
from the anchor of a label down to the supercategory. It is one HTML file that loads nothing.
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
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import NATURES, Taxonomy, load_taxonomy

NODES = ["id", "kind", "name", "hierarchical_label", "natural_or_human_made", "categories"]
EDGES = ["child", "parent", "kind"]
_CLASS_COLUMNS = ["class", "label", "hierarchical_label", "natural_or_human_made"]
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass
class Node:
    """A segment of the sunburst: its name, its QID (classes only), its own number of categories, its children."""

    name: str
    qid: str = ""
    own: int = 0
    children: dict[str, "Node"] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """The number of categories of this segment and of all below it."""
        return self.own + sum(node.total for node in self.children.values())

    def to_dict(self) -> dict[str, object]:
        """The tree as nested JSON values, the largest child first."""
        ordered = sorted(self.children.values(), key=lambda node: (-node.total, node.name, node.qid))
        document: dict[str, object] = {"n": self.name, "c": self.total}
        if self.qid:
            document["q"] = self.qid
        if ordered:
            document["k"] = [node.to_dict() for node in ordered]
        return document


def graph(params: Params, out: Path) -> str:
    """Write graph.html, graph.graphml, nodes.parquet and edges.parquet of the profile's build to `out`."""
    labels, classes, dag = (
        read_parquet(params.data / "build" / f"{name}.parquet") for name in ("labels", "classes", "dag")
    )
    taxonomy = load_taxonomy(Path(params.build.taxonomy))
    root = sunburst(labels, classes)
    nodes, edges = graph_nodes(labels, classes, taxonomy), graph_edges(classes, dag, taxonomy)
    write_text(render(root, params.release.name), out / "graph.html")
    write_parquet(nodes, out / "nodes.parquet")
    write_parquet(edges, out / "edges.parquet")
    with replacing(out / "graph.graphml") as part:
        # not write_graphml, which uses lxml if it is installed and then writes other bytes
        nx.write_graphml_xml(_to_networkx(nodes, edges), part)
    return f"{out}/graph.html: {root.total:,} categories, {len(nodes):,} nodes, {len(edges):,} edges"


def sunburst(labels: pd.DataFrame, classes: pd.DataFrame) -> Node:
    """The labelled categories as a tree: natural or human-made, label, classes from the anchor down."""
    names = dict(zip(classes["class"], classes["label"], strict=True))
    root = Node("landmarks")
    columns = ["natural_or_human_made", "hierarchical_label", "path"]
    labelled = labels.loc[labels["hierarchical_label"] != "", columns]
    for nature, label, path in labelled.itertuples(index=False, name=None):
        node = root.children.setdefault(nature, Node(nature))
        node = node.children.setdefault(label, Node(label.strip()))
        for qid in reversed(path.split(">")):
            node = node.children.setdefault(qid, Node(names.get(qid) or qid, qid))
        node.own += 1
    return root


def render(root: Node, title: str) -> str:
    """The sunburst as one HTML page."""
    template = files("hgld.pipeline.commands").joinpath("graph.html").read_text(encoding="utf-8")
    data = json.dumps(root.to_dict(), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Environment(autoescape=True).from_string(template).render(title=title, data=Markup(data)) + "\n"


def graph_nodes(labels: pd.DataFrame, classes: pd.DataFrame, taxonomy: Taxonomy) -> pd.DataFrame:
    """One row per nature, label and class (columns NODES), with its number of categories."""
    labelled = labels[labels["hierarchical_label"] != ""]
    per_class, per_label = Counter(labelled["class"]), Counter(labelled["hierarchical_label"])
    per_nature = Counter(labelled["natural_or_human_made"])
    rows: list[tuple[str, str, str, str, str, int]] = [
        *((nature, "nature", nature, "", nature, per_nature[nature]) for nature in NATURES),
        *(
            (label, "label", label.strip(), label, nature, per_label[label])
            for label, nature in taxonomy.natures.items()
        ),
        *(
            (qid, "class", name, label, nature, per_class[qid])
            for qid, name, label, nature in classes[_CLASS_COLUMNS].itertuples(index=False, name=None)
        ),
    ]
    return pd.DataFrame(rows, columns=NODES)


def graph_edges(classes: pd.DataFrame, dag: pd.DataFrame, taxonomy: Taxonomy) -> pd.DataFrame:
    """The reduced class graph, with every anchor below its label and every label below its nature (columns EDGES)."""
    anchors = sorted(taxonomy.anchors.keys() & set(classes["class"]), key=qid_number)
    rows = [
        *((label, nature, "label") for label, nature in taxonomy.natures.items()),
        *((qid, taxonomy.anchors[qid].hierarchical_label, "anchor") for qid in anchors),
        *((child, parent, "subclass") for child, parent in dag.itertuples(index=False, name=None)),
    ]
    return pd.DataFrame(rows, columns=EDGES)


def _to_networkx(nodes: pd.DataFrame, edges: pd.DataFrame) -> "nx.DiGraph[str]":
    """A graph whose nodes and edges have the columns of the tables as attributes."""
    result: nx.DiGraph[str] = nx.DiGraph()
    for node in nodes.to_dict("records"):
        result.add_node(node["id"], **{key: _xml_text(node[key]) for key in NODES[1:]})
    for edge in edges.to_dict("records"):
        result.add_edge(edge["child"], edge["parent"], kind=edge["kind"])
    return result


def _xml_text(value: object) -> object:
    return _NOT_IN_XML.sub("\ufffd", value) if isinstance(value, str) else value
