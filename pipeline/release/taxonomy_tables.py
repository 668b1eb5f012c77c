"""The taxonomy of a release as tables: the anchor classes of each label, and the class graph that labels followed."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from hgld.foundation.settings import Params
from hgld.foundation.tables import read_csv, read_parquet
from hgld.hierarchy.curation.label_definitions import load_label_definitions
from hgld.hierarchy.taxonomy.class_graph import SHORTCUT
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import COLUMNS
from hgld.pipeline.dataset.schemas import read_stage_table

_ANCHORS = "taxonomy.csv"


def taxonomy_table(folder: Path, natures: Mapping[str, str]) -> pd.DataFrame:
    """One row per anchor class, in the order of the curated file: by label, then by number of the class.

    folder: that of the curated files, which have been checked; natures: the labels of the taxonomy. Raises HgldError
    for a label without a definition.
    """
    definitions = load_label_definitions(folder, natures)
    table = read_csv(folder / _ANCHORS, COLUMNS[_ANCHORS])
    table["definition"] = [
        definitions[label].definition if definitions else "" for label in table["hierarchical_label"]
    ]
    table["precedence"] = table["precedence"].astype("int64")
    return table[
        ["hierarchical_label", "natural_or_human_made", "definition", "anchor_qid", "anchor_label", "precedence",
         "decided_by"]
    ]  # fmt: skip


def class_graph_table(params: Params) -> pd.DataFrame:
    """One row per subclass statement that paths may use, and one per class without a parent; by numbers of the classes.

    The shortcuts, which the stage `build` leaves out of its hierarchy, are here: the path of a label is the shortest.
    """
    folder = params.data / "build"
    classes = read_stage_table(folder / "classes.parquet", ["class", "label", "hierarchical_label"]).set_index("class")
    removed = read_parquet(folder / "removed_edges.parquet", ["child", "parent", "reason"])
    shortcuts = removed.loc[removed["reason"] == SHORTCUT, ["child", "parent"]]
    edges = pd.concat([
        read_stage_table(folder / "dag.parquet").assign(shortcut=False),
        shortcuts.assign(shortcut=True),
    ]).rename(columns={"child": "class"})  # fmt: skip
    top = pd.DataFrame({"class": classes.index.difference(pd.Index(edges["class"]))}).assign(parent="", shortcut=False)
    table = pd.concat([edges, top])
    for name, column, of in (
        ("class_label", "label", "class"),
        ("parent_label", "label", "parent"),
        ("hierarchical_label", "hierarchical_label", "class"),
    ):
        table[name] = table[of].map(classes[column]).fillna("").astype("str")
    table = table.sort_values(["class", "parent"], key=_numbers, ignore_index=True).astype({"shortcut": "bool"})
    return table[["class", "class_label", "parent", "parent_label", "shortcut", "hierarchical_label"]]


def _numbers(qids: "pd.Series[str]") -> "pd.Series[int]":
    return qids.map(lambda qid: qid_number(qid) if qid else 0)
