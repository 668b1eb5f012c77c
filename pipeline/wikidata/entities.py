"""From the name of a Commons category to the Wikidata items that it may mean; nothing is guessed. Pure.

The ways, in the order of trust:

- `sitelink` (confidence high): the item whose page on Commons the category is. Medium where the page bears the badge of
  a redirect: the link is to a page that has moved on.
- `category-item`: that item is about the category itself; its main topic (P301) is meant (high), or, where it has
  none, the topics that it combines (P971, low: "churches in Ghent" combines a kind and a place).
- `p373`: items that name the category as theirs. Anybody may have written that on several items, so these count only
  where the ways above lead nowhere. Confidence is medium for an item whose English label is the category's name, low
  otherwise; a category item found so is followed as above (P301 medium, P971 low).
- `soft-redirect`: the category's page says {{Category redirect}}, which is text and no redirect of the software: where
  the name itself leads nowhere, that of the target is taken, with the confidence it has there.
- `none`: no item.

All candidates are kept as rows; which of them decides is a rule of taxonomy/class_labels.py. An item that was merged
into another one (owl:sameAs, however many times) is replaced by where that ends. `via` says what was followed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from hgld.hierarchy.taxonomy.commons_category import CONFIDENCES, normalise
from hgld.hierarchy.taxonomy.taxonomy import number
from hgld.pipeline.wikidata.records import CATEGORY_ITEM, Heard

# "sitelink to redirect" and "intentional sitelink to redirect"
REDIRECT_BADGES = {"Q70893996", "Q70894304"}


@dataclass(frozen=True)
class Match:
    """An item that a category may mean; `via` is what was followed from the one to the other, "" for nothing."""

    category: str
    qid: str
    method: str
    confidence: str
    via: str = ""


def resolve(heard: Heard, categories: Iterable[str], soft_redirects: Mapping[str, str]) -> tuple[Match, ...]:
    """The candidates of every category, sorted by category and QID number; qid "" and method none where none are.

    soft_redirects: category → the category that its page points to (normalised names).
    """
    ways = _Ways(heard)
    found = []
    for name in sorted(set(categories)):
        own = ways.matches(name) or _softly(name, ways, soft_redirects)
        own.sort(key=lambda match: number(match.qid))
        found += own or [Match(name, "", "none", "")]
    return tuple(found)


def ends(one: str, targets: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Where the redirects of `targets` lead from `one`, over any number of steps; `one` itself where it has none.

    A loop without a way out stands for its lowest QID number.

    >>> ends("Q9", {"Q9": ("Q8",), "Q8": ("Q7",)}), ends("Q2", {"Q2": ("Q3",), "Q3": ("Q2",)})
    (('Q7',), ('Q2',))
    """
    if not targets.get(one):
        return (one,)
    seen, todo = {one}, [one]
    while todo:
        new = [target for target in targets.get(todo.pop(), ()) if target not in seen]
        seen.update(new)
        todo += new
    final = [item for item in seen if not targets.get(item)]
    return tuple(sorted(final or [min(seen, key=number)], key=number))


def read_soft_redirects(path: Path) -> dict[str, str]:
    """The table `category,target` of soft redirects, normalised.

    Raises HgldError that lists every row with a name that is none, or a category that stands there twice (file:line).
    """
    table = read_csv(path, ["category", "target"])
    found: dict[str, str] = {}
    bad = []
    for line, (category, target) in enumerate(zip(table["category"], table["target"], strict=True), 2):
        try:
            name, goal = normalise(category), normalise(target)
            if found.setdefault(name, goal) != goal:
                bad.append(
                    f"{path}:{line}: '{name}' redirects to '{found[name]}' above, and to '{goal}' here"
                )
        except HgldError as error:
            bad.append(f"{path}:{line}: {error}")
    if bad:
        raise HgldError("\n".join(bad))
    return found


def soft_targets(name: str, soft_redirects: Mapping[str, str]) -> list[str]:
    """The categories that `name` leads to, one after the other; ends where they loop."""
    found: list[str] = []
    while (name := soft_redirects.get(name, "")) and name not in found:
        found.append(name)
    return found


def _softly(name: str, ways: "_Ways", soft_redirects: Mapping[str, str]) -> list[Match]:
    steps = []
    for target in soft_targets(name, soft_redirects):
        steps.append(f"category redirect to {target}")
        if found := ways.matches(target):
            return [replace(match, category=name, method="soft-redirect", via="; ".join(
                [*steps, match.method, *filter(None, [match.via])])) for match in found]  # fmt: skip
    return []


class _Ways:
    """What was heard, by category and by item."""

    def __init__(self, heard: Heard) -> None:
        self._links: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for name, prop, item in heard.categories:
            self._links[name].append((prop, item))
        self._targets: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
        self._topics: defaultdict[tuple[str, str], tuple[str, ...]] = defaultdict(tuple)
        self._labels: dict[str, str] = {}
        self._pages: set[str] = set()
        for item, prop, value in heard.items:
            if prop == "sameAs":
                self._targets[item] += (value,)
            elif prop in ("P301", "P971"):
                self._topics[item, prop] += (value,)
            elif prop == "P31" and value == CATEGORY_ITEM:
                self._pages.add(item)
            elif prop == "label en" or (prop == "label mul" and item not in self._labels):
                self._labels[item] = value

    def matches(self, name: str) -> list[Match]:
        """The candidates of one category, one a QID: the one of the highest confidence."""
        links = self._links.get(name, [])
        redirects = {item for prop, item in links if prop.partition(" ")[2] in REDIRECT_BADGES}
        pages = sorted({item for prop, item in links if prop.startswith("sitelink")})
        found = [match for item in pages for match in self._follow(self._page(name, item, item in redirects))]
        if not found:
            named = [item for prop, item in links if prop == "P373"]
            found = [match for item in named for match in self._follow(self._named(name, item))]
        best: dict[str, Match] = {}
        for match in sorted(found, key=lambda one: (CONFIDENCES.index(one.confidence), one.method, one.via)):
            best.setdefault(match.qid, match)
        return list(best.values())

    def _page(self, name: str, item: str, redirect: bool) -> Match:
        if redirect:
            return Match(name, item, "sitelink", "medium", "sitelink to a redirect")
        return Match(name, item, "sitelink", "high")

    def _named(self, name: str, item: str) -> Match:
        sure = any(self._labels.get(end, "") == name for end in (item, *ends(item, self._targets)))
        return Match(name, item, "p373", "medium" if sure else "low")

    def _follow(self, match: Match) -> list[Match]:
        """`match` after mergers; and if it is a category item, what that is about instead."""
        found = []
        for one in self._merged(match):
            if one.qid not in self._pages:
                found.append(one)
                continue
            main = self._topics.get((one.qid, "P301"), ())
            # a main topic of a page that is surely meant is sure; by way of P373 as sure as such a way can be
            trust = "medium" if one.method == "p373" else one.confidence
            via = "; ".join(filter(None, [one.via, f"category item {one.qid}"]))
            for topic in main or self._topics.get((one.qid, "P971"), ()):
                found += self._merged(
                    Match(one.category, topic, "category-item", trust if main else "low", via)
                )
        return found

    def _merged(self, match: Match) -> list[Match]:
        targets = ends(match.qid, self._targets)
        if targets == (match.qid,):
            return [match]
        via = "; ".join(filter(None, [match.via, f"merged {match.qid}"]))
        return [replace(match, qid=target, via=via) for target in targets]
