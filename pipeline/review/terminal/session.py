"""What an answer in the terminal means: keys, labels and their first letters, comments."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import suggest
from hgld.hierarchy.curation.verdict import UNSURE, VerdictError
from hgld.pipeline.review.desk import Desk, UndoError
from hgld.pipeline.review.queue_items import WIDTH, Item

_NO_SUGGESTION = "There is no suggestion to accept: type a label, or e to leave it empty."
_COMMENT = re.compile(r"(?:^|\s)#\s*(?P<comment>.*)$")
_MIN_LETTERS = 3

ACCEPT = {"", "y", "yes"}
RUNNER_UP = {"r"}
EMPTY = {"e"}
SKIP = {"s", "skip"}
UNSURE_WORDS = {"n", "unsure"}
UNDO = {"u", "undo"}
HELP = {"?", "help"}
QUIT = {"q", "quit", "exit"}


@dataclass
class ReviewSession:
    """An annotator's desk, and the position of the terminal in it."""

    desk: Desk
    position: int = 0

    @property
    def done(self) -> bool:
        """Whether the last item has been judged or skipped."""
        return self.position >= len(self.desk.items)

    def answer(self, text: str) -> str:
        """Act on one line of input; returns the reply. An invalid line changes nothing.

        Raises HgldError when a verdict could not be saved.
        """
        try:
            return self._act(text)
        except VerdictError as error:  # such as a tab in the comment: the same item is shown again
            return str(error)

    def _act(self, text: str) -> str:
        word, comment = split_answer(text)
        if word in UNDO:
            return self._undo()
        if word in HELP:
            return textwrap.fill(", ".join(label.strip() for label in self.desk.labels), WIDTH)
        item = self.desk.items[self.position]
        if word in SKIP:
            self.desk.skip(self.position)
            self.position += 1
            return f"Skipped {visible(item.title)}."
        if word in EMPTY:
            return self._judge(item, "", comment)
        if word in UNSURE_WORDS:
            return self._judge(item, "", comment, UNSURE)
        if word in ACCEPT:
            return self._accept(item, item.suggested_label, comment) if item.suggested_label else _NO_SUGGESTION
        if word in RUNNER_UP:
            return self._accept(item, item.runner_up, comment) if item.runner_up else "There is no runner-up."
        label, problem = match_label(word, self.desk.labels)
        return self._judge(item, label, comment) if label else problem

    def _accept(self, item: Item, label: str, comment: str) -> str:
        if label not in self.desk.labels:
            return (
                f"'{visible(label)}' is no label any more: type another one, or update the queue with: dvc repro queue"
            )
        return self._judge(item, label, comment)

    def _judge(self, item: Item, label: str, comment: str, answer: str = "") -> str:
        self.desk.judge(self.position, label, comment, answer=answer)
        self.position += 1
        return visible(f"{item.title}: {answer or label.strip() or 'left empty'}.")

    def _undo(self) -> str:
        try:
            undone = self.desk.undo()
        except UndoError as error:
            return str(error)
        if undone is None:
            return "Nothing to undo."
        if undone.position is not None:
            self.position = undone.position
        what = "skip" if undone.step.verdict is None else "verdict"
        return f"Removed the {what} on {visible(undone.step.category)}."


def split_answer(text: str) -> tuple[str, str]:
    """The answer in lower case, and the comment after it.

    >>> split_answer("Castle # seen on the spot")
    ('castle', 'seen on the spot')
    """
    match = _COMMENT.search(text)
    if not match:
        return text.strip().casefold(), ""
    return text[: match.start()].strip().casefold(), match["comment"].strip()


def match_label(word: str, labels: Sequence[str]) -> tuple[str, str]:
    """(label, "") for the label that `word` stands for, or ("", message) for none.

    A label stands for itself, and so does a prefix of at least three letters of exactly one label; case is ignored. A
    similar label is only suggested, as a verdict must not be guessed.

    >>> match_label("lightho", ["house", "lighthouse"])
    ('lighthouse', '')
    >>> match_label("ca", ["castle / fort", "cave"])
    ('', "There is no label 'ca'; did you mean castle / fort, cave?")
    """
    key = word.casefold()
    by_name = {label.strip().casefold(): label for label in labels}
    prefixed = [name for name in by_name if name.startswith(key)]
    if key in by_name:
        return by_name[key], ""
    if len(prefixed) == 1 and len(key) >= _MIN_LETTERS:
        return by_name[prefixed[0]], ""
    similar = prefixed or [name for name in by_name if len(key) >= _MIN_LETTERS and key in name]
    if similar:
        names = ", ".join(by_name[name].strip() for name in similar)
        return "", f"There is no label '{visible(word)}'; did you mean {names}?"
    return "", f"There is no label '{visible(word)}'{suggest(key, by_name)}; ? lists them."
