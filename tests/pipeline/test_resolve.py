"""Every way from a category to an item, against a real SPARQL server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hgld.pipeline.oxigraph import serving
from hgld.pipeline.resolve import Match, resolve
from hgld.pipeline.sparql import Endpoint

FACTS = Path(__file__).with_name("facts.ttl")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving([FACTS]) as url:
        yield Endpoint(url, "test", batch=2)


@pytest.mark.parametrize(
    ("category", "matches"),
    [
        ("Lake Garda", [("Q6414", "sitelink", "high")]),
        ("Hoover Dam", [("Q172822", "category-item", "high")]),
        ("Lakes of X", [("Q7", "category-item", "low"), ("Q6414", "category-item", "low")]),
        ("Empty", [("Q8", "p373", "medium")]),
        ("Old Fort", [("Q20", "p373", "medium"), ("Q21", "p373", "low")]),
        ('Église "Z"', [("Q22", "p373", "low"), ("Q23", "p373", "low")]),
        ("Moved", [("Q25", "p373", "low")]),
        ("Bare", [("Q26", "p373", "low")]),
        ("Nowhere", [("", "none", "")]),
        ("lake garda", [("", "none", "")]),
    ],
)
def test_each_way(endpoint: Endpoint, category: str, matches: list[tuple[str, str, str]]) -> None:
    assert resolve(endpoint, [category]).matches == tuple(Match(category, *match) for match in matches)


def test_classes_come_with_the_items_and_unknown_values_do_not(endpoint: Endpoint) -> None:
    classes = resolve(endpoint, ["Hoover Dam", "Bare", "Moved", "Unknown"]).classes
    assert classes == {"Q172822": ("Q570116", "Q1244922", "Q15911738"), "Q25": ("Q16970",)}


def test_order_and_repetition_change_nothing(endpoint: Endpoint) -> None:
    names = ["Old Fort", "Lake Garda", "Nowhere", "Hoover Dam", "Empty"]
    assert resolve(endpoint, names) == resolve(endpoint, [*reversed(names), "Empty"])


def test_no_category_asks_nothing() -> None:
    assert resolve(Endpoint("http://127.0.0.1:9/", "test"), []).matches == ()
