"""`hgld graph`: the hierarchy as an interactive chart, as GraphML and as Parquet.

The chart is a sunburst of all categories. Its rings are natural and human-made, the hierarchical labels, and the
classes from the anchor of a label down to the supercategory; a sector of its own holds the categories without a label,
by the reason. Its search finds labels, classes and landmarks. It is one HTML file that loads nothing.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import networkx as nx
import pandas as pd
from markupsafe import Markup

from hgld.foundation.display.html_page import render_page
from hgld.foundation.display.visible import visible
from hgld.foundation.files import check_output, replacing, write_text
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_parquet
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import NATURES, Taxonomy, load_taxonomy
from hgld.pipeline.dataset.landmarks import SPLITS, landmark_table
from hgld.pipeline.dataset.schemas import read_stage_table

NODES = ["id", "kind", "name", "hierarchical_label", "natural_or_human_made", "categories"]
EDGES = ["child", "parent", "kind"]
UNLABELLED = "no label by class"
_CLASS_COLUMNS = ["class", "label", "hierarchical_label", "natural_or_human_made"]
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass
class Node:
    """A segment of the sunburst: its name, its QID (classes only), its own categories, its children."""

    name: str
    qid: str = ""
    categories: list[str] = field(default_factory=list)
    children: dict[str, "Node"] = field(default_factory=dict)

    @property
    def own(self) -> int:
        """The number of categories of this segment alone."""
        return len(self.categories)

    @property
    def total(self) -> int:
        """The number of categories of this segment and of all below it."""
        return self.own + sum(node.total for node in self.children.values())

    def to_dict(self, landmarks: Mapping[str, str]) -> dict[str, object]:
        """The tree as nested JSON values, the largest child first and UNLABELLED last.

        landmarks: category → its landmark ids as text. A category is [name, ids], or [name] without ids.
        """
        ordered = sorted(
            self.children.values(), key=lambda node: (node.name == UNLABELLED, -node.total, node.name, node.qid)
        )
        document: dict[str, object] = {"n": visible(self.name), "c": self.total}
        if self.qid:
            document["q"] = self.qid
        if self.categories:
            names = sorted(self.categories)
            document["m"] = [[visible(name), *([landmarks[name]] if name in landmarks else [])] for name in names]
        if ordered:
            document["k"] = [node.to_dict(landmarks) for node in ordered]
        return document


def graph(params: Params, out: Path) -> str:
    """Write graph.html, graph.graphml, nodes.parquet and edges.parquet of the profile's build to `out`."""
    check_output(out, params.data / "build", params.data / "release")
    labels, classes, dag = (
        read_stage_table(params.data / "build" / f"{name}.parquet") for name in ("labels", "classes", "dag")
    )
    taxonomy = load_taxonomy(Path(params.build.taxonomy))
    root = sunburst(labels, classes)
    nodes, edges = graph_nodes(labels, classes, taxonomy), graph_edges(classes, dag, taxonomy)
    write_text(render(root, params.release.name, landmark_ids(params, labels)), out / "graph.html")
    write_parquet(nodes, out / "nodes.parquet")
    write_parquet(edges, out / "edges.parquet")
    with replacing(out / "graph.graphml") as part:
        # not write_graphml, which uses lxml if it is installed and then writes other bytes
        nx.write_graphml_xml(_to_networkx(nodes, edges), part)
    labelled = int((labels["hierarchical_label"] != "").sum())
    return (
        f"{out}/graph.html: {root.total:,} categories, {labelled:,} of them with a label, "
        f"{len(nodes):,} nodes, {len(edges):,} edges"
    )


def sunburst(labels: pd.DataFrame, classes: pd.DataFrame) -> Node:
    """All categories as a tree: natural or human-made, label, classes from the anchor down; or UNLABELLED, reason."""
    names = dict(zip(classes["class"], classes["label"], strict=True))
    root = Node("landmarks")
    columns = ["category", "natural_or_human_made", "hierarchical_label", "path", "note"]
    for category, nature, label, path, note in labels.reindex(columns=columns, fill_value="").itertuples(
        index=False, name=None
    ):
        node = root.children.setdefault(nature or UNLABELLED, Node(nature or UNLABELLED))
        if label:
            node = node.children.setdefault(label, Node(label.strip()))
            for qid in reversed(path.split(">")):
                node = node.children.setdefault(qid, Node(names.get(qid) or qid, qid))
        else:
            reason = note.split(":")[0]
            node = node.children.setdefault(reason, Node(reason)) if reason else node
        node.categories.append(category)
    return root


def landmark_ids(params: Params, labels: pd.DataFrame) -> dict[str, str]:
    """Category → the ids of its landmarks and its item, such as "train 10, index 7, Q101"."""
    texts: dict[str, list[str]] = defaultdict(list)
    for split in SPLITS:
        # the metadata is no input of the stage build, so that it may be missing
        if (params.data / "metadata" / f"{split}_label_to_category.parquet").is_file():
            table = landmark_table(params, split)
            for category, landmark in zip(table["category"], table["landmark_id"], strict=True):
                texts[category].append(f"{split} {landmark}")
    for category, qid in zip(labels["category"], labels["qid"], strict=True) if "qid" in labels else ():
        if qid:
            texts[category].append(qid)
    return {category: ", ".join(ids) for category, ids in texts.items()}


def render(root: Node, title: str, landmarks: Mapping[str, str] | None = None) -> str:
    """The sunburst as one HTML page; landmarks: category → its landmark ids as text."""
    document = root.to_dict(landmarks or {})
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return render_page("hgld.pipeline.commands", "graph.html", title=title, unlabelled=UNLABELLED, data=Markup(data))


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
