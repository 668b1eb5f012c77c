"""Every way from a category to an item, against a real SPARQL server."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.sparql.oxigraph import serving
from hgld.pipeline.wikidata.entities import Match, ends, read_soft_redirects, resolve, soft_targets
from hgld.pipeline.wikidata.queries import gather
from hgld.pipeline.wikidata.records import Heard

FACTS = Path(__file__).parents[1] / "tiny_world.ttl"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving([FACTS]) as url:
        yield Endpoint(url, "test", batch=2)


def resolved(
    endpoint: Endpoint, names: list[str], soft: Mapping[str, str] | None = None
) -> tuple[Match, ...]:
    soft = soft or {}
    return resolve(gather(endpoint, [*names, *soft.values()]), names, soft)


@pytest.mark.parametrize(
    ("category", "matches"),
    [
        ("Lake Garda", [("Q6414", "sitelink", "high", "")]),
        ("Hoover Dam", [("Q172822", "category-item", "high", "category item Q900")]),
        ("Lakes of X", [("Q7", "category-item", "low", "category item Q901"),
                        ("Q6414", "category-item", "low", "category item Q901")]),
        ("Empty", [("Q8", "p373", "medium", "")]),
        ("Old Fort", [("Q20", "p373", "medium", ""), ("Q21", "p373", "low", "")]),
        ('Église "Z"', [("Q22", "p373", "low", ""), ("Q23", "p373", "low", "")]),
        ("Moved", [("Q25", "p373", "low", "merged Q24")]),
        ("Moved twice", [("Q32", "p373", "medium", "merged Q30")]),
        ("Ring", [("Q34", "p373", "low", "")]),
        ("Old Name", [("Q36", "sitelink", "medium", "sitelink to a redirect")]),
        ("Bare", [("Q26", "p373", "low", "")]),
        ("Nowhere", [("", "none", "", "")]),
        ("lake garda", [("", "none", "", "")]),
    ],
)  # fmt: skip
def test_each_way(endpoint: Endpoint, category: str, matches: list[tuple[str, str, str, str]]) -> None:
    assert resolved(endpoint, [category]) == tuple(Match(category, *match) for match in matches)


def test_a_soft_redirect_is_followed_where_the_name_leads_nowhere_and_said(endpoint: Endpoint) -> None:
    soft = {
        "Garda": "Gardasee",
        "Gardasee": "Lake Garda",
        "Old Fort": "Lake Garda",
        "A": "B",
        "B": "A",
        "C": "Ring",
    }
    found = {match.category: match for match in resolved(endpoint, ["Garda", "Old Fort", "A"], soft)[::-1]}
    via = "category redirect to Gardasee; category redirect to Lake Garda; sitelink"
    assert found["Garda"] == Match("Garda", "Q6414", "soft-redirect", "high", via)
    assert found["Old Fort"].method == "p373"
    assert found["A"].method == "none"
    assert soft_targets("A", soft) == ["B", "A"]


def test_a_table_of_soft_redirects_is_read_whole_or_its_bad_rows_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "soft.csv"
    path.write_text("category,target\nCategory:old_Name,New Name\nold name,New Name\n")
    assert read_soft_redirects(path) == {"Old Name": "New Name"} | {"Old name": "New Name"}
    path.write_text("category,target\nA,B\nA,C\nD,Category:\n")
    with pytest.raises(
        HgldError, match=r"(?s)soft\.csv:3: 'A' redirects to 'B' above.*soft\.csv:4: no category"
    ):
        read_soft_redirects(path)


@pytest.mark.parametrize(
    ("badge", "confidence"),
    [("", "high"), (" Q17437796", "high"), (" Q70893996", "medium"), (" Q70894304", "medium")],
)
def test_only_the_badges_of_redirects_cost_confidence(badge: str, confidence: str) -> None:
    """Q17437796: a featured page."""
    heard = Heard((("A", f"sitelink{badge}", "Q1"),), (), ())
    assert resolve(heard, ["A"], {})[0].confidence == confidence


def test_mergers_end_wherever_they_end() -> None:
    targets = {"Q1": ("Q2", "Q3"), "Q2": ("Q4",), "Q4": ("Q2",), "Q5": ("Q10", "Q9")}
    assert ends("Q1", targets) == ("Q3",)
    assert ends("Q4", targets) == ("Q2",)
    assert ends("Q5", targets) == ("Q9", "Q10")


def test_order_and_repetition_change_nothing(endpoint: Endpoint) -> None:
    names = ["Old Fort", "Lake Garda", "Nowhere", "Hoover Dam", "Empty"]
    assert resolved(endpoint, names) == resolved(endpoint, [*reversed(names), "Empty"])


def test_no_category_asks_nothing() -> None:
    assert resolved(Endpoint("http://127.0.0.1:9/", "test"), []) == ()
