"""`hgld review`: the queue, one category at a time, in a terminal; each answer is a row on disk before the next."""

import re
import subprocess
import unicodedata
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import click
import pandas as pd

from hgld.foundation.errors import HgldError
from hgld.foundation.settings import Params
from hgld.foundation.tables import read_csv, read_parquet
from hgld.hierarchy.curation.verdicts import VERDICTS, file_of, load_verdicts, settled, stale
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.dataset.landmarks import SPLITS, landmarks
from hgld.pipeline.review.session import QUIT, UNDO, Item, ReviewSession, split_answer
from hgld.pipeline.stages.queue import COLUMNS

KEYS = (
    "Enter or y accept · r runner-up · a label or its beginning · e leave empty · s skip · u undo · "
    "? lists the labels · q quit"
)


def review(params: Params, annotator: str, folder: Path = VERDICTS, limit: int | None = None) -> int:
    """Ask about the items of the queue that nobody has settled yet; returns the number of verdicts written.

    Reads answers from the terminal or from a pipe; the end of input ends the session like q.

    Raises HgldError for a bad annotator name, a missing queue, or a malformed verdict file.
    """
    file_of(folder, annotator)
    labels = list(load_taxonomy(Path(params.build.taxonomy)).natures)
    items = open_items(params, folder, labels)[:limit]
    session = ReviewSession(items, labels, annotator, folder, datetime.now(UTC).date().isoformat())
    if not items:
        click.echo("Nothing to review.")
        return 0
    click.echo(f"{len(items)} to review as {annotator}. {KEYS}\nA '#' begins a comment: y # seen on the spot")
    _ask(session)
    number = len(session.written)
    where = f" in {file_of(folder, annotator)}; commit it and run: dvc repro" if number else ""
    click.echo(f"{number} verdict{'' if number == 1 else 's'}{where}")
    return number


def _ask(session: ReviewSession) -> None:
    """Item after item, until all are judged, the annotator quits or the input ends."""
    while True:
        if session.done:
            question = "All done; Enter ends, u takes back the last verdict"
        else:
            click.echo(
                session.items[session.position].text(f"\n[{session.position + 1}/{len(session.items)}]")
            )
            question = "verdict"
        try:
            text = click.prompt(question, default="", show_default=False)
        except click.Abort:  # end of input, or Ctrl-C
            click.echo()
            return
        word, _ = split_answer(text)
        if word in QUIT or (session.done and word not in UNDO):
            return
        try:
            click.echo(session.answer(text))
        except HgldError as error:  # such as a tab in a comment: said, and asked again
            click.echo(str(error))


def open_items(params: Params, folder: Path, labels: Sequence[str]) -> list[Item]:
    """The queue without what was settled since it was made; a stale verdict settles nothing here."""
    queue = _read_queue(params.data / "queue" / "queue.csv")
    agreed, _ = settled(load_verdicts(folder, labels))
    suggested = dict(zip(queue["category"], queue["suggested_label"], strict=True))
    done = {
        row["category"]
        for row in agreed.to_dict("records")
        if not stale(row, suggested.get(row["category"], ""))
    }
    queue = queue[~queue["category"].isin(done)].reset_index(drop=True)
    ids = _ids(params)
    names = _class_names(params)
    queue["evidence"] = [named(text, names) for text in queue["evidence"]]
    queue["ids"] = queue["category"].map(ids).fillna("")
    shown = queue[[one.name for one in fields(Item)]]
    return [Item(*row) for row in shown.to_numpy().tolist()]


def _read_queue(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise HgldError(f"no queue {path}; run the stage that makes it: dvc repro queue")
    return read_csv(path, COLUMNS)


def _ids(params: Params) -> dict[str, str]:
    """Category → its landmark ids, each with the name of its space."""
    parts = []
    for split in SPLITS:
        table = landmarks(params, split)
        parts.append(table["category"].to_frame().assign(text=f"{split} " + table["landmark_id"]))
    every = pd.concat(parts)
    texts = every.groupby("category")["text"].agg(", ".join)
    return {str(category): text for category, text in texts.items()}


def _class_names(params: Params) -> dict[str, str]:
    table = read_parquet(params.data / "wikidata" / "class_labels.parquet")
    return dict(zip(table["qid"], table["label"], strict=True))


def named(text: str, names: dict[str, str]) -> str:
    """`text` with the name of every class behind its QID.

    >>> named("Q16970>Q1", {"Q16970": "church building"})
    'church building (Q16970) > Q1'
    """
    text = re.sub(r"(Q\d+)>", r"\1 > ", text)
    return re.sub(r"\bQ\d+\b", lambda qid: f"{names[qid[0]]} ({qid[0]})" if qid[0] in names else qid[0], text)


def default_annotator() -> str:
    """The annotator's name from git's user.name: "Ana López" is ana-lopez.

    Raises HgldError when git knows none.
    """
    try:
        done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False)
        name = done.stdout
    except OSError:
        name = ""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not slug:
        raise HgldError("whose verdicts are these? Give --annotator NAME, or set git's user.name")
    return slug
