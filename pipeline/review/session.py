"""A review session without its user interface: the items, the meaning of an answer, the verdicts it writes."""

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hgld.foundation.display.visible import visible
from hgld.foundation.errors import suggest
from hgld.hierarchy.curation.verdicts import Verdict, VerdictError, append_verdict, remove_verdict, utc_now
from hgld.hierarchy.taxonomy.commons_category import category_url

_NO_SUGGESTION = "There is no suggestion to accept: type a label, or e to leave it empty."
_COMMENT = re.compile(r"(?:^|\s)#\s*(?P<comment>.*)$")
_WIDTH = 100
_MIN_LETTERS = 3

ACCEPT = {"", "y", "yes"}
RUNNER_UP = {"r"}
EMPTY = {"e"}
SKIP = {"s", "skip"}
UNDO = {"u", "undo"}
HELP = {"?", "help"}
QUIT = {"q", "quit", "exit"}


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
                _WIDTH,
                initial_indent=f"  {name:<11} ",
                subsequent_indent=" " * 14,
                break_on_hyphens=False,
                break_long_words=False,
            )
            for name, value in values.items()
            if value
        ]
        return "\n".join([f"{heading}  {visible(self.category)}", *lines])


@dataclass
class ReviewSession:
    """The position of an annotator in the queue, and the verdicts of this session (position, verdict)."""

    items: Sequence[Item]
    labels: Sequence[str]
    annotator: str
    folder: Path
    profile: str
    now: Callable[[], str] = utc_now
    position: int = 0
    written: list[tuple[int, Verdict]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether every item has been judged or skipped."""
        return self.position >= len(self.items)

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
            return textwrap.fill(", ".join(label.strip() for label in self.labels), _WIDTH)
        item = self.items[self.position]
        if word in SKIP:
            self.position += 1
            return f"Skipped {visible(item.category)}."
        if word in EMPTY:
            return self._judge(item, "", comment)
        if word in ACCEPT:
            return self._accept(item, item.suggested_label, comment) if item.suggested_label else _NO_SUGGESTION
        if word in RUNNER_UP:
            return self._accept(item, item.runner_up, comment) if item.runner_up else "There is no runner-up."
        label, problem = match_label(word, self.labels)
        return self._judge(item, label, comment) if label else problem

    def _accept(self, item: Item, label: str, comment: str) -> str:
        if label not in self.labels:
            return (
                f"'{visible(label)}' is no label any more: type another one, or update the queue with: dvc repro queue"
            )
        return self._judge(item, label, comment)

    def _judge(self, item: Item, label: str, comment: str) -> str:
        verdict = Verdict(
            category=item.category,
            hierarchical_label=label,
            suggested_label=item.suggested_label,
            suggested_by=item.suggested_by,
            suggested_score=item.score,
            annotator=self.annotator,
            decided_on=self.now(),
            comment=comment,
            profile=self.profile,
        )
        append_verdict(self.folder, verdict, self.labels)
        self.written.append((self.position, verdict))
        self.position += 1
        return visible(f"{item.category}: {label.strip() or 'left empty'}.")

    def _undo(self) -> str:
        if not self.written:
            return "Nothing to undo in this session."
        position, verdict = self.written[-1]
        removed = remove_verdict(self.folder, verdict)
        self.written.pop()
        if not removed:
            return f"The verdict on {visible(verdict.category)} is no longer in the file; the file was not changed."
        self.position = position
        return f"Removed the verdict on {visible(verdict.category)}."


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
