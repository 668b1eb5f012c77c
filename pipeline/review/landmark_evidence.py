"""What is known about a landmark, for the pages: its item, its classes, the candidates for its label, and why."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import pandas as pd
from anyascii import anyascii

from hgld.foundation.display.world_outline import map_point
from hgld.foundation.settings import Params
from hgld.hierarchy.curation.errata import REPORTED
from hgld.hierarchy.curation.rejected_items import read_rejected, without_rejected
from hgld.hierarchy.curation.verdict import CLASS, LANDMARK
from hgld.hierarchy.fusion.evidence_kinds import titles
from hgld.hierarchy.taxonomy.commons_category import category_url
from hgld.hierarchy.taxonomy.qid import item_url
from hgld.pipeline.dataset.landmarks import SPLITS, landmark_table
from hgld.pipeline.dataset.schemas import read_stage_table
from hgld.pipeline.review.queue_items import Item, class_names, with_class_names

MAX_CANDIDATES = 9  # one per digit key
# "name: tower 0.91; class name: house 0.50" in the evidence of a proposal
_SCORED = re.compile(r"(?P<why>[^;:]+(?:: [^;:]+)?): (?P<label>[^;:]+?) (?P<score>[01]\.\d+)")
REASONS = {
    "reported": "Somebody reported that its label is wrong.",
    "conflict": "The annotators disagree about it.",
    "stale": "Its suggestion has changed since it was judged.",
    "ambiguous": "Several items on Wikidata may be meant.",
    "doubtful": "The evidence is not sure enough to accept the label.",
    "no-proposal": "There is no evidence for any label.",
    "control": "Drawn at random from the accepted labels, to measure how many are right.",
    "asked for": "You asked for it.",
    "class": "Several landmarks of this class have no label; your answer gives all of them one.",
}


@dataclass(frozen=True)
class Candidate:
    """A label that may be right, its score if it has one, and where it comes from."""

    label: str
    score: str
    why: str


class LandmarkEvidence:
    """The tables of the stages, by category. They are read at the first question. Safe to use from several threads.

    labels: those of the taxonomy.
    """

    def __init__(self, params: Params, labels: Iterable[str]) -> None:
        self._params = params
        self._labels = {label.strip(): label for label in labels}
        self._lock = Lock()
        self._tables: dict[str, _ByKey] | None = None
        self._names: dict[str, str] = {}

    def of(self, item: Item) -> dict[str, Any]:
        """What the page shows about an item, as JSON values; every text is as the tables have it, to be escaped."""
        tables = self._read()
        item = replace(item, evidence=with_class_names(item.evidence, self._names))
        if item.kind == CLASS:
            item = replace(item, name=self._names.get(item.category, ""))
        items = self.items(item.category) if item.kind == LANDMARK else []
        return {
            "name": item.title,
            "latin": _latin(item.title),
            "reason": item.reason,
            "why": REASONS.get(item.reason, ""),
            "suggestion": item.suggested_label,
            "suggested_by": titles().get(item.suggested_by, item.suggested_by) if item.suggested_by else "",
            "score": item.score,
            "margin": item.margin,
            "images": int(item.images or 0),
            "landmarks": [f"{split} {landmark}" for split, landmark in self.landmarks(item.category)]
            if item.kind == LANDMARK
            else [],
            "candidates": [asdict(candidate) for candidate in self._candidates(item, tables)],
            "evidence": [part for part in item.evidence.split("; ") if part],
            "items": items,
            "place": self.place(item.category) if item.kind == LANDMARK else None,
            "page": category_url(item.category) if item.kind == LANDMARK else item_url(item.category),
        }

    def items(self, category: str) -> list[dict[str, Any]]:
        """The items on Wikidata that a category may be, with their classes and what these led to."""
        tables = self._read()
        return [self._wikidata_item(row, tables) for row in tables["items"].rows(category) if row["qid"]]

    def place(self, category: str) -> dict[str, float] | None:
        """Where a landmark is, and the point on a map with world_outline; None where that is not known."""
        tables = self._read()
        qids = [row["qid"] for row in tables["items"].rows(category)]
        places = (_place(row) for qid in qids for row in tables["facts"].rows(qid))
        return next((place for place in places if place), None)

    def landmarks(self, category: str) -> list[tuple[str, str]]:
        """The landmarks (split, id) of a category."""
        tables = self._read()
        return [(split, row["landmark_id"]) for split in SPLITS for row in tables[split].rows(category)]

    def _wikidata_item(self, row: dict[str, Any], tables: "dict[str, _ByKey]") -> dict[str, Any]:
        qid = row["qid"]
        facts = tables["facts"].rows(qid)
        outcomes = {
            found["class"]: (found["hierarchical_label"], found["outcome"])
            for found in tables["considered"].rows(row["category"])
            if found["qid"] == qid
        }
        classes = []
        for found in tables["classes"].rows(qid):
            label, outcome = outcomes.get(found["class"], ("", ""))
            name = self._names.get(found["class"], "")
            classes.append({"qid": found["class"], "name": name, "label": label, "outcome": outcome})
        return {
            "qid": qid,
            "name": facts[0]["label"] if facts else "",
            "method": row["method"],
            "confidence": row["confidence"],
            "url": item_url(qid),
            "classes": classes,
        }

    def _candidates(self, item: Item, tables: "dict[str, _ByKey]") -> list[Candidate]:
        """The suggestion first, then the runner-up and every other label that some evidence names."""
        found: dict[str, Candidate] = {}

        def add(label: str, score: str, why: str) -> None:
            label = self._labels.get(label.strip(), "")
            if label and label not in found:
                found[label] = Candidate(label, score, why)
            elif label and why:
                known = found[label]
                also = f"{why} {score}".strip()
                said = known.why.split("; ")  # several items may have the same class
                found[label] = Candidate(label, known.score, "; ".join(filter(None, dict.fromkeys([*said, also]))))

        title = titles().get(item.suggested_by, item.suggested_by) if item.suggested_by else ""
        add(item.suggested_label, item.score, title)
        add(item.runner_up, "", "second in the ranking")
        for row in tables["considered"].rows(item.category):
            name = self._names.get(row["class"], row["class"])
            add(row["hierarchical_label"], "", f"class {name}: {row['outcome']}")
        # a user may have written anything
        computed = "; ".join(part for part in item.evidence.split("; ") if not part.startswith(f"{REPORTED} "))
        for match in _SCORED.finditer(computed):
            add(match["label"], match["score"], match["why"].strip())
        return list(found.values())[:MAX_CANDIDATES]

    def _read(self) -> "dict[str, _ByKey]":
        with self._lock:
            if self._tables is None:
                self._names = class_names(self._params)
                self._tables = self._load()
            return self._tables

    def _load(self) -> "dict[str, _ByKey]":
        data = self._params.data
        items = read_stage_table(data / "wikidata" / "items.parquet", ["category", "qid", "method", "confidence"])
        items = without_rejected(items, read_rejected(data / "check" / "rejected_items.csv"))
        return {
            "items": _ByKey(items, "category"),
            "facts": _ByKey(_table(data / "wikidata" / "item_facts.parquet"), "qid"),
            "classes": _ByKey(_table(data / "wikidata" / "item_classes.parquet"), "qid"),
            "considered": _ByKey(_table(data / "build" / "considered.parquet"), "category"),
            **{split: _ByKey(landmark_table(self._params, split), "category") for split in SPLITS},
        }


class _ByKey:
    """A table whose rows are found by the value of one column."""

    def __init__(self, table: pd.DataFrame, key: str) -> None:
        self._table = table
        self._rows: dict[str, list[int]] = {}
        for number, value in enumerate(table[key].tolist()):
            self._rows.setdefault(value, []).append(number)

    def rows(self, key: str) -> list[dict[str, Any]]:
        """The rows with this value."""
        found = self._rows.get(key)
        if found is None:
            return []
        return [{str(name): value for name, value in row.items()} for row in self._table.iloc[found].to_dict("records")]


def _table(path: Path) -> pd.DataFrame:
    return read_stage_table(path)


def _latin(name: str) -> str:
    """The name in Latin letters, where it has others; "" where it has none.

    >>> _latin("Нарикала"), _latin("Église Saint-Rouge")
    ('Narikala', '')
    """
    letters = [character for character in name if character.isalpha()]
    foreign = [character for character in letters if ord(character) > 0x24F]
    return anyascii(name) if foreign else ""


def _place(row: dict[str, Any]) -> dict[str, float] | None:
    """Latitude, longitude and the point on the map of an item, None where it has no coordinates on Earth."""
    latitude, longitude = float(row["latitude"]), float(row["longitude"])
    if not abs(latitude) <= 90 or longitude != longitude:
        return None
    x, y = map_point(latitude, longitude)
    return {"latitude": latitude, "longitude": longitude, "x": x, "y": y}
