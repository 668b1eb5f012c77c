"""From the name of a Commons category to its candidate Wikidata items; no item is guessed. Pure.

The methods, most trusted first:

- `sitelink` (confidence high): the item whose Commons page is the category. Medium if that page bears a redirect
  badge: the page has been moved since it was linked.
- `category-item`: that item describes the category itself, so its main topic (P301) is the candidate (high) or, without
  one, the topics that it combines (P971, low: "churches in Ghent" combines a kind and a place).
- `p373`: items whose property P373 names the category. Anybody may have added it to several items, so it is used only
  if the methods above give no candidate. Confidence is medium if the item's English label equals the category's name,
  low otherwise; a category item is replaced by its topics as above (P301 medium, P971 low).
- `soft-redirect`: the category's page contains {{Category redirect}}, a template that the software does not follow. If
  the name itself has no candidate, those of the target are used, with their confidence.
- `none`: no item.

Every candidate becomes a row; hierarchy/taxonomy/class_labels.py chooses among them. An item merged into another one
(owl:sameAs, over any number of steps) is replaced by the final target. `via` records the steps.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from hgld.hierarchy.taxonomy.commons_category import CONFIDENCES, normalise
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.pipeline.wikidata.records import CATEGORY_ITEM, WikidataRecords

# "sitelink to redirect" and "intentional sitelink to redirect"
REDIRECT_BADGES = {"Q70893996", "Q70894304"}


@dataclass(frozen=True)
class Match:
    """A candidate item of a category; `via` lists the intermediate steps, "" for none."""

    category: str
    qid: str
    method: str
    confidence: str
    via: str = ""


def resolve_categories(
    records: WikidataRecords, categories: Iterable[str], soft_redirects: Mapping[str, str]
) -> tuple[Match, ...]:
    """The candidates of every category, sorted by category and QID number; without any, a row of method none.

    soft_redirects: category → the category that its page redirects to (normalised names).
    """
    index = _RecordIndex(records)
    matches = []
    for name in sorted(set(categories)):
        candidates = index.candidates(name) or _follow_soft_redirects(name, index, soft_redirects)
        candidates.sort(key=lambda match: qid_number(match.qid))
        matches += candidates or [Match(name, "", "none", "")]
    return tuple(matches)


def final_targets(qid: str, targets: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Follow the redirects of `targets` from `qid` over any number of steps; `qid` itself if it has none.

    A cycle without an exit is represented by its lowest QID number.

    >>> final_targets("Q9", {"Q9": ("Q8",), "Q8": ("Q7",)})
    ('Q7',)
    >>> final_targets("Q2", {"Q2": ("Q3",), "Q3": ("Q2",)})
    ('Q2',)
    """
    if not targets.get(qid):
        return (qid,)
    found = reachable([qid], targets)
    final = [target for target in found if not targets.get(target)]
    return tuple(sorted(final or [min(found, key=qid_number)], key=qid_number))


def reachable(start: Iterable[str], successors: Mapping[str, Iterable[str]]) -> set[str]:
    """`start` and everything that `successors` lead to from there."""
    found = set(start)
    todo = list(found)
    while todo:
        new = [item for item in successors.get(todo.pop(), ()) if item not in found]
        found.update(new)
        todo += new
    return found


def read_soft_redirects(path: Path) -> dict[str, str]:
    """Read the table `category,target` of soft redirects; names are normalised.

    Raises HgldError that lists every invalid name and every category with two targets (file:line).
    """
    table = read_csv(path, ["category", "target"])
    redirects: dict[str, str] = {}
    problems = []
    for line, (category, text) in enumerate(zip(table["category"], table["target"], strict=True), 2):
        try:
            name, target = normalise(category), normalise(text)
            if redirects.setdefault(name, target) != target:
                problems.append(
                    f"{path}:{line}: '{name}' redirects to '{redirects[name]}' above, and to '{target}' here; keep one"
                )
        except HgldError as error:
            problems.append(f"{path}:{line}: {error}")
    if problems:
        raise HgldError(*problems)
    return redirects


def redirect_chain(name: str, soft_redirects: Mapping[str, str]) -> list[str]:
    """The categories that `name` redirects to, step by step; stops where the chain loops.

    >>> redirect_chain("A", {"A": "B", "B": "A"})
    ['B', 'A']
    """
    targets: list[str] = []
    while (name := soft_redirects.get(name, "")) and name not in targets:
        targets.append(name)
    return targets


def _follow_soft_redirects(name: str, index: "_RecordIndex", soft_redirects: Mapping[str, str]) -> list[Match]:
    """The candidates of the first category along the redirect chain that has any."""
    steps: list[str] = []
    for target in redirect_chain(name, soft_redirects):
        steps.append(f"category redirect to {target}")
        if matches := index.candidates(target):
            return [
                replace(m, category=name, method="soft-redirect", via=_join_steps(*steps, m.method, m.via))
                for m in matches
            ]
    return []


def _join_steps(*steps: str) -> str:
    return "; ".join(filter(None, steps))


class _RecordIndex:
    """The records, indexed by category and by item."""

    def __init__(self, records: WikidataRecords) -> None:
        self._links: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for name, prop, item in records.categories:
            self._links[name].append((prop, item))
        self._merged_into: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
        self._topics: defaultdict[tuple[str, str], tuple[str, ...]] = defaultdict(tuple)
        self._labels: dict[str, str] = {}
        self._category_items: set[str] = set()
        for item, prop, value in records.items:
            if prop == "sameAs":
                self._merged_into[item] += (value,)
            elif prop in ("P301", "P971"):
                self._topics[item, prop] += (value,)
            elif prop == "P31" and value == CATEGORY_ITEM:
                self._category_items.add(item)
            elif prop == "label en" or (prop == "label mul" and item not in self._labels):
                self._labels[item] = value

    def candidates(self, name: str) -> list[Match]:
        """The candidates of one category, each QID once with its highest confidence."""
        links = self._links.get(name, [])
        redirects = {item for prop, item in links if prop.partition(" ")[2] in REDIRECT_BADGES}
        linked = sorted({item for prop, item in links if prop.startswith("sitelink")})
        matches = self._follow(self._sitelink_match(name, item, item in redirects) for item in linked)
        if not matches:
            matches = self._follow(self._p373_match(name, item) for prop, item in links if prop == "P373")
        best: dict[str, Match] = {}
        for match in sorted(matches, key=lambda m: (CONFIDENCES.index(m.confidence), m.method, m.via)):
            best.setdefault(match.qid, match)
        return list(best.values())

    def _sitelink_match(self, name: str, item: str, redirect: bool) -> Match:
        if redirect:
            return Match(name, item, "sitelink", "medium", "sitelink to a redirect")
        return Match(name, item, "sitelink", "high")

    def _p373_match(self, name: str, item: str) -> Match:
        same_items = (item, *final_targets(item, self._merged_into))
        same_name = any(self._labels.get(qid, "") == name for qid in same_items)
        return Match(name, item, "p373", "medium" if same_name else "low")

    def _follow(self, matches: Iterable[Match]) -> list[Match]:
        """Replace merged items by their targets, and category items by their topics."""
        followed = []
        for match in chain.from_iterable(map(self._follow_mergers, matches)):
            if match.qid not in self._category_items:
                followed.append(match)
                continue
            # a main topic is as certain as the sitelink to its category item; by way of P373 it is medium
            confidence = "medium" if match.method == "p373" else match.confidence
            topics = self._topics.get((match.qid, "P301"), ())
            if not topics:
                topics, confidence = self._topics.get((match.qid, "P971"), ()), "low"
            via = _join_steps(match.via, f"category item {match.qid}")
            for topic in topics:
                topic_match = Match(match.category, topic, "category-item", confidence, via)
                followed += self._follow_mergers(topic_match)
        return followed

    def _follow_mergers(self, match: Match) -> list[Match]:
        targets = final_targets(match.qid, self._merged_into)
        if targets == (match.qid,):
            return [match]
        via = _join_steps(match.via, f"merged {match.qid}")
        return [replace(match, qid=target, via=via) for target in targets]
