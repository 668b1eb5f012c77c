"""Every method from a category to its candidate items, against a real SPARQL server."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.wikidata.entities import (
    Match,
    final_targets,
    read_soft_redirects,
    redirect_chain,
    resolve_categories,
)
from hgld.pipeline.wikidata.queries import fetch_records
from hgld.pipeline.wikidata.records import WikidataRecords


def resolved(endpoint: Endpoint, names: list[str], soft: Mapping[str, str] | None = None) -> tuple[Match, ...]:
    soft = soft or {}
    return resolve_categories(fetch_records(endpoint, [*names, *soft.values()]), names, soft)


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
def test_candidates_of_each_method(endpoint: Endpoint, category: str, matches: list[tuple[str, str, str, str]]) -> None:
    assert resolved(endpoint, [category]) == tuple(Match(category, *match) for match in matches)


def test_soft_redirects_are_followed_only_without_other_candidates(endpoint: Endpoint) -> None:
    soft = {
        "Garda": "Gardasee",
        "Gardasee": "Lake Garda",
        "Old Fort": "Lake Garda",
        "A": "B",
        "B": "A",
        "C": "Ring",
    }
    matches = {match.category: match for match in resolved(endpoint, ["Garda", "Old Fort", "A"], soft)[::-1]}
    via = "category redirect to Gardasee; category redirect to Lake Garda; sitelink"
    assert matches["Garda"] == Match("Garda", "Q6414", "soft-redirect", "high", via)
    assert matches["Old Fort"].method == "p373"
    assert matches["A"].method == "none"
    assert redirect_chain("A", soft) == ["B", "A"]


def test_all_invalid_rows_of_the_soft_redirects_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "soft.csv"
    path.write_text("category,target\nCategory:old_Name,New Name\nold name,New Name\n")
    assert read_soft_redirects(path) == {"Old Name": "New Name", "Old name": "New Name"}
    path.write_text("category,target\nA,B\nA,C\nD,Category:\n")
    with pytest.raises(HgldError, match=r"(?s)soft\.csv:3: 'A' redirects to 'B' above.*soft\.csv:4: no category"):
        read_soft_redirects(path)


@pytest.mark.parametrize(
    ("badge", "confidence"),
    [("", "high"), (" Q17437796", "high"), (" Q70893996", "medium"), (" Q70894304", "medium")],
)
def test_only_redirect_badges_lower_the_confidence(badge: str, confidence: str) -> None:
    """Q17437796 is the badge of a featured article."""
    records = WikidataRecords((("A", f"sitelink{badge}", "Q1"),), (), ())
    assert [match.confidence for match in resolve_categories(records, ["A"], {})] == [confidence]


def test_mergers_are_followed_over_branches_and_cycles() -> None:
    targets = {"Q1": ("Q2", "Q3"), "Q2": ("Q4",), "Q4": ("Q2",), "Q5": ("Q10", "Q9")}
    assert final_targets("Q1", targets) == ("Q3",)
    assert final_targets("Q4", targets) == ("Q2",)
    assert final_targets("Q5", targets) == ("Q9", "Q10")


def test_order_and_repetition_of_categories_do_not_matter(endpoint: Endpoint) -> None:
    names = ["Old Fort", "Lake Garda", "Nowhere", "Hoover Dam", "Empty"]
    assert resolved(endpoint, names) == resolved(endpoint, [*reversed(names), "Empty"])


def test_no_category_sends_no_query() -> None:
    """Nothing listens on port 9."""
    assert resolved(Endpoint("http://127.0.0.1:9/", "test"), []) == ()
