"""A review session without its terminal: what is asked, what an answer means, and what it writes."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hgld.foundation.errors import suggest
from hgld.hierarchy.curation.verdicts import Verdict, append_verdict, remove_verdict
from hgld.hierarchy.taxonomy.commons_category import category_url

_NO_SUGGESTION = "Nothing is suggested here: type a label, or e to leave it empty."
_NOTE = re.compile(r"(?:^|\s)#\s*(?P<comment>.*)$")
_WIDTH = 100
_LEAST_LETTERS = 3

ACCEPT = {"", "y", "yes"}
RUNNER_UP = {"r"}
EMPTY = {"e"}
SKIP = {"s", "skip"}
UNDO = {"u", "undo"}
HELP = {"?", "help"}
QUIT = {"q", "quit", "exit"}


@dataclass(frozen=True)
class Item:
    """One line of the queue, with the ids of its landmarks."""

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
        """What the annotator sees."""
        suggestion = self.suggested_label.strip() or "none"
        if self.suggested_by:
            suggestion += f"   (by {self.suggested_by}{self._numbers()})"
        lines = {
            "page": category_url(self.category),
            "landmarks": self.ids,
            "images": self.images,
            "why here": self.reason,
            "suggestion": suggestion,
            "runner-up": self.runner_up.strip(),
            "evidence": self.evidence,
        }
        rows = [
            textwrap.fill(
                value,
                _WIDTH,
                initial_indent=f"  {name:<11} ",
                subsequent_indent=" " * 14,
                break_on_hyphens=False,
                break_long_words=False,
            )
            for name, value in lines.items()
            if value
        ]
        return "\n".join([f"{heading}  {self.category}", *rows])

    def _numbers(self) -> str:
        return f", score {self.score}, margin {self.margin}" if self.score else ""


@dataclass
class ReviewSession:
    """Where an annotator is in the queue, and what this session has written: the terminal is only its mouth and ear."""

    items: Sequence[Item]
    labels: Sequence[str]
    annotator: str
    folder: Path
    today: str
    position: int = 0
    written: list[tuple[int, Verdict]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether every item was judged or skipped."""
        return self.position >= len(self.items)

    def answer(self, text: str) -> str:
        """Act on one line of input; returns what to say. A line that is not understood changes nothing."""
        word, comment = split_answer(text)
        if word in UNDO:
            return self._undo()
        if word in HELP:
            return textwrap.fill(", ".join(label.strip() for label in self.labels), _WIDTH)
        item = self.items[self.position]
        if word in SKIP:
            self.position += 1
            return f"Skipped {item.category}."
        if word in EMPTY:
            return self._judge(item, "", comment)
        if word in ACCEPT:
            return (
                self._judge(item, item.suggested_label, comment) if item.suggested_label else _NO_SUGGESTION
            )
        if word in RUNNER_UP:
            return self._judge(item, item.runner_up, comment) if item.runner_up else "There is no runner-up."
        label, problem = match_label(word, self.labels)
        return self._judge(item, label, comment) if label else problem

    def _judge(self, item: Item, label: str, comment: str) -> str:
        verdict = Verdict(
            category=item.category,
            hierarchical_label=label,
            suggested_label=item.suggested_label,
            suggested_by=item.suggested_by,
            suggested_score=item.score,
            annotator=self.annotator,
            decided_on=self.today,
            comment=comment,
        )
        append_verdict(self.folder, verdict)
        self.written.append((self.position, verdict))
        self.position += 1
        return f"{item.category}: {label.strip() or 'left empty'}."

    def _undo(self) -> str:
        if not self.written:
            return "Nothing to undo in this session."
        position, verdict = self.written.pop()
        if not remove_verdict(self.folder, verdict):
            return f"The row on {verdict.category} is no longer in the file; it was left as it is."
        self.position = position
        return f"Took back the verdict on {verdict.category}."


def split_answer(text: str) -> tuple[str, str]:
    """The word of a line, in lower case, and the comment behind it.

    >>> split_answer("Castle # seen on the spot")
    ('castle', 'seen on the spot')
    """
    found = _NOTE.search(text)
    comment = found["comment"].strip() if found else ""
    return (text[: found.start()] if found else text).strip().casefold(), comment


def match_label(word: str, labels: Sequence[str]) -> tuple[str, str]:
    """(the label that `word` means, "") or ("", why it means none).

    It means a label that equals it, else the only one that begins with it, given three letters; upper and lower case
    are the same. A likeness is only proposed: a verdict is never guessed.

    >>> match_label("lightho", ["house", "lighthouse"])
    ('lighthouse', '')
    >>> match_label("ca", ["castle / fort", "cave"])
    ('', "'ca' may mean castle / fort, cave.")
    """
    key = word.casefold()
    names = {label.strip().casefold(): label for label in labels}
    begins = [name for name in names if name.startswith(key)]
    if key in names or (len(begins) == 1 and len(key) >= _LEAST_LETTERS):
        return names[key if key in names else begins[0]], ""
    near = begins or [name for name in names if len(key) >= _LEAST_LETTERS and key in name]
    if near:
        return "", f"'{word}' may mean {', '.join(names[name].strip() for name in near)}."
    return "", f"There is no label '{word}'{suggest(key, names)}; ? lists them."
