"""The label that a category would have if only some of the edits between two releases had been made.

The rules are those of the stages, applied to the part of the class graph above the classes of the category: a label
depends on nothing else of the graph, as the classes of a cycle are all above each other.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

from hgld.hierarchy.comparison.drift.causes import (
    CLASS_EDGE,
    CLASS_NAME,
    CLASS_VERDICT,
    ITEM,
    ITEM_CLASS,
    PROPOSAL,
    THRESHOLD,
    VERDICT,
    Edit,
)
from hgld.hierarchy.comparison.drift.facts import Claim, LabelFacts, Match, Proposal
from hgld.hierarchy.comparison.drift.taxonomy_edits import taxonomy_edits
from hgld.hierarchy.fusion.evidence_kinds import BY_CLASS
from hgld.hierarchy.taxonomy.class_graph import class_graph
from hgld.hierarchy.taxonomy.class_labels import Candidate, Decision, anchor_paths, choose_candidate, label_item
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.hierarchy.taxonomy.taxonomy import Anchor, CutEdge, IgnoredClass, Taxonomy

Edits = frozenset[Edit]
WIKIDATA = "Wikidata"


class Outcome(NamedTuple):
    """The label of a category in a world, without surrounding white space, and what decides it; all may be empty."""

    label: str = ""
    nature: str = ""
    supercategory: str = ""
    source: str = ""


class _Reach(NamedTuple):
    """The classes above some classes in either release, and the edits that may change their paths; sorted."""

    classes: tuple[str, ...]
    edits: tuple[Edit, ...]


class Worlds:
    """All worlds between two releases: the older one, with any of the edits that lead to the newer one."""

    def __init__(self, old: LabelFacts, new: LabelFacts) -> None:
        self.old, self.new = old, new
        self._taxonomy = {own.edit: own for own in taxonomy_edits(old, new)}
        self._of_class: dict[str, list[Edit]] = defaultdict(list)
        self._of_label: dict[str, list[Edit]] = defaultdict(list)
        for edit, own in self._taxonomy.items():
            for qid in own.classes:
                self._of_class[qid].append(edit)
            for label in own.labels:
                self._of_label[label.strip()].append(edit)
        self._reaches: dict[frozenset[str], _Reach] = {}
        self._decisions: dict[tuple[frozenset[str], Edits], Decision] = {}
        self._proposed: dict[str, tuple[Proposal | None, Proposal | None]] = {}
        self._precedences = [facts.taxonomy.precedences for facts in (old, new)]
        self._natures = [facts.taxonomy.natures for facts in (old, new)]

    def edits(self, category: str, labels: Collection[str] = ()) -> tuple[Edit, ...]:
        """All edits that may matter for a category; labels: those that it has in the releases."""
        classes = self._known_classes(category)
        edits = {
            *self._own_edits(category),
            *self._class_edits(category),
            *self._reach(classes).edits,
            *(edit for label in labels for edit in self._of_label[label.strip()] if edit.key[0] != "row"),
        }
        old, new = self._proposals(category)
        if old and new and old._replace(label=self._renamed(old.label, frozenset(edits))) == new:
            old = new
        if old != new:
            edits.add(Edit(PROPOSAL, (category,), f"{_proposal_text(old, new)} ({self._why_proposed()})"))
        if self.old.thresholds != self.new.thresholds and (old or new):
            before, after = self.old.thresholds, self.new.thresholds
            text = f"thresholds: score {before.score} → {after.score}, margin {before.margin} → {after.margin}"
            edits.add(Edit(THRESHOLD, (), text))
        return tuple(sorted(edits))

    def outcome(self, category: str, edits: Edits) -> Outcome:
        """The label of a category in the older release with these edits."""
        causes = {(edit.cause, edit.key) for edit in edits}
        chosen = self._chosen(category, edits)
        wikidata = chosen.decision if chosen else Decision()
        verdict = self._verdict(category, edits)
        if verdict is not None:
            label = self._renamed(verdict.label, edits)
            agrees = label == wikidata.hierarchical_label
            name = self._name(verdict.supercategory, edits) if verdict.supercategory else ""
            own = name or (wikidata.supercategory if agrees else "")
            return self._outcome(label, own if label else "", "review", edits)
        if wikidata.hierarchical_label:
            return Outcome(wikidata.hierarchical_label.strip(), wikidata.natural_or_human_made,
                           wikidata.supercategory, "wikidata")  # fmt: skip
        by_class, refuted = self._by_class(chosen.qid if chosen else "", edits)
        if by_class:
            label, qid = by_class
            return self._outcome(label, self._name(qid, edits), BY_CLASS, edits)
        proposal = self._proposals(category)[(PROPOSAL, (category,)) in causes]
        limits = (self.new if (THRESHOLD, ()) in causes else self.old).thresholds
        if proposal and proposal.label and proposal.score >= limits.score and proposal.margin >= limits.margin:
            label = self._renamed(proposal.label, edits)
            if proposal.source != "class" or label not in refuted:
                return self._outcome(label, "", proposal.source, edits)
        return Outcome()

    def _outcome(self, label: str, supercategory: str, source: str, edits: Edits) -> Outcome:
        edited = any(edit in self._taxonomy for edit in edits)
        first, second = self._natures[::-1] if edited else self._natures
        return Outcome(label.strip(), first.get(label) or second.get(label, ""), supercategory, source)

    def _verdict(self, category: str, edits: Edits) -> Claim | None:
        """The settled verdict on a category."""
        edited = any(edit.cause == VERDICT and edit.key == (category,) for edit in edits)
        return (self.new if edited else self.old).verdicts.get(category)

    def _matches(self, category: str, edits: Edits) -> tuple[Match, ...]:
        edited = any(edit.cause == ITEM for edit in edits)
        return (self.new if edited else self.old).matches.get(category, ())

    def _chosen(self, category: str, edits: Edits) -> Candidate | None:
        """The item of the category with its label; one that the verdict rejects is no candidate."""
        verdict = self._verdict(category, edits)
        candidates = [
            Candidate(match.qid, match.method, match.confidence, self._decision(match.qid, edits))
            for match in self._matches(category, edits)
            if verdict is None or match.qid != verdict.rejected
        ]
        return choose_candidate(candidates)[0]

    def _decision(self, item: str, edits: Edits) -> Decision:
        classes = self._item_classes(item, edits)
        reach = self._reach(classes)
        known = {*reach.edits}
        own = frozenset(
            edit for edit in edits if edit in known or (edit.cause == CLASS_NAME and edit.key[0] in classes)
        )
        if (classes, own) not in self._decisions:
            taxonomy = self._local_taxonomy(reach.classes, own)
            statements = [(qid, parent) for qid in reach.classes for parent in self._parents(qid, own)]
            paths = anchor_paths(class_graph(statements, taxonomy).dag, taxonomy, classes)
            names = {qid: self._name(qid, own) for qid in classes}
            self._decisions[classes, own] = label_item(classes, paths, taxonomy, names)
        return self._decisions[classes, own]

    def _item_classes(self, item: str, edits: Edits) -> frozenset[str]:
        if item not in self.old.classes:
            return self.new.classes.get(item, frozenset())
        changed = {edit.key[1] for edit in edits if edit.cause == ITEM_CLASS and edit.key[0] == item}
        return self.old.classes[item] ^ changed

    def _parents(self, qid: str, edits: Edits) -> frozenset[str]:
        """What is above a class; where the older release did not know it, as in the newer one."""
        if qid not in self.old.parents:
            return self.new.parents.get(qid, frozenset())
        changed = {edit.key[1] for edit in edits if edit.cause == CLASS_EDGE and edit.key[0] == qid}
        return self.old.parents[qid] ^ changed

    def _name(self, qid: str, edits: Edits) -> str:
        first, second = self.old, self.new
        if any(edit.cause == CLASS_NAME and edit.key[0] == qid for edit in edits):
            first, second = second, first
        return first.names.get(qid) or second.names.get(qid) or qid

    def _local_taxonomy(self, classes: Iterable[str], edits: Edits) -> Taxonomy:
        """The rows on `classes` of the older taxonomy with the edits."""
        old, members = self.old.taxonomy, set(classes)
        anchors: dict[str, Anchor | None] = {qid: old.anchors.get(qid) for qid in members}
        ignored: dict[str, IgnoredClass | None] = {qid: old.ignored.get(qid) for qid in members}
        cuts: dict[tuple[str, str], CutEdge | None] = dict(old.cuts)
        for edit in edits:
            if own := self._taxonomy.get(edit):
                anchors |= {qid: row for qid, row in own.anchors.items() if qid in members}
                ignored |= {qid: row for qid, row in own.ignored.items() if qid in members}
                cuts |= own.cuts
        return Taxonomy(
            {qid: row for qid, row in anchors.items() if row},
            {qid: row for qid, row in ignored.items() if row},
            {cut: row for cut, row in cuts.items() if row},
        )

    def _by_class(self, item: str, edits: Edits) -> tuple[tuple[str, str] | None, set[str]]:
        """What the verdicts on the classes of an item without a label say: a label with its class; refuted labels."""
        taxonomy = self._local_taxonomy(self._item_classes(item, edits), edits)
        classes = [
            qid for qid in sorted(self._item_classes(item, edits), key=qid_number)
            if qid not in taxonomy.ignored and qid not in taxonomy.anchors
        ]  # fmt: skip
        verdicts = {qid: own for qid in classes if (own := self._class_verdict(qid, edits))}
        refuted = {own.suggested for own in verdicts.values() if not own.label and own.suggested}
        precedences = self._precedences[any(edit in self._taxonomy for edit in edits)]
        labels = [(self._renamed(own.label, edits), qid) for qid, own in verdicts.items() if own.label]
        return min(labels, key=lambda pair: precedences.get(pair[0], 0), default=None), refuted

    def _class_verdict(self, qid: str, edits: Edits) -> Claim | None:
        edited = any(edit.cause == CLASS_VERDICT and edit.key[0] == qid for edit in edits)
        return (self.new if edited else self.old).class_verdicts.get(qid)

    def _renamed(self, label: str, edits: Edits) -> str:
        """The name that a label of the older release has after the edits."""
        names = dict(own.renamed for edit in edits if (own := self._taxonomy.get(edit)) and own.renamed)
        return names.get(label, label)

    def _proposals(self, category: str) -> tuple[Proposal | None, Proposal | None]:
        """The proposals of both releases; a release has none for what Wikidata labels: then that of the other one."""
        if category not in self._proposed:
            every = frozenset({*self._own_edits(category), *self._reach(self._known_classes(category)).edits})
            old, new = self.old.proposals.get(category), self.new.proposals.get(category)
            first, last = self._chosen(category, frozenset()), self._chosen(category, every)
            if old is None and first and first.decision.hierarchical_label:
                old = new
            if new is None and last and last.decision.hierarchical_label:
                new = old
            self._proposed[category] = old, new
        return self._proposed[category]

    def _why_proposed(self) -> str:
        """Why proposals differ, as far as the releases say it."""
        old, new = self.old, self.new
        if old.method != new.method:
            return f"method {old.method} → {new.method}"
        return f"{old.made_with} → {new.made_with}" if old.made_with != new.made_with else "learned from other labels"

    def _known_classes(self, category: str) -> frozenset[str]:
        """All classes of all items of a category, in either release."""
        items = {match.qid for facts in (self.old, self.new) for match in facts.matches.get(category, ())}
        sets = [facts.classes.get(item, frozenset()) for facts in (self.old, self.new) for item in items]
        return frozenset[str]().union(*sets)

    def _own_edits(self, category: str) -> set[Edit]:
        """The edits of its verdict, its items, and their classes."""
        old, new = self.old, self.new
        edits = set[Edit]()
        before, after = old.verdicts.get(category), new.verdicts.get(category)
        if before != after:
            text, by = _verdict_text(before, after, new.disagreements.get(category, ""))
            edits.add(Edit(VERDICT, (category,), text, by))
        matches = old.matches.get(category, ()), new.matches.get(category, ())
        if matches[0] != matches[1]:
            edits.add(Edit(ITEM, (category,), _match_text(*matches), WIKIDATA))
        for item in {match.qid for own in matches for match in own}:
            if item in old.classes and item in new.classes:
                for qid in old.classes[item] ^ new.classes[item]:
                    verb = "is now" if qid in new.classes[item] else "is no longer"
                    text = f"P31: {item} {verb} {self._shown(qid)}"
                    edits.add(Edit(ITEM_CLASS, (item, qid), text, WIKIDATA))
        return edits

    def _class_edits(self, category: str) -> set[Edit]:
        """The edits of verdicts on its classes, and of their names."""
        old, new = self.old, self.new
        edits = set[Edit]()
        named = {own.verdicts[category].supercategory for own in (old, new) if category in own.verdicts} - {""}
        for qid in self._known_classes(category) | named:
            if old.class_verdicts.get(qid) != new.class_verdicts.get(qid):
                text, by = _verdict_text(old.class_verdicts.get(qid), new.class_verdicts.get(qid),
                                         new.disagreements.get(qid, ""))  # fmt: skip
                edits.add(Edit(CLASS_VERDICT, (qid,), f"class {self._shown(qid)}: {text}", by))
            if qid in old.names and qid in new.names and old.names[qid] != new.names[qid]:
                text = f"name of {qid}: {old.names[qid]} → {new.names[qid]}"
                edits.add(Edit(CLASS_NAME, (qid,), text, WIKIDATA))
        return edits

    def _shown(self, qid: str) -> str:
        name = self.new.names.get(qid) or self.old.names.get(qid)
        return f"{name} ({qid})" if name else qid

    def _reach(self, classes: frozenset[str]) -> _Reach:
        if classes not in self._reaches:
            reached, waiting = set[str](), [*classes]
            while waiting:
                if (qid := waiting.pop()) not in reached:
                    reached.add(qid)
                    waiting += {*self.old.parents.get(qid, ()), *self.new.parents.get(qid, ())} - reached
            edits = {edit for qid in reached for edit in self._of_class.get(qid, ())}
            edits |= {edit for qid in reached for edit in self._edge_edits(qid)}
            self._reaches[classes] = _Reach(tuple(sorted(reached, key=qid_number)), tuple(sorted(edits)))
        return self._reaches[classes]

    def _edge_edits(self, qid: str) -> Iterable[Edit]:
        old, new = self.old.parents, self.new.parents
        if qid in old and qid in new:
            for parent in old[qid] ^ new[qid]:
                verb = "is now below" if parent in new[qid] else "is no longer below"
                text = f"P279: {self._shown(qid)} {verb} {self._shown(parent)}"
                yield Edit(CLASS_EDGE, (qid, parent), text, WIKIDATA)


def _verdict_text(old: Claim | None, new: Claim | None, disagreement: str) -> tuple[str, str]:
    """What became of a verdict, and the annotators."""

    def said(claim: Claim) -> str:
        parts = [
            claim.label.strip() or "no label",
            claim.supercategory,
            f"not {claim.rejected}" if claim.rejected else "",
        ]
        return ", ".join(filter(None, parts))

    if new is None:
        assert old is not None
        if disagreement:
            return (
                f"verdict “{said(old)}” does not count any more, as annotators disagree: {disagreement}",
                old.annotator,
            )
        return f"verdict “{said(old)}” withdrawn", old.annotator
    when = f" ({new.decided_on[:10]})" if new.decided_on else ""
    if old is None:
        return f"verdict “{said(new)}” given{when}", new.annotator
    if said(old) == said(new):
        return f"verdict “{said(new)}” given again{when}", new.annotator
    return f"verdict “{said(old)}” → “{said(new)}”{when}", new.annotator


def _match_text(old: tuple[Match, ...], new: tuple[Match, ...]) -> str:
    def shown(matches: tuple[Match, ...]) -> str:
        return ", ".join(f"{match.qid} ({match.method})" for match in matches) or "none"

    return f"item: {shown(old)} → {shown(new)}"


def _proposal_text(old: Proposal | None, new: Proposal | None) -> str:
    def shown(proposal: Proposal | None) -> str:
        if proposal is None:
            return "none"
        return (
            f"{proposal.label.strip() or 'no label'} ({proposal.source} {proposal.score:g}, lead {proposal.margin:g})"
        )

    return f"proposal: {shown(old)} → {shown(new)}"
