"""What the labels of a release rest on, read from its folder: taxonomy, class graph, items, verdicts and proposals."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import parquet_columns, read_parquet, text_rows
from hgld.hierarchy.fusion.evidence_kinds import proposal_sources
from hgld.hierarchy.fusion.release_decision import Thresholds
from hgld.hierarchy.taxonomy.commons_category import CONFIDENCES
from hgld.hierarchy.taxonomy.qid import QID
from hgld.hierarchy.taxonomy.taxonomy import NATURES, REACHES, Anchor, CutEdge, IgnoredClass, Taxonomy

# The tables that the causes are found in, with the columns that are read.
_TABLES = {
    "labels.parquet": ["category", "qid", "country", "continent", "latitude", "longitude"],
    "evidence.parquet": ["category", "source", "hierarchical_label", "class", "score", "margin"],
    "taxonomy.parquet": ["hierarchical_label", "natural_or_human_made", "anchor_qid", "anchor_label", "precedence",
                         "decided_by"],
    "ignored_classes.parquet": ["qid", "label", "reach", "reason", "decided_by"],
    "cut_edges.parquet": ["child", "parent", "reason", "decided_by"],
    "class_graph.parquet": ["class", "class_label", "parent", "parent_label"],
    "removed_edges.parquet": ["class", "parent"],
    "candidates.parquet": ["category", "qid", "method", "confidence", "class"],
    "verdicts.parquet": ["kind", "category", "hierarchical_label", "suggested_label", "supercategory", "rejected_item",
                         "annotator", "decided_on", "counts"],
}  # fmt: skip


# The columns of class_graph.parquet with classes and their names.
_NAMES = (("parent", "parent_label"), ("class", "class_label"))


class Match(NamedTuple):
    """An item that a category may be about, how it was found, and the confidence of that."""

    qid: str
    method: str
    confidence: str


class Claim(NamedTuple):
    """A settled verdict: its label, "" for none; a class that it names, an item that it rejects; who and when.

    suggested: the label that was suggested, for a verdict on a class.
    """

    label: str
    supercategory: str = ""
    rejected: str = ""
    annotator: str = ""
    decided_on: str = ""
    suggested: str = ""


class Proposal(NamedTuple):
    """An automatic proposal: its label, the kind of evidence that decides it, and its score and margin in [0, 1]."""

    label: str
    source: str
    score: float
    margin: float


class Place(NamedTuple):
    """The item that a place is read from, and the place itself; missing coordinates are None."""

    qid: str = ""
    country: str = ""
    continent: str = ""
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True)
class LabelFacts:
    """All that decides the labels of a release.

    method: of the proposals. parents: class → all classes that Wikidata has above it, also by statements that no path
    may use; only of the classes that the release knows. classes: item → its classes. disagreements: category or class →
    the verdicts that do not count, in words. authors: who decided a row of the taxonomy, by its classes.
    """

    made_with: str
    method: str
    thresholds: Thresholds
    taxonomy: Taxonomy
    parents: Mapping[str, frozenset[str]]
    names: Mapping[str, str]
    matches: Mapping[str, tuple[Match, ...]]
    classes: Mapping[str, frozenset[str]]
    verdicts: Mapping[str, Claim] = field(default_factory=dict)
    class_verdicts: Mapping[str, Claim] = field(default_factory=dict)
    disagreements: Mapping[str, str] = field(default_factory=dict)
    proposals: Mapping[str, Proposal] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    authors: Mapping[tuple[str, ...], str] = field(default_factory=dict)


def missing_facts(folder: Path) -> str:
    """What a release of an older version lacks, so that causes cannot be found; empty where nothing is lacking.

    Raises HgldError for a damaged table.
    """
    lacking = [name for name in _TABLES if not (folder / name).is_file()]
    for name, columns in _TABLES.items():
        if name not in lacking:
            known = parquet_columns(folder / name)
            lacking += [f"column {column} of {name}" for column in columns if column not in known]
    if not lacking and "decision" not in _metadata(folder):
        lacking.append("decision in metadata.json")
    return ", ".join(lacking)


def read_facts(folder: Path) -> LabelFacts:
    """The facts of a release that lacks nothing (see missing_facts). Raises HgldError for a damaged release."""
    table = {name: read_parquet(folder / name, columns) for name, columns in _TABLES.items()}
    for name, columns in {
        "taxonomy.parquet": ["anchor_qid"],
        "ignored_classes.parquet": ["qid"],
        "cut_edges.parquet": ["child", "parent"],
        "class_graph.parquet": ["class", "parent"],
        "removed_edges.parquet": ["class", "parent"],
        "candidates.parquet": ["qid", "class"],
    }.items():
        for column in columns:
            _check(folder / name, table[name][column], QID + ("|" if column in ("class", "parent") else ""), "a QID")
    _check(folder / "ignored_classes.parquet", table["ignored_classes.parquet"]["reach"], "|".join(REACHES), "a reach")
    natures = table["taxonomy.parquet"]["natural_or_human_made"]
    _check(folder / "taxonomy.parquet", natures, "|".join(NATURES), " or ".join(NATURES))
    found = table["candidates.parquet"]["confidence"]
    _check(folder / "candidates.parquet", found, "|".join(CONFIDENCES), "a confidence")
    metadata = _metadata(folder)
    graph = table["class_graph.parquet"]
    names = {name[0]: name[1] for pair in _NAMES for name in text_rows(graph, *pair)}
    matches, classes = _candidates(table["candidates.parquet"])
    verdicts, class_verdicts, disagreements = _verdicts(table["verdicts.parquet"])
    return LabelFacts(
        str(metadata.get("made_with", "")),
        _method(metadata),
        _thresholds(folder, metadata),
        _taxonomy(table),
        _parents(graph, table["removed_edges.parquet"]),
        {qid: name for qid, name in names.items() if name},
        matches,
        classes,
        verdicts,
        class_verdicts,
        disagreements,
        _proposals(table["evidence.parquet"]),
        _places(table["labels.parquet"]),
        _authors(table),
    )


def _metadata(folder: Path) -> dict[str, object]:
    path = folder / "metadata.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _method(metadata: Mapping[str, object]) -> str:
    decision = metadata.get("decision")
    return str(decision.get("method", "")) if isinstance(decision, dict) else ""


def _thresholds(folder: Path, metadata: Mapping[str, object]) -> Thresholds:
    decision = metadata.get("decision")
    score, margin = (
        decision.get(name) if isinstance(decision, dict) else None for name in ("accept_score", "accept_margin")
    )
    if not isinstance(score, int | float) or not isinstance(margin, int | float):
        raise HgldError(f"{folder / 'metadata.json'}: decision: expected the numbers accept_score and accept_margin")
    return Thresholds(float(score), float(margin))


def _check(path: Path, values: "pd.Series[str]", pattern: str, expected: str) -> None:
    wrong = [value for value in values.unique() if not re.fullmatch(pattern, str(value))]
    if wrong:
        raise HgldError(
            f"{path}: {values.name} {str(wrong[0])[:60]!r}: expected {expected}; download the release again"
        )


def _taxonomy(table: Mapping[str, pd.DataFrame]) -> Taxonomy:
    anchors, ignored, cuts = (table[f"{name}.parquet"] for name in ("taxonomy", "ignored_classes", "cut_edges"))
    rows = text_rows(anchors, "anchor_qid", "anchor_label", "hierarchical_label", "natural_or_human_made")
    precedences = anchors["precedence"].tolist()
    return Taxonomy(
        {
            qid: Anchor(qid, name, label, nature, int(precedence))
            for (qid, name, label, nature), precedence in zip(rows, precedences, strict=True)
        },
        {
            qid: IgnoredClass(qid, name, reach, reason, author == "published")
            for qid, name, reach, reason, author in text_rows(ignored, "qid", "label", "reach", "reason", "decided_by")
        },
        {
            (child, parent): CutEdge(child, parent, reason)
            for child, parent, reason in text_rows(cuts, "child", "parent", "reason")
        },
    )


def _authors(table: Mapping[str, pd.DataFrame]) -> dict[tuple[str, ...], str]:
    keys = {"taxonomy": ["anchor_qid"], "ignored_classes": ["qid"], "cut_edges": ["child", "parent"]}
    return {
        tuple(key): author
        for name, columns in keys.items()
        for author, *key in text_rows(table[f"{name}.parquet"], "decided_by", *columns)
    }


def _parents(graph: pd.DataFrame, removed: pd.DataFrame) -> dict[str, frozenset[str]]:
    parents: dict[str, set[str]] = defaultdict(set)
    for edges in (graph, removed):
        for qid, parent in text_rows(edges, "class", "parent"):
            parents[qid] |= {parent} - {""}
    return {qid: frozenset(own) for qid, own in parents.items()}


def _candidates(table: pd.DataFrame) -> tuple[dict[str, tuple[Match, ...]], dict[str, frozenset[str]]]:
    matches: dict[str, dict[Match, None]] = defaultdict(dict)
    classes: dict[str, set[str]] = defaultdict(set)
    for category, qid, method, confidence, own in text_rows(table, *table.columns):
        matches[category][Match(qid, method, confidence)] = None
        classes[qid].add(own)
    return (
        {category: tuple(sorted(found)) for category, found in matches.items()},
        {item: frozenset(own - {""}) for item, own in classes.items()},
    )


def _verdicts(table: pd.DataFrame) -> tuple[dict[str, Claim], dict[str, Claim], dict[str, str]]:
    """The verdicts that count, on categories and on classes; and the others of what nobody's verdict decides."""
    claims: dict[str, dict[str, Claim]] = {"landmark": {}, "class": {}}
    others: dict[str, list[str]] = defaultdict(list)
    table = table.sort_values("decided_on", kind="stable")
    rows = text_rows(table, "kind", "category", "hierarchical_label", "supercategory", "rejected_item", "annotator",
                  "decided_on", "suggested_label")  # fmt: skip
    for (kind, name, label, above, rejected, who, when, suggested), counts in zip(rows, table["counts"], strict=True):
        own = claims.get(kind, {})
        if counts:
            names = {*own[name].annotator.split(", ")} if name in own else set[str]()
            own[name] = Claim(label, above, rejected, ", ".join(sorted({*names, who})), when, suggested)
        else:
            others[name].append(f"{who} {label.strip() or '(no label)'}")
    settled = claims["landmark"].keys() | claims["class"].keys()
    return (
        claims["landmark"],
        claims["class"],
        {name: ", ".join(sorted(said)) for name, said in others.items() if name not in settled},
    )


def _proposals(evidence: pd.DataFrame) -> dict[str, Proposal]:
    rows = evidence[evidence["source"].isin(proposal_sources())]
    texts = text_rows(rows, "category", "hierarchical_label", "source")
    numbers = zip(rows["score"].tolist(), rows["margin"].tolist(), strict=True)
    return {
        category: Proposal(label, source, float(score), float(margin))
        for (category, label, source), (score, margin) in zip(texts, numbers, strict=True)
    }


def _places(labels: pd.DataFrame) -> dict[str, Place]:
    texts = text_rows(labels, "category", "qid", "country", "continent")
    numbers = zip(labels["latitude"].tolist(), labels["longitude"].tolist(), strict=True)
    return {
        category: Place(qid, country, continent, _number(latitude), _number(longitude))
        for (category, qid, country, continent), (latitude, longitude) in zip(texts, numbers, strict=True)
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
