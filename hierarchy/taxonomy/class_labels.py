"""The decision: from an item's classes to its label, with the path that shows why. Pure, and free of order.

Two rules, and their ties:

1. A *class* belongs to the nearest anchor above it (fewest P279 edges; the class itself counts as zero). An ignored
   class that closes what is below it competes as an anchor without a label. At the same distance an anchor with a
   label wins, then the lower precedence, then the lower QID number.
2. An *item* hears its more specific classes: one that stands above another of its classes with another label is
   passed over (a historic house museum is no mere museum). Of the rest, the one with the lowest precedence decides,
   then the shortest path, then the lowest QID number. That class, by its English label, is the item's supercategory.

And for a *category* with several candidate items: the most trusted candidates that have a label decide, if they
agree; if they do not, the label stays empty and the note says between what.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import networkx as nx

from hgld.hierarchy.taxonomy.commons_category import CONFIDENCES
from hgld.hierarchy.taxonomy.taxonomy import Anchor, Taxonomy, number

DECIDES, OUTRANKED, TOO_GENERAL = "decides", "outranked", "above another"
NO_LABEL, IGNORED = "no label", "ignored"


@dataclass(frozen=True)
class Route:
    """The way from a class to the class that decides it; `anchor` is None where an ignored class closes the way.

    `above` are those of the classes that items have (as they were given to `routes`) that stand above this one.
    """

    anchor: Anchor | None
    path: tuple[str, ...]
    above: frozenset[str] = frozenset()

    @property
    def steps(self) -> int:
        """Number of P279 edges."""
        return len(self.path) - 1


@dataclass(frozen=True)
class Decision:
    """What an item is; all but `note` are empty when it stays open, and the note says why."""

    deciding_class: str = ""
    supercategory: str = ""
    hierarchical_label: str = ""
    natural_or_human_made: str = ""
    path: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Weighed:
    """A class of an item, its route (None without one), and what became of it: one of the words above."""

    qid: str
    route: Route | None
    outcome: str


@dataclass(frozen=True)
class Candidate:
    """An item that a category may mean, how sure that is (one of CONFIDENCES), and what the item is."""

    qid: str
    method: str
    confidence: str
    decision: Decision


def routes(dag: "nx.DiGraph[str]", taxonomy: Taxonomy, classes: Iterable[str] = ()) -> dict[str, Route]:
    """The route of every class of `dag` (and of `classes`, those that items have) that has one: rule 1.

    dag: acyclic, edges from child to parent. Linear in its size: a class takes the best of its parents' routes.
    """
    found: dict[str, Route] = {}
    classes = set(classes)
    for qid in reversed(list(nx.topological_sort(dag))):
        if route := _route(qid, (found[parent] for parent in dag[qid] if parent in found), taxonomy):
            found[qid] = route
    for qid in classes:
        if qid not in dag and (route := _route(qid, (), taxonomy)):
            found[qid] = route
    for qid in found.keys() & classes & set(dag):
        found[qid] = replace(found[qid], above=frozenset(nx.descendants(dag, qid) & classes))
    return found


def _route(qid: str, above: Iterable[Route], taxonomy: Taxonomy) -> Route | None:
    if taxonomy.skips(qid):
        return None
    if qid in taxonomy.anchors or taxonomy.closes(qid):
        return Route(taxonomy.anchors.get(qid), (qid,))
    best = min(above, key=_nearness, default=None)
    return Route(best.anchor, (qid, *best.path)) if best else None


def _nearness(route: Route) -> tuple[int, bool, int, list[int]]:
    """Rule 1's order; the path from its end, so that the anchor's QID number comes before those on the way."""
    return (
        route.steps,
        route.anchor is None,
        _precedence(route),
        [number(qid) for qid in reversed(route.path)],
    )


def _precedence(route: Route) -> int:
    return route.anchor.precedence if route.anchor else 0


def decide(
    classes: Iterable[str], ways: Mapping[str, Route], taxonomy: Taxonomy, names: Mapping[str, str]
) -> Decision:
    """What an item with these P31 classes is: rule 2.

    ways: `routes`. names: English label of each class, as `spellings` gives it; a class without one is named by its
    QID. The result does not depend on the order of `classes`.
    """
    weighed = weigh(classes, ways, taxonomy)
    chosen = next((one for one in weighed if one.outcome == DECIDES), None)
    if chosen is None:
        return Decision(note=_why_open(weighed, names))
    qid, anchor = chosen.qid, chosen.route.anchor if chosen.route else None
    assert chosen.route is not None and anchor is not None
    return Decision(
        qid, names.get(qid, qid), anchor.hierarchical_label, anchor.natural_or_human_made, chosen.route.path
    )


def weigh(classes: Iterable[str], ways: Mapping[str, Route], taxonomy: Taxonomy) -> tuple[Weighed, ...]:
    """Every class of an item with its route and what became of it, by QID number; at most one decides."""
    told = sorted(set(classes), key=number)
    labelled = {
        qid: ways[qid] for qid in told if not taxonomy.skips(qid) and qid in ways and ways[qid].anchor
    }
    general = {
        above
        for route in labelled.values()
        for above in route.above
        if above in labelled and _label(labelled[above]) != _label(route)
    }
    best = min((_rank(qid, route) for qid, route in labelled.items() if qid not in general), default=None)

    def outcome(qid: str) -> str:
        if taxonomy.skips(qid):
            return IGNORED
        if qid not in labelled:
            return NO_LABEL
        if qid in general:
            return TOO_GENERAL
        return DECIDES if best is not None and number(qid) == best[2] else OUTRANKED

    return tuple(Weighed(qid, ways.get(qid), outcome(qid)) for qid in told)


def _label(route: Route) -> str:
    return route.anchor.hierarchical_label if route.anchor else ""


def _rank(qid: str, route: Route) -> tuple[int, int, int]:
    return _precedence(route), route.steps, number(qid)


def _why_open(weighed: tuple[Weighed, ...], names: Mapping[str, str]) -> str:
    if not weighed:
        return "the item has no class"
    heard = [one.qid for one in weighed if one.outcome != IGNORED]
    if not heard:
        return f"only ignored classes: {_named([one.qid for one in weighed], names)}"
    return f"no class leads to a label: {_named(heard, names)}"


def _named(qids: list[str], names: Mapping[str, str]) -> str:
    return ", ".join(f"{names.get(qid, '?')} ({qid})" for qid in qids)


def settle(candidates: Iterable[Candidate]) -> tuple[Candidate | None, str]:
    """The candidate that a category means, or None; and a note where there was a choice.

    Candidates without a label are passed over when another has one. Of the rest, those of the highest confidence
    decide: when they agree on the label, the one with the lowest QID number stands for them.
    """
    every = sorted(candidates, key=lambda one: (CONFIDENCES.index(one.confidence), number(one.qid)))
    labelled = [one for one in every if one.decision.hierarchical_label]
    if not labelled:
        return (every[0], every[0].decision.note) if every else (None, "no item found")
    trusted = [one for one in labelled if one.confidence == labelled[0].confidence]
    if len({one.decision.hierarchical_label for one in trusted}) > 1:
        claims = ", ".join(f"{one.qid} {one.decision.hierarchical_label.strip()}" for one in trusted)
        return None, f"ambiguous: {claims}"
    if len(every) == 1:
        return trusted[0], ""
    note = f"{len(every)} candidates; {len(trusted)} of confidence '{trusted[0].confidence}' agree"
    return trusted[0], note


def spellings(labels: Mapping[str, str]) -> dict[str, str]:
    """Class → English label, with one spelling for labels that differ only in case: that of the lowest QID number.

    >>> spellings({"Q7": "Catholic cathedral", "Q12": "catholic cathedral"})["Q12"]
    'Catholic cathedral'
    """
    first: dict[str, str] = {}
    for qid in sorted(labels, key=number):
        first.setdefault(labels[qid].casefold(), labels[qid])
    return {qid: first[label.casefold()] for qid, label in labels.items()}
