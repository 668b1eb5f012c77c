"""From the name of a Commons category to the Wikidata items that it may mean; nothing is guessed.

The ways, in the order of trust:

- `sitelink` (confidence high): the item whose page on Commons the category is.
- `category-item`: that item is about the category itself; its main topic (P301) is meant (high), or, where it has
  none, the topics that it combines (P971, low: "churches in Ghent" combines a kind and a place).
- `p373`: items that name the category as theirs. Anybody may have written that on several items, so these are asked
  only where the ways above lead nowhere. Confidence is medium for an item whose English label is the category's
  name, low otherwise; a category item found so is followed as above (P301 medium, P971 low).
- `none`: no item.

All candidates are kept as rows; which of them decides is a rule of hgld.hierarchy.assign. An item that was merged
into another one (owl:sameAs) is replaced by it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from hgld.hierarchy.assign import CONFIDENCES
from hgld.hierarchy.taxonomy import number
from hgld.pipeline.sparql import Endpoint, entity, literal, qid, select_all

CATEGORY_ITEM = "Q4167836"

_PREFIX = "Category:"


@dataclass(frozen=True)
class Match:
    """An item that a category may mean."""

    category: str
    qid: str
    method: str
    confidence: str


@dataclass(frozen=True)
class Resolution:
    """The matches of all categories, sorted by category and QID number; and the classes of the matched items."""

    matches: tuple[Match, ...]
    classes: dict[str, tuple[str, ...]]


def resolve(endpoint: Endpoint, categories: Iterable[str]) -> Resolution:
    """The candidates of every category (normalised names); one with qid "" and method none where there are none."""
    names = sorted(set(categories))
    found = _follow(endpoint, _sitelinks(endpoint, names), "high")
    missing = sorted(set(names) - {match.category for match in found})
    found += _follow(endpoint, _commons_categories(endpoint, missing), "medium")
    moved = _redirects(endpoint, found)
    found = [Match(m.category, moved.get(m.qid, m.qid), m.method, m.confidence) for m in found]
    classes = item_classes(endpoint, {match.qid for match in found})
    none = set(names) - {match.category for match in found}
    matches = [*_best(found), *(Match(name, "", "none", "") for name in none)]
    matches.sort(key=lambda match: (match.category, number(match.qid) if match.qid else 0))
    return Resolution(tuple(matches), {item: tuple(sorted(own, key=number)) for item, own in classes.items()})


def item_classes(endpoint: Endpoint, items: Iterable[str]) -> dict[str, set[str]]:
    """Item → its P31 classes; items without any are absent."""
    classes: dict[str, set[str]] = defaultdict(set)
    for row in select_all(endpoint, "item_classes", [entity(item) for item in items], ("item", "class")):
        if qid(row["class"]):
            classes[qid(row["item"])].add(qid(row["class"]))
    return dict(classes)


def _sitelinks(endpoint: Endpoint, names: list[str]) -> list[Match]:
    titles = [literal(_PREFIX + name, "en") for name in names]
    rows = select_all(endpoint, "sitelinks", titles, ("title", "item"))
    return [Match(row["title"].removeprefix(_PREFIX), qid(row["item"]), "sitelink", "high") for row in rows]


def _commons_categories(endpoint: Endpoint, names: list[str]) -> list[Match]:
    rows = select_all(
        endpoint, "commons_categories", [literal(name) for name in names], ("name", "item", "label")
    )
    return [
        Match(row["name"], qid(row["item"]), "p373", "medium" if row["label"] == row["name"] else "low")
        for row in rows
    ]


def _follow(endpoint: Endpoint, matches: list[Match], trust: str) -> list[Match]:
    """The matches, with those of category items replaced by what these are about.

    trust: the confidence of a main topic.
    """
    matches = [match for match in matches if match.qid]
    classes = item_classes(endpoint, {match.qid for match in matches})
    pages = {item for item, own in classes.items() if CATEGORY_ITEM in own}
    topics: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in select_all(
        endpoint, "topics", [entity(item) for item in pages], ("item", "property", "topic")
    ):
        if qid(row["topic"]):
            topics[qid(row["item"])][row["property"]].append(qid(row["topic"]))
    followed = [match for match in matches if match.qid not in pages]
    for match in matches:
        about = topics.get(match.qid, {})
        main, combined = about.get("P301", []), about.get("P971", [])
        confidence = trust if main else "low"
        followed += [Match(match.category, topic, "category-item", confidence) for topic in main or combined]
    return followed


def _redirects(endpoint: Endpoint, matches: list[Match]) -> dict[str, str]:
    """Merged item → the item it was merged into."""
    items = {match.qid for match in matches}
    rows = select_all(endpoint, "redirects", [entity(item) for item in items], ("item", "target"))
    return {qid(row["item"]): qid(row["target"]) for row in rows if qid(row["target"])}


def _best(matches: list[Match]) -> list[Match]:
    """One match per category and item: the one of the highest confidence."""
    best: dict[tuple[str, str], Match] = {}
    for match in sorted(matches, key=lambda one: (CONFIDENCES.index(one.confidence), one.method)):
        best.setdefault((match.category, match.qid), match)
    return list(best.values())
