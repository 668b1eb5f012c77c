"""Everything that is asked of an endpoint about a list of categories, in as few round trips as the answers allow.

Three kinds of queries, each with all that is wanted of its keys: categories → items; items → classes, what they are
about, place, size, name; classes → the classes above, names. Items and classes that an answer leads to (a merged
item's target, a category item's topic, a parent class) are asked in the next round, each once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from sys import intern
from typing import Any

from hgld.foundation.errors import HgldError
from hgld.hierarchy.taxonomy.taxonomy import number
from hgld.pipeline.sparql.batching import Question, ask_all
from hgld.pipeline.sparql.client import ENTITY, Endpoint, QueryTimeoutError, entity, literal, qid, select
from hgld.pipeline.sparql.response_cache import Row, answer_path
from hgld.pipeline.wikidata.records import Heard

_FOLDER = Path(__file__).parent
_CANARY = _FOLDER / "canary.rq"

CATEGORIES = Question(
    _FOLDER / "categories.rq",
    {"NAMES": literal, "TITLES": lambda name: literal(f"Category:{name}", "en")},
    lambda name: name,
    r"P373|sitelink( \S+)?",
)
ITEMS = Question(
    _FOLDER / "items.rq",
    {"ITEMS": entity, "DATA": lambda item: f"wdata:{item}"},
    ENTITY.__add__,
    "P31|P301|P971|P17|P625|sitelinks|sameAs|label (en|mul)",
)
CLASSES = Question(
    _FOLDER / "classes.rq", {"CLASSES": entity}, ENTITY.__add__, "P279|sameAs|alias|label (en|mul)"
)
_COUNTED = ("P31", "P279", "P373", "sitelink")


def gather(endpoint: Endpoint, categories: Iterable[str], date: str = "") -> Heard:
    """Ask everything about `categories` (normalised names) and all that their items and classes lead to."""
    found = _categories(ask_all(endpoint, CATEGORIES, list(categories)))
    items = _rounds(endpoint, ITEMS, {row[2] for row in found}, _leads_on)
    used = {row[2] for row in items if row[1] == "P31"}
    classes = _rounds(endpoint, CLASSES, used, _leads_up)
    return Heard(tuple(found), tuple(items), tuple(classes), date)


def canary(endpoint: Endpoint, least: Mapping[Any, int]) -> tuple[dict[str, int], str]:
    """How many statements the endpoint holds per property, and the date of its data ("" where it does not say).

    least: property (P31, P279, P373, sitelink) → how many there must be.

    Raises HgldError when it holds fewer: an endpoint that lacks part of Wikidata answers all the same, with less.
    """
    query = _CANARY.read_text(encoding="utf-8")
    try:
        return _counts(endpoint, _counted(endpoint, query), least)
    except HgldError:
        if endpoint.cache:  # the next run shall ask again, not hear the same
            for one in (query, *branches(query)):
                answer_path(endpoint.cache, endpoint.url, one).unlink(missing_ok=True)
        raise


def _counted(endpoint: Endpoint, query: str) -> list[Row]:
    """The canary's rows; where all its counts at once take too long, one after the other."""
    columns = ("property", "value")
    try:
        return select(endpoint, query, columns)
    except QueryTimeoutError:
        pass
    try:
        return [row for one in branches(query) for row in select(endpoint, one, columns, smallest=True)]
    except QueryTimeoutError as error:
        raise HgldError(
            f"{endpoint.url}: cannot count its statements in time ({error}); raise wikidata.timeout_s in params.yaml, "
            "or use another endpoint"
        ) from None


def branches(query: str) -> list[str]:
    """Each branch of the union that is all of a query, as a query of its own.

    >>> branches("SELECT ?a WHERE {\\n  { one }\\n  UNION\\n  { two }\\n}\\n")
    ['SELECT ?a WHERE {\\n  { one }\\n}\\n', 'SELECT ?a WHERE {\\n  { two }\\n}\\n']
    """
    head, _, body = query.partition("WHERE {\n")
    return [f"{head}WHERE {{\n{one}\n}}\n" for one in body.removesuffix("\n}\n").split("\n  UNION\n")]


def _counts(endpoint: Endpoint, rows: Sequence[Row], least: Mapping[Any, int]) -> tuple[dict[str, int], str]:
    counts = {prop: int(value) for prop, value in rows if prop in _COUNTED and value.isdecimal()}
    if missing := sorted(set(_COUNTED) - set(counts)):
        raise HgldError(
            f"{endpoint.url}: cannot count its statements ({', '.join(missing)}); not to be trusted"
        )
    few = [f"{counts[prop]:,} of {prop}, expected {count:,}" for prop, count in sorted(least.items())
           if counts[prop] < count]  # fmt: skip
    if few:
        raise HgldError(
            f"{endpoint.url}: holds too few statements to be trusted: {'; '.join(few)}; use another endpoint, or, if "
            "this is what it should hold, lower wikidata.canary in params.yaml"
        )
    return counts, max((value for prop, value in rows if prop == "date"), default="")


def _categories(rows: Sequence[Row]) -> list[Row]:
    found = set()
    for name, prop, value in rows:
        kind, _, badge = prop.partition(" ")
        if item := qid(value):
            found.add((name, f"{kind} {qid(badge)}" if badge else kind, item))
    return sorted(found)


def _leads_on(prop: str) -> bool:
    return prop in ("sameAs", "P301", "P971")


def _leads_up(prop: str) -> bool:
    return prop in ("sameAs", "P279")


# properties whose value is an item; an unknown value, a lexeme or a property there is left out
_TO_ITEMS = {"P31", "P279", "P301", "P971", "P17", "sameAs"}


def _rounds(
    endpoint: Endpoint, question: Question, first: set[str], leads: Callable[[str], bool]
) -> list[Row]:
    """The rows about `first` and about all that they lead to; ends on loops, as nothing is asked twice."""
    found: list[Row] = []
    asked: set[str] = set()
    todo = first
    while todo:
        asked |= todo
        further = set()
        for uri, prop, value in ask_all(endpoint, question, sorted(todo, key=number)):
            named = qid(value) if prop in _TO_ITEMS else value
            if not named:
                continue
            # answers are about the keys that were asked, so what follows the prefix is a QID
            found.append(
                (uri.removeprefix(ENTITY), intern(prop), intern(named) if prop in _TO_ITEMS else named)
            )
            if leads(prop):
                further.add(named)
        todo = further - asked
    found.sort()
    return found
