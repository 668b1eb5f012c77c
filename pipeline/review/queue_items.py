"""The items of a review: the open rows of the queue, or any landmarks that were asked for."""

import hashlib
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_csv
from hgld.hierarchy.curation.errata import load_reports, open_reports
from hgld.hierarchy.curation.verdicts import is_stale, load_verdicts, settled
from hgld.hierarchy.fusion.evidence_kinds import proposal_sources
from hgld.hierarchy.taxonomy.commons_category import category_url
from hgld.pipeline.dataset.landmark_search import categories_of
from hgld.pipeline.dataset.landmarks import SPLITS, image_counts, labels_and_proposals, landmark_table
from hgld.pipeline.dataset.schemas import read_stage_table
from hgld.pipeline.stages.queue import COLUMNS, candidates

WIDTH = 100


@dataclass(frozen=True)
class Item:
    """One row of the queue, with the ids of its landmarks."""

    category: str
    suggested_label: str
    suggested_by: str
    score: str
    margin: str
    runner_up: str
    images: str
    reason: str
    evidence: str
    ids: str = ""

    def text(self, heading: str) -> str:
        """The item as shown to the annotator."""
        suggestion = self.suggested_label.strip() or "none"
        if self.suggested_by:
            scores = f", score {self.score}, margin {self.margin}" if self.score else ""
            suggestion += f"   (by {self.suggested_by}{scores})"
        values = {
            "page": category_url(self.category),
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
        return "\n".join([f"{heading}  {visible(self.category)}", *lines])


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which items to review.

    keys: these landmarks (see categories_of), by default the open rows of the queue. focus: only those for which this
    label is suggested or the runner-up. only_conflicts: only those about which annotators disagree. limit: the first
    so many.
    """

    keys: Sequence[str] = ()
    focus: str = ""
    only_conflicts: bool = False
    limit: int | None = None


def chosen_items(
    params: Params, selection: Selection, folder: Path, labels: Sequence[str], annotator: str
) -> list[Item]:
    """The items of a selection, in order. Raises HgldError for unknown landmarks, an unknown label, and no queue."""
    if selection.keys:
        items = items_of(params, categories_of(selection.keys, params), labels)
    else:
        items = open_items(params, folder, labels, annotator)
    if focus := selection.focus.strip().casefold():
        if focus not in _plain(*labels):
            raise HgldError(f"no label {selection.focus!r}{suggest(selection.focus, labels)}")
        items = [item for item in items if focus in _plain(item.suggested_label, item.runner_up)]
    if selection.only_conflicts:
        items = [item for item in items if item.reason == "conflict"]
    return items[: selection.limit]


def _plain(*labels: str) -> set[str]:
    return {label.strip().casefold() for label in labels}


def open_items(params: Params, folder: Path, labels: Sequence[str], annotator: str = "") -> list[Item]:
    """The rows of the queue that this annotator is still to judge.

    Left out is what has a settled verdict that is not stale, and that is newer than every report. Of a fraction of the
    queue (`queue.overlap`), drawn by hash, only the annotator's own verdict counts: everybody judges it, so that their
    agreement can be measured.
    """
    queue = _read_queue(params.data / "queue" / "queue.csv")
    verdicts = load_verdicts(folder, labels, params.verdict_profiles)
    suggested = dict(zip(queue["category"], queue["suggested_label"], strict=True))
    own = _judged(verdicts[verdicts["annotator"] == annotator], suggested)
    shared = {name for name in suggested if in_overlap(name, params.queue.overlap)} if annotator else set[str]()
    done = (_judged(verdicts, suggested) - shared) | (own & shared)
    done -= open_reports(load_reports(folder), settled(verdicts)[0]).keys()
    return _items(queue[~queue["category"].isin(done)], params)


def items_of(params: Params, categories: Sequence[str], labels: Sequence[str]) -> list[Item]:
    """Items for any categories, with the suggestion and the evidence that the queue would show, in order."""
    table = candidates(*labels_and_proposals(params, labels, proposal_sources()), image_counts(params))
    table["reason"] = table["reason"].replace("", "asked for")
    table = table.set_index("category", drop=False).loc[list(categories)]
    return _items(table, params)


def in_overlap(category: str, fraction: float) -> bool:
    """Whether a category belongs to the fraction that every annotator judges.

    >>> in_overlap("Red Chapel", 0.0), in_overlap("Red Chapel", 1.0)
    (False, True)
    """
    digest = hashlib.sha256(f"overlap {category}".encode()).digest()
    return int.from_bytes(digest[:8]) < fraction * 2**64


def _judged(verdicts: pd.DataFrame, suggested: Mapping[str, str]) -> set[str]:
    """The categories with a settled verdict that is not stale."""
    agreed, _ = settled(verdicts)
    rows = agreed.to_dict("records")
    return {row["category"] for row in rows if not is_stale(row, suggested.get(row["category"], ""))}


def _items(queue: pd.DataFrame, params: Params) -> list[Item]:
    """Rows of the queue (COLUMNS) as items, with the names of the classes and the ids of the landmarks."""
    queue = queue.reset_index(drop=True).astype({"images": "str"})
    names = _class_names(params)
    queue["evidence"] = [with_class_names(text, names) for text in queue["evidence"]]
    queue["ids"] = queue["category"].map(_landmark_ids(params)).fillna("")
    columns = queue[[field.name for field in fields(Item)]]
    return [Item(*row) for row in columns.to_numpy().tolist()]


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


def _class_names(params: Params) -> dict[str, str]:
    table = read_stage_table(params.data / "wikidata" / "class_labels.parquet")
    return dict(zip(table["qid"], table["label"], strict=True))


def with_class_names(text: str, names: dict[str, str]) -> str:
    """`text` with every QID preceded by the name of its class.

    >>> with_class_names("Q16970>Q1", {"Q16970": "church building"})
    'church building (Q16970) > Q1'
    """
    text = re.sub(r"(Q\d+)>", r"\1 > ", text)
    return re.sub(r"\bQ\d+\b", lambda qid: f"{names[qid[0]]} ({qid[0]})" if qid[0] in names else qid[0], text)
