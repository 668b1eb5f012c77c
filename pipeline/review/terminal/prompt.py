"""`hgld review`: the queue in a terminal, one category at a time; each verdict is on disk before the next question."""

import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import click

from hgld.foundation.display.visible import echo, echo_text
from hgld.foundation.errors import HgldError, reason
from hgld.foundation.settings import Params
from hgld.hierarchy.curation.verdicts import REVIEW_FOLDER, verdict_file
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.review.desk import Desk
from hgld.pipeline.review.queue_items import ItemTexts, Selection, chosen_items
from hgld.pipeline.review.terminal.session import QUIT, UNDO, ReviewSession, split_answer

KEYS = (
    "Enter or y: accept · r: runner-up · a label or its first letters · e: leave empty · n: not sure · s: skip · "
    "u: undo · ?: list the labels · q: quit"
)


def review(
    params: Params,
    annotator: str,
    selection: Selection | None = None,
    folder: Path = REVIEW_FOLDER,
) -> int:
    """Review the items of the queue that have no verdict yet, or any landmarks; returns the number of verdicts written.

    selection: which items; by default all of the queue.

    Reads answers from the terminal or a pipe; the end of input ends the session like q.

    Raises HgldError for an invalid annotator name, a missing queue, a malformed verdict file, closed standard input,
    and a verdict that cannot be saved.
    """
    if sys.stdin is None:
        raise HgldError("standard input is closed, so no verdict can be given; run hgld review in a terminal")
    verdict_file(folder, annotator)
    labels = list(load_taxonomy(Path(params.build.taxonomy)).natures)
    items = chosen_items(params, selection or Selection(), folder, labels, annotator)
    session = ReviewSession(Desk(items, labels, annotator, folder, params.profile))
    if not items:
        echo("Nothing to review.")
        return 0
    echo(f"{len(items)} to review as {annotator}. {KEYS}", "Text after # is a comment: y # seen on the spot")
    try:
        _run(session, ItemTexts(params))
    finally:
        count = session.desk.written
        hint = f" in {verdict_file(folder, annotator)}; commit it and run: dvc repro" if count else ""
        echo(f"{count} verdict{'' if count == 1 else 's'}{hint}")
    return count


def _run(session: ReviewSession, texts: ItemTexts) -> None:
    """Show item after item until all are judged, the annotator quits or the input ends."""
    while True:
        if session.done:
            question = "All done. Enter: quit · u: undo the last verdict"
        else:
            heading = f"\n[{session.position + 1}/{len(session.desk.items)}]"
            echo_text(texts.of(session.desk.items[session.position]).text(heading))
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
