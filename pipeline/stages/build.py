"""Stage `build`: from the class graph to a hierarchy, and a label for every category with a suitable class.

The rules are in hgld.hierarchy.taxonomy; this module turns tables into their input and their output into tables.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from hgld.foundation.display.visible import echo
from hgld.foundation.files import write_text
from hgld.foundation.settings import Params
from hgld.foundation.tables import write_parquet
from hgld.hierarchy.curation.rejected_items import read_rejected, without_rejected
from hgld.hierarchy.taxonomy.class_graph import class_graph, edge_order, transitive_reduction
from hgld.hierarchy.taxonomy.class_labels import (
    AnchorPath,
    Candidate,
    Decision,
    anchor_paths,
    choose_candidate,
    class_outcomes,
    label_item,
    unify_case,
)
from hgld.hierarchy.taxonomy.graph_statistics import hierarchy_shape
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, load_taxonomy
from hgld.pipeline.dataset.schemas import read_stage_table
from hgld.pipeline.wikidata.tables import WikidataTables

LABELS = ["category", "qid", "method", "candidates", "class", "supercategory", "hierarchical_label",
          "natural_or_human_made", "path", "note"]  # fmt: skip
CONSIDERED = ["category", "qid", "class", "outcome", "hierarchical_label", "precedence", "path"]
CLASSES = ["class", "label", "hierarchical_label", "natural_or_human_made", "path"]
TABLES = ("labels", "considered", "classes", "dag", "removed_edges")


@dataclass(frozen=True)
class LabelledCategories:
    """The tables of the stage, sorted, and its metrics."""

    labels: pd.DataFrame
    considered: pd.DataFrame
    classes: pd.DataFrame
    dag: pd.DataFrame
    removed_edges: pd.DataFrame
    metrics: dict[str, object]


@dataclass(frozen=True)
class _ClassFacts:
    """What the rules need: the classes of each item, the path of each class to its anchor, and English names."""

    taxonomy: Taxonomy
    of_item: Mapping[str, Sequence[str]]
    paths: Mapping[str, AnchorPath]
    names: Mapping[str, str]


def run(params: Params) -> None:
    """Write `data/PROFILE/build` from `data/PROFILE/wikidata` and the curated files."""
    folder = params.data / "wikidata"
    wikidata = WikidataTables(
        items=read_stage_table(folder / "items.parquet", ["category", "qid", "method", "confidence"]),
        item_classes=read_stage_table(folder / "item_classes.parquet"),
        class_edges=read_stage_table(folder / "class_edges.parquet"),
        class_labels=read_stage_table(folder / "class_labels.parquet"),
    )
    rejected = read_rejected(params.data / "check" / "rejected_items.csv")
    wikidata = replace(wikidata, items=without_rejected(wikidata.items, rejected))
    result = label_categories(wikidata, load_taxonomy(Path(params.build.taxonomy)))
    folder = params.data / "build"
    for name in TABLES:
        write_parquet(getattr(result, name), folder / f"{name}.parquet")
    write_text(json.dumps(result.metrics, indent=2) + "\n", folder / "metrics.json")
    labelled = int((result.labels["hierarchical_label"] != "").sum())
    echo(
        f"{labelled:,} of {len(result.labels):,} categories labelled; {len(result.removed_edges):,} class edges removed"
    )


def label_categories(wikidata: WikidataTables, taxonomy: Taxonomy) -> LabelledCategories:
    """Label the categories of `wikidata`; independent of the order of all rows."""
    graph = class_graph(_pairs(wikidata.class_edges), taxonomy)
    used = sorted(set(wikidata.item_classes["class"]), key=qid_number)
    of_item: dict[str, list[str]] = defaultdict(list)
    for item, qid in _pairs(wikidata.item_classes):
        of_item[item].append(qid)
    facts = _ClassFacts(
        taxonomy,
        of_item,
        anchor_paths(graph.dag, taxonomy, used),
        unify_case(dict(_pairs(wikidata.class_labels))),
    )
    labels = _labels_table(wikidata.items, facts)
    classes = _classes_table(sorted({*graph.dag, *used}, key=qid_number), facts)
    hierarchy, shortcuts = transitive_reduction(graph.dag)
    dag = _text_frame(["child", "parent"], sorted(hierarchy.edges, key=edge_order))
    cut = sorted((*graph.removed, *shortcuts), key=lambda edge: edge_order((edge.child, edge.parent)))
    removed = _text_frame(["child", "parent", "reason"], [(edge.child, edge.parent, edge.reason) for edge in cut])
    metrics = {
        **_coverage(labels),
        **_class_coverage(wikidata.item_classes, facts.paths),
        "classes": len(classes),
        "classes_with_label": int((classes["hierarchical_label"] != "").sum()),
        "edges": len(dag),
        "removed_edges": _counts(removed["reason"].str.split(":").str[0]),
        "shape": hierarchy_shape(hierarchy),
    }
    return LabelledCategories(labels, _considered_table(wikidata.items, facts), classes, dag, removed, metrics)


def _pairs(frame: pd.DataFrame) -> list[tuple[str, str]]:
    first, second = frame.columns
    return list(zip(frame[first].tolist(), frame[second].tolist(), strict=True))


def _text_frame(columns: list[str], rows: Sequence[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns, dtype="str")


def _considered_table(items: pd.DataFrame, facts: _ClassFacts) -> pd.DataFrame:
    """One row per category, candidate item and class: the label the class would give, its path, and its outcome."""
    candidates = set(_pairs(items.loc[items["qid"] != "", ["category", "qid"]]))
    rows = []
    for category, item in sorted(candidates, key=lambda pair: (pair[0], qid_number(pair[1]))):
        for row in class_outcomes(facts.of_item.get(item, ()), facts.paths, facts.taxonomy):
            anchor = row.path.anchor if row.path else None
            label, precedence = (anchor.hierarchical_label, str(anchor.precedence)) if anchor else ("", "")
            path = ">".join(row.path.qids) if row.path else ""
            rows.append((category, item, row.qid, row.outcome, label, precedence, path))
    return _text_frame(CONSIDERED, rows)


def _labels_table(items: pd.DataFrame, facts: _ClassFacts) -> pd.DataFrame:
    """One row per category: its label, from the choice among its candidate items, and the evidence."""
    candidates: dict[str, list[Candidate]] = defaultdict(list)
    for row in items.itertuples(index=False):
        own, item = candidates[str(row.category)], str(row.qid)
        if item:
            decision = label_item(facts.of_item.get(item, ()), facts.paths, facts.taxonomy, facts.names)
            own.append(Candidate(item, str(row.method), str(row.confidence), decision))
    rows = [_label_row(category, candidates[category]) for category in sorted(candidates)]
    return _text_frame(LABELS, rows).astype({"candidates": "int64"})


def _label_row(category: str, candidates: list[Candidate]) -> tuple[str, ...]:
    chosen, note = choose_candidate(candidates)
    decision = chosen.decision if chosen else Decision()
    qid = chosen.qid if chosen else ""
    method = (chosen or candidates[0]).method if candidates else "none"
    return (category, qid, method, str(len(candidates)), decision.deciding_class, decision.supercategory,
            decision.hierarchical_label, decision.natural_or_human_made, ">".join(decision.path), note)  # fmt: skip


def _classes_table(qids: list[str], facts: _ClassFacts) -> pd.DataFrame:
    """One row per class: its own label and path; both empty where no path leads to an anchor."""
    rows = []
    for qid in qids:
        path = facts.paths.get(qid)
        anchor = path.anchor if path else None
        label, nature = (anchor.hierarchical_label, anchor.natural_or_human_made) if anchor else ("", "")
        rows.append((qid, facts.names.get(qid, ""), label, nature, ">".join(path.qids) if path and anchor else ""))
    return _text_frame(CLASSES, rows)


def _coverage(labels: pd.DataFrame) -> dict[str, object]:
    """How many categories are labelled, in all and by method, and with how many labels; fractions in [0, 1]."""
    labelled = labels["hierarchical_label"] != ""
    return {
        "categories": len(labels),
        "labelled": int(labelled.sum()),
        "share_labelled": round(float(labelled.mean()), 4) if len(labels) else 0.0,
        "ambiguous": int(labels["note"].str.startswith("ambiguous").sum()),
        "hierarchical_labels": int(labels.loc[labelled, "hierarchical_label"].nunique()),
        "supercategories": int(labels.loc[labelled, "supercategory"].nunique()),
        "by_method": {
            str(method): {
                "categories": len(group),
                "labelled": int((group["hierarchical_label"] != "").sum()),
            }
            for method, group in labels.groupby("method")
        },
    }


def _class_coverage(item_classes: pd.DataFrame, paths: Mapping[str, AnchorPath]) -> dict[str, object]:
    """The fractions of P31 statements, and of the distinct classes in them, that lead to a label."""
    leads = {qid for qid, path in paths.items() if path.anchor}
    stated = item_classes["class"].isin(leads)
    used = item_classes["class"].drop_duplicates().isin(leads)
    return {
        "share_of_used_classes_with_label": round(float(used.mean()), 4) if len(used) else 0.0,
        "share_of_statements_with_label": round(float(stated.mean()), 4) if len(stated) else 0.0,
    }


def _counts(values: "pd.Series[str]") -> dict[str, int]:
    return {str(value): int(count) for value, count in sorted(values.value_counts().items())}
