"""The cause of a change: the fewest edits that turn the old label into the new one, all else as it was.

First each kind of edit is tried alone. One that is enough is the cause, and is narrowed down to the edits without which
it is not. Where none is enough, all edits are narrowed down in the same way.
"""

from collections.abc import Callable, Sequence

from hgld.hierarchy.comparison.drift.causes import (
    CAUSES,
    GLDV2,
    ITEM,
    PLACE,
    PROPOSAL,
    RULES,
    SEVERAL,
    UNEXPLAINED,
    VERDICT,
    Edit,
    Explanation,
)
from hgld.hierarchy.comparison.drift.worlds import WIKIDATA, Outcome, Worlds
from hgld.hierarchy.comparison.release_diff import Change

# What a change of each kind is a change of: a field of Outcome.
_GOALS = {
    "labelled": "label", "emptied": "label", "moved": "label", "nature": "nature", "supercategory": "supercategory",
    "source": "source",
}  # fmt: skip


class Explainer:
    """Explains the changes between the releases of some worlds; what several landmarks share is derived once."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds
        self._known: dict[tuple[str, ...], Explanation] = {}

    def explain(self, change: Change) -> Explanation:
        """The cause of a change, whose categories are in their normal form."""
        if own := from_gldv2(change):
            return own
        key = (change.kind, change.category, *change.before, *change.after)
        if key not in self._known:
            self._known[key] = self._place(change) if change.kind == "place" else self._label(change)
        return self._known[key]

    def _label(self, change: Change) -> Explanation:
        worlds, category, goal = self._worlds, change.category, _GOALS[change.kind]
        edits = worlds.edits(category, (change.old_label, change.new_label))
        before, after = (getattr(Outcome(*values), goal) for values in (change.before, change.after))

        def gives(some: Sequence[Edit]) -> bool:
            return bool(getattr(worlds.outcome(category, frozenset(some)), goal) == after)

        if gives(()):
            return self._without_edits()
        if not gives(edits) or getattr(worlds.outcome(category, frozenset()), goal) != before:
            return Explanation(UNEXPLAINED, note="the rules of this version of hgld do not give both labels")
        return _narrowed(edits, gives)

    def _without_edits(self) -> Explanation:
        """The old tables give the new label: then other rules gave the old one."""
        old, new = self._worlds.old.made_with, self._worlds.new.made_with
        if old != new:
            return Explanation(RULES, (Edit(RULES, (), f"{old or 'another version'} → {new}"),))
        return Explanation(UNEXPLAINED, note="the rules of this version of hgld do not give the old label")

    def _place(self, change: Change) -> Explanation:
        """A place is that of the item: another item, one that a verdict rejects, or other facts about it."""
        old, new = (facts.places[change.category] for facts in (self._worlds.old, self._worlds.new))
        if old.qid != new.qid:
            edits = [edit for edit in self._worlds.edits(change.category) if edit.cause in (VERDICT, ITEM)]
            wanted = VERDICT if "" in (old.qid, new.qid) and any(edit.cause == VERDICT for edit in edits) else ITEM
            own = tuple(edit for edit in edits if edit.cause == wanted)
            if own:
                return Explanation(wanted, own)
            return Explanation(PLACE, (Edit(PLACE, (), f"item: {old.qid or 'none'} → {new.qid or 'none'}"),))
        parts = []
        if (old.latitude, old.longitude) != (new.latitude, new.longitude):
            parts.append(f"P625: coordinates of {new.qid}")
        if (old.country, old.continent) != (new.country, new.continent):
            parts.append(f"country of {new.qid}: P17, or the list of countries")
        return Explanation(PLACE, tuple(Edit(PLACE, (text,), text, WIKIDATA) for text in parts))


def from_gldv2(change: Change) -> Explanation | None:
    """The explanation of a change that GLDv2's metadata made: a landmark comes, goes, or gets another category."""
    if change.kind in ("added", "removed"):
        verb = "has" if change.kind == "added" else "no longer has"
        text = f"GLDv2 {verb} {change.split} landmark {change.landmark_id}"
    elif change.old_category != change.category:
        what = f"category of {change.split} landmark {change.landmark_id}"
        text = f"GLDv2: {what}: {change.old_category} → {change.category}"
    else:
        return None
    return Explanation(GLDV2, (Edit(GLDV2, (), text, "GLDv2"),))


def _narrowed(edits: Sequence[Edit], gives: Callable[[Sequence[Edit]], bool]) -> Explanation:
    """The cause among edits that give the new label together."""
    by_cause = {cause: [edit for edit in edits if edit.cause == cause] for cause in CAUSES}
    enough = [cause for cause, own in by_cause.items() if own and gives(own)]
    if len(enough) > 1 and PROPOSAL in enough:  # the proposals follow what is edited elsewhere
        enough.remove(PROPOSAL)
    if len(enough) == 1:
        return Explanation(enough[0], tuple(fewest(by_cause[enough[0]], gives)))
    if enough:
        alone = [edit for cause in enough for edit in fewest(by_cause[cause], gives)]
        return Explanation(SEVERAL, tuple(alone), either=True)
    order = list(CAUSES)
    needed = sorted(fewest(edits, gives), key=lambda edit: (order.index(edit.cause), edit))
    return Explanation(SEVERAL, tuple(needed))


def fewest(edits: Sequence[Edit], gives: Callable[[Sequence[Edit]], bool]) -> list[Edit]:
    """A part of `edits`, which give the goal together, of which none can be left out.

    Ever smaller runs of edits are left out (Zeller and Hildebrandt's delta debugging, IEEE TSE 28, 2002), so that one
    edit among n takes about 2 log n trials.

    >>> edits = [Edit("taxonomy", (str(n),)) for n in range(9)]
    >>> [edit.key for edit in fewest(edits, lambda some: {edits[2], edits[7]} <= set(some))]
    [('2',), ('7',)]
    """
    kept, size = list(edits), len(edits)
    while size:
        start, before = 0, len(kept)
        while start < len(kept):
            rest = [*kept[:start], *kept[start + size :]]
            if rest and gives(rest):
                kept = rest
            else:
                start += size
        if size > 1 or len(kept) == before:  # without a later edit, an earlier one may not be needed any more
            size //= 2
    return kept
