"""Fetch all records about a list of categories from an endpoint, in as few round trips as possible.

Three queries, each for all properties of its keys: categories → items; items → classes, topics, place, number of
sitelinks, label; classes → parent classes, labels. Items and classes that an answer refers to (the target of a merged
item, the topic of a category item, a parent class) are queried in the next round, each once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from sys import intern
from typing import Any

from hgld.foundation.errors import HgldError
from hgld.foundation.text_input import whole_number
from hgld.hierarchy.taxonomy.qid import qid_number
from hgld.pipeline.sparql.batching import BatchedQuery, query_all
from hgld.pipeline.sparql.client import Endpoint, select
from hgld.pipeline.sparql.rdf_terms import ENTITY, Row, entity, literal, qid
from hgld.pipeline.sparql.response_cache import response_path
from hgld.pipeline.sparql.results import QueryTimeoutError
from hgld.pipeline.wikidata.records import WikidataRecords

_FOLDER = Path(__file__).parent
_CANARY = _FOLDER / "canary.rq"

CATEGORIES = BatchedQuery(
    _FOLDER / "categories.rq",
    {"NAMES": literal, "TITLES": lambda name: literal(f"Category:{name}", "en")},
    lambda name: name,
    r"P373|sitelink( \S+)?",
)
ITEMS = BatchedQuery(
    _FOLDER / "items.rq",
    {"ITEMS": entity, "DATA": lambda item: f"wdata:{item}"},
    ENTITY.__add__,
    "P31|P301|P971|P17|P625|sitelinks|sameAs|label (en|mul)",
)
CLASSES = BatchedQuery(_FOLDER / "classes.rq", {"CLASSES": entity}, ENTITY.__add__, "P279|sameAs|alias|label (en|mul)")
_COUNTED = ("P31", "P279", "P373", "sitelink")


# Properties that lead to further items, and to further classes, to query.
_TO_MORE_ITEMS = {"sameAs", "P301", "P971"}
_TO_MORE_CLASSES = {"sameAs", "P279"}
# Properties whose values are items; values that are unknown, lexemes or properties are dropped.
_ITEM_VALUED = {"P31", "P279", "P301", "P971", "P17", "sameAs"}


def fetch_records(endpoint: Endpoint, categories: Iterable[str], date: str = "") -> WikidataRecords:
    """Query everything about `categories` (normalised names) and all items and classes that they lead to."""
    links = _category_links(query_all(endpoint, CATEGORIES, list(categories)))
    items = _fetch_transitively(endpoint, ITEMS, {item for _, _, item in links}, _TO_MORE_ITEMS)
    used_classes = {value for _, prop, value in items if prop == "P31"}
    classes = _fetch_transitively(endpoint, CLASSES, used_classes, _TO_MORE_CLASSES)
    return WikidataRecords(tuple(links), tuple(items), tuple(classes), date)


def canary(endpoint: Endpoint, minimum: Mapping[Any, int]) -> tuple[dict[str, int], str]:
    """The endpoint's number of statements per property, and the date of its data ("" if it does not say).

    minimum: property (P31, P279, P373, sitelink) → the least count to accept.

    Raises HgldError for a smaller count: an endpoint that lacks part of Wikidata returns incomplete answers without
    any error.
    """
    query = _CANARY.read_text(encoding="utf-8")
    try:
        return _check_counts(endpoint, _count_rows(endpoint, query), minimum)
    except HgldError:
        if endpoint.cache:  # the next run must query again, not read the rejected counts
            for text in (query, *split_union(query)):
                response_path(endpoint.cache, endpoint.url, text).unlink(missing_ok=True)
        raise


def _count_rows(endpoint: Endpoint, query: str) -> list[Row]:
    """The rows of the canary query; if all counts in one query time out, one count per query."""
    columns = ("property", "value")
    try:
        return select(endpoint, query, columns)
    except QueryTimeoutError:
        pass
    try:
        return [row for text in split_union(query) for row in select(endpoint, text, columns, retry_timeouts=True)]
    except QueryTimeoutError as error:
        raise HgldError(
            f"{endpoint.url}: cannot count its statements in time ({error}); raise wikidata.timeout_s in params.yaml, "
            "or use another endpoint"
        ) from None


def split_union(query: str) -> list[str]:
    """Split a query that is one top-level UNION into one query per branch.

    >>> split_union("SELECT ?a WHERE {\\n  { one }\\n  UNION\\n  { two }\\n}\\n")
    ['SELECT ?a WHERE {\\n  { one }\\n}\\n', 'SELECT ?a WHERE {\\n  { two }\\n}\\n']
    """
    head, _, body = query.partition("WHERE {\n")
    branches = body.removesuffix("\n}\n").split("\n  UNION\n")
    return [f"{head}WHERE {{\n{branch}\n}}\n" for branch in branches]


def _check_counts(endpoint: Endpoint, rows: Sequence[Row], minimum: Mapping[Any, int]) -> tuple[dict[str, int], str]:
    counts = {prop: count for prop, value in rows if prop in _COUNTED and (count := whole_number(value)) is not None}
    if missing := sorted(set(_COUNTED) - set(counts)):
        raise HgldError(
            f"{endpoint.url}: cannot count its statements (no count of {', '.join(missing)}), so it is not trusted; "
            "use another endpoint"
        )
    too_few = [
        f"{counts[prop]:,} of {prop}, expected {count:,}"
        for prop, count in sorted(minimum.items())
        if counts[prop] < count
    ]
    if too_few:
        raise HgldError(
            f"{endpoint.url}: holds too few statements to be trusted: {'; '.join(too_few)}; use another endpoint, or, "
            "if these counts are expected, lower wikidata.canary in params.yaml"
        )
    return counts, max((value for prop, value in rows if prop == "date"), default="")


def _category_links(rows: Sequence[Row]) -> list[Row]:
    """The rows (category, property, item) with IRIs reduced to QIDs, sorted, distinct."""
    links = set()
    for name, prop, value in rows:
        kind, _, badge = prop.partition(" ")
        if item := qid(value):
            links.add((name, f"{kind} {qid(badge)}" if badge else kind, item))
    return sorted(links)


def _fetch_transitively(endpoint: Endpoint, query: BatchedQuery, start: set[str], follow: Collection[str]) -> list[Row]:
    """The rows about `start` and about everything reachable through the properties `follow`, sorted.

    Terminates on cycles: nothing is queried twice.
    """
    rows: list[Row] = []
    queried: set[str] = set()
    todo = start
    while todo:
        queried |= todo
        reached = set()
        for uri, prop, text in query_all(endpoint, query, sorted(todo, key=qid_number)):
            value = intern(qid(text)) if prop in _ITEM_VALUED else text
            if not value:
                continue
            # `query_all` returns rows about the queried keys only, so what follows the prefix is a QID
            rows.append((uri.removeprefix(ENTITY), intern(prop), value))
            if prop in follow:
                reached.add(value)
        todo = reached - queried
    rows.sort()
    return rows
