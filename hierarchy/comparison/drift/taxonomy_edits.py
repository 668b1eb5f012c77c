"""The edits that lead from one taxonomy to another: one per row, or one for all rows that say the same."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from hgld.hierarchy.comparison.drift.causes import TAXONOMY, Edit
from hgld.hierarchy.comparison.drift.facts import LabelFacts
from hgld.hierarchy.taxonomy.taxonomy import Anchor, CutEdge, IgnoredClass, Taxonomy


@dataclass
class TaxonomyEdit:
    """An edit and what it changes: class → its row afterwards, None for none. renamed: the old and the new label."""

    edit: Edit
    anchors: dict[str, Anchor | None] = field(default_factory=dict)
    ignored: dict[str, IgnoredClass | None] = field(default_factory=dict)
    cuts: dict[tuple[str, str], CutEdge | None] = field(default_factory=dict)
    renamed: tuple[str, str] | None = None
    labels: frozenset[str] = frozenset()

    @property
    def classes(self) -> set[str]:
        """The classes whose rows it changes, or whose statements it cuts."""
        return {*self.anchors, *self.ignored, *(child for child, _ in self.cuts)}


def taxonomy_edits(old: LabelFacts, new: LabelFacts) -> list[TaxonomyEdit]:
    """The edits from the taxonomy of `old` to that of `new`, sorted by their keys."""
    edits: dict[tuple[str, ...], TaxonomyEdit] = {}
    before, after = old.taxonomy, new.taxonomy
    renamed = _renamed(before, after)
    for qid in _differing(before.anchors, after.anchors):
        a, b = before.anchors.get(qid), after.anchors.get(qid)
        key, text = _anchor_edit(qid, a, b, renamed)
        if not text:
            continue
        own = _add(edits, key, text, _author(old, new, (qid,)))
        own.anchors[qid] = b
        own.labels |= {row.hierarchical_label for row in (a, b) if row}
        if key[0] == "renamed":
            own.renamed = key[1], key[2]
    for qid in _differing(before.ignored, after.ignored):
        key, text = ("row", qid), _ignored_text(qid, before.ignored.get(qid), after.ignored.get(qid))
        if text:
            own = _add(edits, key, text, _author(old, new, (qid,)))
            own.ignored[qid] = after.ignored.get(qid)
    for cut in sorted(before.cuts.keys() ^ after.cuts.keys()):
        names = " → ".join(f"{_name(qid, old, new)}" for qid in cut)
        text = f"cut edges: {names} {'added' if cut in after.cuts else 'removed'}"
        own = _add(edits, ("cut", *cut), text, _author(old, new, cut))
        own.cuts[cut] = after.cuts.get(cut)
    return [edits[key] for key in sorted(edits)]


def _add(edits: dict[tuple[str, ...], TaxonomyEdit], key: tuple[str, ...], text: str, by: str) -> TaxonomyEdit:
    """The edit of this key, where there is one, with a further text; else a new one."""
    known = edits.get(key)
    if known is None:
        edits[key] = TaxonomyEdit(Edit(TAXONOMY, key, text, by))
    elif text != known.edit.text:
        known.edit = Edit(TAXONOMY, key, f"{known.edit.text}, {text}", by)
    return edits[key]


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _renamed(before: Taxonomy, after: Taxonomy) -> dict[str, str]:
    """Old → new label, where all anchors of a label that is gone stand for one label that is new."""
    gone, come = before.natures.keys() - after.natures.keys(), after.natures.keys() - before.natures.keys()
    targets: dict[str, set[str]] = defaultdict(set)
    for qid, anchor in before.anchors.items():
        if anchor.hierarchical_label in gone:
            row = after.anchors.get(qid)
            targets[anchor.hierarchical_label].add(row.hierarchical_label if row else "")
    return {label: name for label, (name, *more) in targets.items() if not more and name in come}


def _anchor_edit(
    qid: str, a: Anchor | None, b: Anchor | None, renamed: Mapping[str, str]
) -> tuple[tuple[str, ...], str]:
    """The key of an edit, and its text; an empty text for a row that decides as before."""
    row = ("row", qid)
    if a is None or b is None:
        known = a or b
        assert known is not None
        verb = "added to" if a is None else "removed from"
        return row, f"taxonomy: {_class(qid, known.name)} {verb} {_label(known)}"
    if renamed.get(a.hierarchical_label) == b.hierarchical_label:
        key: tuple[str, ...] = ("renamed", a.hierarchical_label, b.hierarchical_label)
        return key, f"taxonomy: {_label(a)} renamed to {_label(b)}"
    if a.hierarchical_label != b.hierarchical_label:
        return row, f"taxonomy: {_class(qid, b.name)} moved from {_label(a)} to {_label(b)}"
    if a.natural_or_human_made != b.natural_or_human_made:
        key = ("nature", a.hierarchical_label, b.natural_or_human_made)
        return key, f"taxonomy: {_label(a)} is {b.natural_or_human_made}, was {a.natural_or_human_made}"
    if a.precedence != b.precedence:
        key = ("precedence", a.hierarchical_label, str(a.precedence), str(b.precedence))
        return key, f"taxonomy: precedence of {_label(a)} {a.precedence} → {b.precedence}"
    return row, ""


def _ignored_text(qid: str, a: IgnoredClass | None, b: IgnoredClass | None) -> str:
    if a is None or b is None:
        known = a or b
        assert known is not None
        return f"ignored classes: {_class(qid, known.name)} {'added' if a is None else 'removed'} ({known.reach})"
    return f"ignored classes: reach of {_class(qid, b.name)} {a.reach} → {b.reach}" if a.reach != b.reach else ""


def _label(anchor: Anchor) -> str:
    return f"“{anchor.hierarchical_label.strip()}”"


def _class(qid: str, name: str) -> str:
    return f"{name} ({qid})"


def _name(qid: str, old: LabelFacts, new: LabelFacts) -> str:
    name = new.names.get(qid) or old.names.get(qid)
    return f"{name} ({qid})" if name else qid


def _author(old: LabelFacts, new: LabelFacts, key: tuple[str, ...]) -> str:
    return new.authors.get(key) or old.authors.get(key, "")
