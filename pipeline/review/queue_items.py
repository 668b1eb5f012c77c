"""The items of a review: the open rows of the queue, or any landmarks that were asked for."""

import hashlib
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_csv
from hgld.hierarchy.curation.errata import Report, load_reports, open_reports
from hgld.hierarchy.curation.settled_verdicts import is_stale, settled
from hgld.hierarchy.curation.verdict import CLASS, KINDS, LANDMARK, instant
from hgld.hierarchy.curation.verdicts import load_all_verdicts
from hgld.hierarchy.taxonomy.commons_category import category_url
from hgld.hierarchy.taxonomy.qid import item_url
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.dataset.landmark_classes import class_verdicts, read_landmark_classes
from hgld.pipeline.dataset.landmark_search import categories_of
from hgld.pipeline.dataset.landmarks import SPLITS, build_labels, landmark_table
from hgld.pipeline.dataset.schemas import read_stage_table
from hgld.pipeline.review.candidate_tables import CandidateTables
from hgld.pipeline.stages.queue import COLUMNS

WIDTH = 100


@dataclass(frozen=True)
class Item:
    """One row of the queue. ItemTexts adds ids or name, and the names of classes to the evidence.

    ids: of the landmarks of the category; name: of the class.
    """

    category: str
    suggested_label: str
    suggested_by: str
    score: str
    margin: str
    runner_up: str
    images: str
    reason: str
    evidence: str
    kind: str = LANDMARK
    ids: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        """What the item is called: a category, or a class and its QID."""
        return self.category if self.kind == LANDMARK else f"{self.name or 'class'} ({self.category})"

    def text(self, heading: str) -> str:
        """The item as shown to the annotator."""
        suggestion = self.suggested_label.strip() or "none"
        if self.suggested_by:
            scores = f", score {self.score}, margin {self.margin}" if self.score else ""
            suggestion += f"   (by {self.suggested_by}{scores})"
        values = {
            "page": item_url(self.category) if self.kind == CLASS else category_url(self.category),
            "landmarks": self.ids,
            "images": self.images,
            "reason": self.reason,
            "suggestion": suggestion,
            "runner-up": self.runner_up.strip(),
            "evidence": self.evidence,
        }
        lines = [
            textwrap.fill(
                visible(value),
                WIDTH,
                initial_indent=f"  {name:<11} ",
                subsequent_indent=" " * 14,
                break_on_hyphens=False,
                break_long_words=False,
            )
            for name, value in values.items()
            if value
        ]
        kind = "class " if self.kind == CLASS else ""
        return "\n".join([f"{heading}  {kind}{visible(self.title)}", *lines])


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which items to review.

    keys: these landmarks (see categories_of), by default the open rows of the queue. focus: only those for which this
    label is suggested or the runner-up. kind: only landmarks, or only classes. only_conflicts: only those about which
    annotators disagree. limit: the first so many.
    """

    keys: Sequence[str] = ()
    focus: str = ""
    kind: str | None = None
    only_conflicts: bool = False
    limit: int | None = None


def chosen_items(
    params: Params, selection: Selection, folder: Path, labels: Sequence[str], annotator: str
) -> list[Item]:
    """The items of a selection, in order. Raises HgldError for unknown landmarks, an unknown label, and no queue."""
    if selection.keys:
        items = items_of(CandidateTables(params, folder), categories_of(selection.keys, params))
    else:
        items = open_items(params, folder, labels, annotator)
    if focus := selection.focus.strip().casefold():
        if focus not in _plain(*labels):
            raise HgldError(f"no label {selection.focus!r}{suggest(selection.focus, labels)}")
        items = [item for item in items if focus in _plain(item.suggested_label, item.runner_up)]
    if selection.kind:
        items = [item for item in items if item.kind == selection.kind]
    if selection.only_conflicts:
        items = [item for item in items if item.reason == "conflict"]
    return items[: selection.limit]


def _plain(*labels: str) -> set[str]:
    return {label.strip().casefold() for label in labels}


def open_items(params: Params, folder: Path, labels: Sequence[str], annotator: str = "") -> list[Item]:
    """The rows of the queue that this annotator is still to judge.

    Left out is what has a settled verdict that is not stale, and that is newer than every report. Of a fraction of the
    queue (`queue.overlap`), drawn by hash, only the annotator's own verdict counts: everybody judges it, so that their
    agreement can be measured. The same holds for every class, as an error there moves many labels. What this annotator
    could not tell is left to the others, unless it was reported since, or another label is suggested now.
    """
    queue = _read_queue(params.data / "queue" / "queue.csv")
    done = pd.Series(data=False, index=queue.index)
    verdicts = load_all_verdicts(folder, labels, params.verdict_profiles)
    for kind in KINDS:
        done |= (queue["kind"] == kind) & queue["category"].isin(
            _done(queue, kind, verdicts[kind].given, params, annotator)
        )
    landmarks = queue["kind"] == LANDMARK
    if not verdicts[CLASS].given.empty:
        done |= landmarks & queue["category"].isin(_settled_by_class(params, verdicts[CLASS].given))
    reported = _reported(params, folder, verdicts[LANDMARK].given)
    done &= ~(landmarks & queue["category"].isin(list(reported)))
    for kind in KINDS:
        unsure = _unsure(queue, kind, verdicts[kind].unsure, annotator, reported)
        done |= (queue["kind"] == kind) & queue["category"].isin(unsure)
    return _items(queue[~done])


def _reported(params: Params, folder: Path, verdicts: pd.DataFrame) -> Mapping[str, Sequence[Report]]:
    """The categories with reports that no settled verdict has answered. verdicts: those on landmarks."""
    reports = load_reports(folder)
    return open_reports(reports, settled(verdicts, params.release.adjudicators)[0]) if reports else {}


def _done(queue: pd.DataFrame, kind: str, verdicts: pd.DataFrame, params: Params, annotator: str) -> set[str]:
    """The rows of one kind that this annotator need not judge. verdicts: all rows on this kind."""
    if verdicts.empty:
        return set()
    suggested = _suggested(queue, kind)
    own = _judged(verdicts[verdicts["annotator"] == annotator], suggested)
    settled_by_all = _judged(verdicts, suggested, params.release.adjudicators)
    judged = own | settled_by_all if annotator else set[str]()
    overlap = 1.0 if kind == CLASS else params.queue.overlap
    shared = {name for name in judged if in_overlap(name, overlap)}
    return (settled_by_all - shared) | (own & shared)


def _unsure(
    queue: pd.DataFrame, kind: str, unsure: pd.DataFrame, annotator: str, reported: Mapping[str, Sequence[Report]]
) -> set[str]:
    """The rows of one kind that this annotator could not tell. reported: the open reports of each category."""
    rows = unsure[unsure["annotator"] == annotator].to_dict("records")
    if not rows:
        return set()
    suggested = _suggested(queue, kind)
    return {
        row["category"]
        for row in rows
        if not is_stale(row, suggested.get(row["category"], ""))
        and all(instant(one.reported_on) <= instant(row["decided_on"]) for one in reported.get(row["category"], ()))
    }


def _suggested(queue: pd.DataFrame, kind: str) -> dict[str, str]:
    rows = queue[queue["kind"] == kind]
    return dict(zip(rows["category"].tolist(), rows["suggested_label"].tolist(), strict=True))


def _settled_by_class(params: Params, verdicts: pd.DataFrame) -> set[str]:
    """The categories that verdicts on classes label, also those that were given after the queue was made."""
    taxonomy = load_taxonomy(Path(params.build.taxonomy))
    classes = read_landmark_classes(params, taxonomy, build_labels(params))
    return set(class_verdicts(params, taxonomy, classes, verdicts).claims["category"])


def items_of(tables: CandidateTables, categories: Sequence[str], kind: str = LANDMARK) -> list[Item]:
    """Items for any categories or classes, with the suggestion and the evidence that the queue would show, in order.

    Raises KeyError for one that is not among the candidates.
    """
    table = tables.of_now()[KINDS.index(kind)].set_index("category", drop=False).loc[list(categories)]
    return _items(table.assign(reason=table["reason"].replace("", "asked for")))


def item_of(tables: CandidateTables, category: str, kind: str = LANDMARK) -> Item:
    """The item for a category or a class: its row of the queue, if it has one, since the others may take longer.

    Raises KeyError for one that is not among the candidates.
    """
    queue = _read_queue(tables.params.data / "queue" / "queue.csv")
    own = queue[(queue["kind"] == kind) & (queue["category"] == category)]
    items = _items(own) or items_of(tables, [category], kind)
    return items[0]


def in_overlap(category: str, fraction: float) -> bool:
    """Whether a category belongs to the fraction that every annotator judges.

    >>> in_overlap("Red Chapel", 0.0), in_overlap("Red Chapel", 1.0)
    (False, True)
    """
    digest = hashlib.sha256(f"overlap {category}".encode()).digest()
    return int.from_bytes(digest[:8]) < fraction * 2**64


def _judged(verdicts: pd.DataFrame, suggested: Mapping[str, str], adjudicators: Collection[str] = ()) -> set[str]:
    """The categories with a settled verdict that is not stale."""
    agreed, _ = settled(verdicts, adjudicators)
    rows = agreed.to_dict("records")
    return {row["category"] for row in rows if not is_stale(row, suggested.get(row["category"], ""))}


def _items(queue: pd.DataFrame) -> list[Item]:
    """Rows of the queue (COLUMNS) as items, without what ItemTexts adds."""
    columns = queue.astype({"images": "str"})[[field.name for field in fields(Item) if field.name in COLUMNS]]
    return [Item(*row) for row in columns.to_numpy().tolist()]


class ItemTexts:
    """Items with the ids of their landmarks and the names of the classes; the tables are read at the first one."""

    def __init__(self, params: Params) -> None:
        self._params = params

    def of(self, item: Item) -> Item:
        """The item with `ids`, or the `name` of the class, and all of `evidence`."""
        evidence = with_class_names(item.evidence, self._names)
        if item.kind == CLASS:
            return replace(item, evidence=evidence, name=self._names.get(item.category, ""))
        return replace(item, evidence=evidence, ids=str(self._ids.get(item.category, "")))

    @cached_property
    def _names(self) -> dict[str, str]:
        return class_names(self._params)

    @cached_property
    def _ids(self) -> "pd.Series[str]":
        return _landmark_ids(self._params)


def _read_queue(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise HgldError(f"no queue {path}; run the stage that makes it: dvc repro queue")
    return read_csv(path, COLUMNS)


def _landmark_ids(params: Params) -> "pd.Series[str]":
    """Category → its landmark ids, each with its split."""
    tables = []
    for split in SPLITS:
        table = landmark_table(params, split)
        tables.append(table["category"].to_frame().assign(text=f"{split} " + table["landmark_id"]))
    ids: pd.Series[str] = pd.concat(tables).groupby("category")["text"].agg(", ".join)
    return ids


def class_names(params: Params) -> dict[str, str]:
    """QID → name of the classes that have one."""
    table = read_stage_table(params.data / "wikidata" / "class_labels.parquet")
    return dict(zip(table["qid"], table["label"], strict=True))


def with_class_names(text: str, names: dict[str, str]) -> str:
    """`text` with every QID preceded by the name of its class.

    >>> with_class_names("Q16970>Q1", {"Q16970": "church building"})
    'church building (Q16970) > Q1'
    """
    text = re.sub(r"(Q\d+)>", r"\1 > ", text)
    return re.sub(r"\bQ\d+\b", lambda qid: f"{names[qid[0]]} ({qid[0]})" if qid[0] in names else qid[0], text)
