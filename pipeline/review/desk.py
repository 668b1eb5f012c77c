"""One annotator's work on a list of items: verdicts, skips, undo, and how far the list is done.

The terminal and the browser are two faces of it. Verdicts are on disk, and read back, before a method returns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from threading import RLock

from hgld.foundation.errors import HgldError, suggest
from hgld.hierarchy.curation.verdict import LANDMARK, Verdict, VerdictError, instant, utc_now
from hgld.hierarchy.curation.verdicts import append_verdict, read_verdict_file, remove_verdict, verdict_file
from hgld.pipeline.review.queue_items import Item

OPEN, JUDGED, SKIPPED = "open", "judged", "skipped"


class UndoError(HgldError):
    """A verdict cannot be taken back; nothing was changed."""


@dataclass(frozen=True)
class Step:
    """Something that can be undone: a verdict, or without one a skip. kind: as in Verdict."""

    kind: str
    category: str
    verdict: Verdict | None


@dataclass(frozen=True)
class Undone:
    """What was taken back, and the position of its item, None if it is not in this list."""

    step: Step
    position: int | None


class Desk:
    """The items of one annotator. Methods may be called from several threads.

    items: what is to be judged, in order. labels: those of the taxonomy. profile: to which the verdicts belong. The
    annotator's earlier verdicts, of this profile, can be undone as well: they are read from the file.

    Raises HgldError for an invalid name of the annotator.
    """

    def __init__(
        self,
        items: Sequence[Item],
        labels: Sequence[str],
        annotator: str,
        folder: Path,
        profile: str,
        now: Callable[[], str] = utc_now,
    ) -> None:
        self.file = verdict_file(folder, annotator)
        self.items, self.labels = list(items), list(labels)
        self.annotator, self.folder, self.profile = annotator, Path(folder), profile
        self._now = now
        self._lock = RLock()
        self._positions = {(item.kind, item.category): position for position, item in enumerate(self.items)}
        self._steps = [Step(verdict.kind, verdict.category, verdict) for verdict in self._earlier()]
        self._before = len(self._steps)
        self._status: dict[int, str] = {}

    def _earlier(self) -> list[Verdict]:
        rows = read_verdict_file(self.file, self.labels).rows
        own = [row for _, row in rows if row.annotator == self.annotator and row.profile == self.profile]
        return sorted(own, key=lambda verdict: instant(verdict.decided_on))

    def find(self, category: str, kind: str = LANDMARK) -> int | None:
        """The position of a landmark or a class, None if it is not in the list."""
        return self._positions.get((kind, category))

    def add(self, item: Item) -> int:
        """The position of an item, which is put at the end unless it is in the list."""
        with self._lock:
            position = self._positions.setdefault((item.kind, item.category), len(self.items))
            if position == len(self.items):
                self.items.append(item)
            return position

    def status(self, position: int) -> str:
        """OPEN, JUDGED or SKIPPED."""
        return self._status.get(position, OPEN)

    def judge(
        self,
        position: int,
        label: str,
        comment: str = "",
        supercategory: str = "",
        rejected_item: str = "",
        answer: str = "",
    ) -> Verdict:
        """Save a verdict; label: one of the taxonomy, or "" for none of them; the others as in Verdict.

        Nothing is saved when this raises VerdictError (an unknown label, a comment that a row cannot hold) or another
        HgldError (a full disk, a file that cannot be read).
        """
        if label and label not in self.labels:
            raise VerdictError(f"there is no label {label!r}{suggest(label, self.labels)}")
        item = self.items[position]
        verdict = Verdict(
            category=item.category,
            hierarchical_label=label,
            suggested_label=item.suggested_label,
            suggested_by=item.suggested_by,
            suggested_score=item.score,
            annotator=self.annotator,
            decided_on="",
            comment=comment.strip(),
            profile=self.profile,
            kind=item.kind,
            supercategory=supercategory,
            rejected_item=rejected_item,
            version=version("hgld"),
            answer=answer,
        )
        with self._lock:
            verdict = replace(verdict, decided_on=self._now())
            append_verdict(self.folder, verdict, self.labels)
            self._steps.append(Step(item.kind, item.category, verdict))
            self._status[position] = JUDGED
        return verdict

    def skip(self, position: int) -> None:
        """Leave an item for later; nothing is saved."""
        with self._lock:
            item = self.items[position]
            self._steps.append(Step(item.kind, item.category, None))
            self._status[position] = SKIPPED

    def undo(self) -> Undone | None:
        """Take back the last verdict or skip; None when there is none.

        Raises UndoError when the row of the verdict is not in the file any more, which then stays as it is.
        """
        with self._lock:
            if not self._steps:
                return None
            step = self._steps[-1]
            removed = step.verdict is None or remove_verdict(self.folder, step.verdict)
            self._steps.pop()
            self._before = min(self._before, len(self._steps))
            position = self._positions.get((step.kind, step.category))
            if position is not None:
                self._status[position] = self._status_after_undo(step)
            if not removed:
                raise UndoError(
                    f"the verdict on {step.category} is no longer in the file {self.file}, which was not changed; "
                    "go on, or undo the one before"
                )
            return Undone(step, position)

    def _status_after_undo(self, undone: Step) -> str:
        """The status that the last of the remaining steps on the same item gives."""
        for step in reversed(self._steps):
            if (step.kind, step.category) == (undone.kind, undone.category):
                return SKIPPED if step.verdict is None else JUDGED
        return OPEN

    def last_verdict(self, position: int) -> Verdict | None:
        """The annotator's newest verdict on an item."""
        item = self.items[position]
        with self._lock:
            own = [step for step in self._steps if (step.kind, step.category) == (item.kind, item.category)]
        verdicts = [step.verdict for step in own if step.verdict]
        return verdicts[-1] if verdicts else None

    @property
    def written(self) -> int:
        """How many verdicts were saved here and not taken back."""
        with self._lock:
            return sum(step.verdict is not None for step in self._steps[self._before :])

    @property
    def can_undo(self) -> int:
        """How many steps can be undone."""
        return len(self._steps)

    def next_open(self, position: int, step: int = 1) -> int | None:
        """The nearest open item after a position, or before it with step=-1; after the last one, the first again."""
        count = len(self.items)
        for offset in range(1, count + 1):
            other = (position + step * offset) % count
            if self.status(other) == OPEN:
                return other
        return None

    def progress(self) -> dict[str, int]:
        """How many items there are, are judged and skipped, and how many images the judged ones have."""
        with self._lock:
            judged = [position for position, status in self._status.items() if status == JUDGED]
            skipped = sum(status == SKIPPED for status in self._status.values())
        images = sum(int(self.items[position].images or 0) for position in judged)
        return {"items": len(self.items), "judged": len(judged), "skipped": skipped, "images": images}
