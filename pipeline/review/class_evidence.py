"""What is known about a class, for the page: its landmarks, and the classes above and below it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import pandas as pd

from hgld.foundation.settings import Params
from hgld.foundation.tables import read_parquet
from hgld.hierarchy.taxonomy.qid import item_url, qid_number
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.dataset.landmark_classes import read_landmark_classes
from hgld.pipeline.dataset.landmarks import build_labels, image_counts

SHOWN_LANDMARKS = 12
SHOWN_CLASSES = 8
SHOWN_FOUND = 10


@dataclass(frozen=True)
class _Tables:
    """names, label_of (the label that a path of classes leads to), parents, children: by the QID of the class.

    members: QID → the categories without a label that have the class, most images first; images: of each category.
    """

    names: Mapping[str, str]
    label_of: Mapping[str, str]
    parents: Mapping[str, Sequence[str]]
    children: Mapping[str, Sequence[str]]
    members: Mapping[str, Sequence[str]]
    images: Mapping[str, int]


class ClassEvidence:
    """The classes of a profile. The tables are read at the first question. Safe to use from several threads."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._lock = Lock()
        self._tables: _Tables | None = None

    def of(self, qid: str) -> dict[str, Any]:
        """What the page shows about a class, as JSON values; every text is as the tables have it, to be escaped."""
        tables = self._read()
        members = tables.members.get(qid, ())
        return {
            "name": tables.names.get(qid, qid),
            "qid": qid,
            "url": item_url(qid),
            "members": [{"name": name, "images": tables.images.get(name, 0)} for name in members[:SHOWN_LANDMARKS]],
            "count": len(members),
            "parents": self._neighbours(tables.parents.get(qid, ())),
            "children": self._neighbours(tables.children.get(qid, ())),
        }

    def members(self, qid: str) -> Sequence[str]:
        """The categories that a verdict on this class labels, most images first."""
        return self._read().members.get(qid, ())

    def is_known(self, qid: str) -> bool:
        """Whether the snapshot has a class."""
        return qid in self._read().names

    def find(self, text: str) -> list[dict[str, str]]:
        """The classes whose name, or QID, begins with a text or has a word that does, the shortest names first."""
        wanted = text.strip().casefold()
        if not wanted:
            return []
        tables = self._read()
        found = [
            (rank, len(name), name, qid)
            for qid, name in tables.names.items()
            if (rank := _rank(wanted, name.casefold(), qid.casefold())) is not None
        ]
        return [self._class(qid) for _, _, _, qid in sorted(found)[:SHOWN_FOUND]]

    def _neighbours(self, qids: Sequence[str]) -> list[dict[str, str]]:
        return [self._class(qid) for qid in qids[:SHOWN_CLASSES]]

    def _class(self, qid: str) -> dict[str, str]:
        tables = self._read()
        return {"qid": qid, "name": tables.names.get(qid, qid), "label": tables.label_of.get(qid, "").strip()}

    def _read(self) -> _Tables:
        with self._lock:
            if self._tables is None:
                self._tables = self._load()
            return self._tables

    def _load(self) -> _Tables:
        data = self._params.data
        classes = read_landmark_classes(
            self._params, load_taxonomy(Path(self._params.build.taxonomy)), build_labels(self._params)
        )
        images = {str(name): int(count) for name, count in image_counts(self._params).items()}
        pairs = [(qid, category) for category, qids in classes.of.items() for qid in dict.fromkeys(qids)]
        pairs.sort(key=lambda pair: (-images.get(pair[1], 0), pair[1]))
        edges = _optional(data / "wikidata" / "class_edges.parquet", ["child", "parent"])
        edges = edges.assign(order=edges["child"].map(qid_number)).sort_values("order")
        labels = _optional(data / "build" / "classes.parquet", ["class", "hierarchical_label"])
        return _Tables(
            names=classes.names,
            label_of=dict(zip(labels["class"], labels["hierarchical_label"], strict=True)),
            parents=_grouped(list(zip(edges["child"], edges["parent"], strict=True))),
            children=_grouped(list(zip(edges["parent"], edges["child"], strict=True))),
            members=_grouped(pairs),
            images=images,
        )


def _rank(wanted: str, name: str, qid: str) -> int | None:
    """How well a class fits what was typed, 0 best; None: not at all."""
    if wanted in (name, qid):
        return 0
    if name.startswith(wanted):
        return 1
    return 2 if f" {wanted}" in name else None


def _grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        groups.setdefault(str(key), []).append(str(value))
    return groups


def _optional(path: Path, columns: list[str]) -> pd.DataFrame:
    """A table of a stage, empty where the stage has not run."""
    return read_parquet(path, columns) if path.is_file() else pd.DataFrame(columns=columns, dtype="str")
