"""`hgld review`: the queue in a terminal, one category at a time; each verdict is on disk before the next question."""

import re
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import click
import pandas as pd

from hgld.foundation.display.visible import echo, echo_text
from hgld.foundation.errors import HgldError, reason
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_csv
from hgld.hierarchy.curation.verdicts import REVIEW_FOLDER, is_stale, load_verdicts, settled, verdict_file
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.dataset.landmarks import SPLITS, landmark_table
from hgld.pipeline.dataset.schemas import read_stage_table
from hgld.pipeline.review.session import QUIT, UNDO, Item, ReviewSession, split_answer
from hgld.pipeline.stages.queue import COLUMNS

KEYS = (
    "Enter or y: accept · r: runner-up · a label or its first letters · e: leave empty · s: skip · u: undo · "
    "?: list the labels · q: quit"
)


def review(params: Params, annotator: str, folder: Path = REVIEW_FOLDER, limit: int | None = None) -> int:
    """Review the items of the queue that have no verdict yet; returns the number of verdicts written.

    Reads answers from the terminal or a pipe; the end of input ends the session like q.

    Raises HgldError for an invalid annotator name, a missing queue, a malformed verdict file, closed standard input,
    and a verdict that cannot be saved.
    """
    if sys.stdin is None:
        raise HgldError("standard input is closed, so no verdict can be given; run hgld review in a terminal")
    verdict_file(folder, annotator)
    labels = list(load_taxonomy(Path(params.build.taxonomy)).natures)
    items = open_items(params, folder, labels)[:limit]
    session = ReviewSession(items, labels, annotator, folder, params.profile)
    if not items:
        echo("Nothing to review.")
        return 0
    echo(f"{len(items)} to review as {annotator}. {KEYS}", "Text after # is a comment: y # seen on the spot")
    try:
        _run(session)
    finally:
        count = len(session.written)
        hint = f" in {verdict_file(folder, annotator)}; commit it and run: dvc repro" if count else ""
        echo(f"{count} verdict{'' if count == 1 else 's'}{hint}")
    return count


def _run(session: ReviewSession) -> None:
    """Show item after item until all are judged, the annotator quits or the input ends."""
    while True:
        if session.done:
            question = "All done. Enter: quit · u: undo the last verdict"
        else:
            heading = f"\n[{session.position + 1}/{len(session.items)}]"
            echo_text(session.items[session.position].text(heading))
            question = "verdict"
        try:
            text = click.prompt(question, default="", show_default=False)
        except click.Abort:  # end of input, or Ctrl-C
            echo("")
            return
        except (OSError, UnicodeDecodeError) as error:  # a folder as standard input; an answer that is not UTF-8
            raise HgldError(f"the answers cannot be read: {reason(error)}") from None
        word, _ = split_answer(text)
        if word in QUIT or (session.done and word not in UNDO):
            return
        echo_text(session.answer(text))


def open_items(params: Params, folder: Path, labels: Sequence[str]) -> list[Item]:
    """The rows of the queue that need a verdict: they have none that is settled and not stale."""
    queue = _read_queue(params.data / "queue" / "queue.csv")
    agreed, _ = settled(load_verdicts(folder, labels, params.verdict_profiles))
    suggested = dict(zip(queue["category"], queue["suggested_label"], strict=True))
    done = {
        row["category"] for row in agreed.to_dict("records") if not is_stale(row, suggested.get(row["category"], ""))
    }
    queue = queue[~queue["category"].isin(done)].reset_index(drop=True)
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


def default_annotator() -> str:
    """The annotator's name from git's user.name: "Ana López" becomes ana-lopez.

    Raises HgldError if git has none.
    """
    try:
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False)
        name = done.stdout
    except OSError:
        name = ""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")
    if not slug:
        raise HgldError("no annotator: git has no user.name; give --annotator NAME, or set git's user.name")
    return slug
