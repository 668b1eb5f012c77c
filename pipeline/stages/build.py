"""The stage `build`: the class graph becomes a hierarchy, and every category that has a class gets its label.

All judgement is in hgld.hierarchy (graph, assign, taxonomy); here tables go in and tables come out.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hgld.foundation.files import write_text
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.taxonomy.class_graph import class_graph, reduced
from hgld.hierarchy.taxonomy.class_labels import (
    Candidate,
    Decision,
    Route,
    decide,
    routes,
    settle,
    spellings,
    weigh,
)
from hgld.hierarchy.taxonomy.graph_statistics import shape
from hgld.hierarchy.taxonomy.taxonomy import Taxonomy, load_taxonomy, number
from hgld.pipeline.wikidata.tables import Facts

LABELS = ["category", "qid", "method", "candidates", "class", "supercategory", "hierarchical_label",
          "natural_or_human_made", "path", "note"]  # fmt: skip
CONSIDERED = ["category", "qid", "class", "outcome", "hierarchical_label", "precedence", "path"]
CLASSES = ["class", "label", "hierarchical_label", "natural_or_human_made", "path"]
TABLES = ("labels", "considered", "classes", "dag", "removed_edges")


@dataclass(frozen=True)
class Built:
    """The tables of the stage, sorted, and the numbers that describe them."""

    labels: pd.DataFrame
    considered: pd.DataFrame
    classes: pd.DataFrame
    dag: pd.DataFrame
    removed_edges: pd.DataFrame
    metrics: dict[str, object]


def run(params: Params) -> None:
    """Write `data/PROFILE/build` from `data/PROFILE/wikidata` and the curated files."""
    names = ("items", "item_classes", "class_edges", "class_labels")
    facts = Facts(*(read_parquet(params.data / "wikidata" / f"{name}.parquet") for name in names))
    built = build(facts, load_taxonomy(Path(params.build.taxonomy)))
    folder = params.data / "build"
    for name in TABLES:
        write_parquet(getattr(built, name), folder / f"{name}.parquet")
    write_text(json.dumps(built.metrics, indent=2) + "\n", folder / "metrics.json")
    labelled = int((built.labels["hierarchical_label"] != "").sum())
    print(
        f"{labelled:,} of {len(built.labels):,} categories labelled; {len(built.removed_edges):,} edges cut"
    )


def build(facts: Facts, taxonomy: Taxonomy) -> Built:
    """Label the categories of `facts`; independent of the order of all rows."""
    graph = class_graph(_pairs(facts.class_edges), taxonomy)
    used = sorted(set(facts.item_classes["class"]), key=number)
    ways = routes(graph.dag, taxonomy, used)
    names = spellings(dict(_pairs(facts.class_labels)))
    told = _told(facts.item_classes)
    labels = _labels(facts, taxonomy, ways, names, told)
    classes = _classes(sorted({*graph.dag, *used}, key=number), ways, names)
    hierarchy, shortcuts = reduced(graph.dag)
    dag = _frame(["child", "parent"], sorted(hierarchy.edges, key=_order))
    gone = sorted((*graph.removed, *shortcuts), key=lambda one: _order((one.child, one.parent)))
    removed = _frame(["child", "parent", "reason"], [(one.child, one.parent, one.reason) for one in gone])
    figures = {
        **_coverage(labels),
        **_reach(facts.item_classes, ways),
        "classes": len(classes),
        "classes_with_label": int((classes["hierarchical_label"] != "").sum()),
        "edges": len(dag),
        "removed_edges": _counts(removed["reason"].str.split(":").str[0]),
        "shape": shape(hierarchy),
    }
    return Built(labels, _considered(facts, taxonomy, ways, told), classes, dag, removed, figures)


def _order(edge: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(map(number, edge))


def _pairs(frame: pd.DataFrame) -> list[tuple[str, str]]:
    first, second = frame.columns
    return list(zip(frame[first].tolist(), frame[second].tolist(), strict=True))


def _frame(columns: list[str], rows: Sequence[tuple[str, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns, dtype="str")


def _told(item_classes: pd.DataFrame) -> dict[str, list[str]]:
    """Item → its classes."""
    told: dict[str, list[str]] = defaultdict(list)
    for item, one in _pairs(item_classes):
        told[item].append(one)
    return told


def _considered(
    facts: Facts, taxonomy: Taxonomy, ways: dict[str, Route], told: dict[str, list[str]]
) -> pd.DataFrame:
    """One row a category, candidate item and class: the label it would give, its way there, what became of it."""
    items = facts.items.loc[facts.items["qid"] != "", ["category", "qid"]]
    rows = []
    for category, qid in sorted(set(_pairs(items)), key=lambda one: (one[0], number(one[1]))):
        for one in weigh(told.get(qid, ()), ways, taxonomy):
            anchor = one.route.anchor if one.route else None
            label, precedence = (anchor.hierarchical_label, str(anchor.precedence)) if anchor else ("", "")
            path = ">".join(one.route.path) if one.route else ""
            rows.append((category, qid, one.qid, one.outcome, label, precedence, path))
    return _frame(CONSIDERED, rows)


def _labels(
    facts: Facts,
    taxonomy: Taxonomy,
    ways: dict[str, Route],
    names: dict[str, str],
    told: dict[str, list[str]],
) -> pd.DataFrame:
    """One row a category: the decision over its candidates, and the evidence."""
    candidates: dict[str, list[Candidate]] = defaultdict(list)
    for row in facts.items.itertuples(index=False):
        own = candidates[str(row.category)]
        if row.qid:
            decision = decide(told.get(str(row.qid), ()), ways, taxonomy, names)
            own.append(Candidate(str(row.qid), str(row.method), str(row.confidence), decision))
    rows = [_label(category, candidates[category]) for category in sorted(candidates)]
    frame = pd.DataFrame(rows, columns=LABELS, dtype="str")
    return frame.assign(candidates=frame["candidates"].astype("int64"))


def _label(category: str, candidates: list[Candidate]) -> tuple[str, ...]:
    chosen, note = settle(candidates)
    decision = chosen.decision if chosen else Decision()
    qid, method = (
        (chosen.qid, chosen.method) if chosen else ("", candidates[0].method if candidates else "none")
    )
    return (category, qid, method, str(len(candidates)), decision.deciding_class, decision.supercategory,
            decision.hierarchical_label, decision.natural_or_human_made, ">".join(decision.path), note)  # fmt: skip


def _classes(known: list[str], ways: dict[str, Route], names: dict[str, str]) -> pd.DataFrame:
    """One row a class: the label it stands for by itself; empty where none does."""
    rows = []
    for qid in known:
        route = ways.get(qid)
        anchor = route.anchor if route else None
        label, nature = (anchor.hierarchical_label, anchor.natural_or_human_made) if anchor else ("", "")
        rows.append(
            (qid, names.get(qid, ""), label, nature, ">".join(route.path) if route and anchor else "")
        )
    return _frame(CLASSES, rows)


def _coverage(labels: pd.DataFrame) -> dict[str, object]:
    """How many categories are labelled, by which method, and with how many labels; shares in [0, 1]."""
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


def _reach(item_classes: pd.DataFrame, ways: dict[str, Route]) -> dict[str, object]:
    """Of the classes that items have, and of the statements that give them, the share that leads to a label."""
    leads = {qid for qid, route in ways.items() if route.anchor}
    stated = item_classes["class"].isin(leads)
    used = item_classes["class"].drop_duplicates().isin(leads)
    return {
        "share_of_used_classes_with_label": round(float(used.mean()), 4) if len(used) else 0.0,
        "share_of_statements_with_label": round(float(stated.mean()), 4) if len(stated) else 0.0,
    }


def _counts(values: "pd.Series[str]") -> dict[str, int]:
    return {str(value): int(count) for value, count in sorted(values.value_counts().items())}
