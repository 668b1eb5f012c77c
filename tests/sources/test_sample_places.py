"""The sample's places.ttl: countries and coordinates of the items in facts.ttl, as irregular as Wikidata."""

import re

import pytest

from hgld.hierarchy.places.place import Gazetteer
from hgld.pipeline.wikidata.tables import point
from tests.paths import ROOT

FOLDER = ROOT / "sources" / "sample" / "wikidata"
BLOCK = re.compile(r"^wd:(Q\d+) (.*?) \.$", re.MULTILINE | re.DOTALL)


def places() -> dict[str, tuple[list[str], tuple[float, float] | None]]:
    """Item → its countries, and its latitude and longitude."""
    text = (FOLDER / "places.ttl").read_text(encoding="utf-8")
    found = {}
    for qid, block in BLOCK.findall(text):
        literals = re.findall(r'wdt:P625 "(.*?)"\^\^geo:wktLiteral', block)
        assert len(literals) <= 1, qid
        found[qid] = (re.findall(r"wdt:P17 wd:(Q\d+)", block), point(literals[0]) if literals else None)
    assert text.count("wdt:P") == sum(len(countries) + (place is not None) for countries, place in found.values())
    return found


def test_places_are_those_of_the_items_and_sorted() -> None:
    known = set(re.findall(r"^wd:(Q\d+) rdfs:label", (FOLDER / "facts.ttl").read_text(encoding="utf-8"), re.MULTILINE))
    numbers = [int(qid[1:]) for qid in places()]
    assert set(places()) <= known and numbers == sorted(numbers)


def test_every_country_is_in_the_table_and_every_continent_occurs() -> None:
    gazetteer = Gazetteer.load()
    assert [qid for countries, _ in places().values() for qid in gazetteer.unknown(countries)] == []
    found = {gazetteer.place(countries, *(place or ())).continent for countries, place in places().values()}
    assert found >= {"Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America", ""}


def test_gaps_and_borders_of_wikidata_are_present() -> None:
    rows = places().values()
    assert sum(not countries for countries, _ in rows) == 2
    assert sum(place is None for _, place in rows) == 5
    assert sum(len(countries) > 1 for countries, _ in rows) >= 6


@pytest.mark.parametrize(
    ("qid", "country", "continent"),
    [
        ("Q12506", "TR", "Europe"),  # Hagia Sophia, on the European side
        ("Q169460", "TR", "Asia"),  # Miletus
        ("Q38954", "ES", "Africa"),  # Teide, on Tenerife
        ("Q14452", "CL", "Oceania"),  # Easter Island
        ("Q204821", "FR", "Antarctica"),  # Île Saint-Paul
        ("Q4127", "AT|CH|DE", "Europe"),  # Lake Constance
        ("Q1693", "", ""),  # the North Sea
    ],
)
def test_place_of_a_landmark(qid: str, country: str, continent: str) -> None:
    countries, coordinates = places()[qid]
    place = Gazetteer.load().place(countries, *(coordinates or ()))
    assert (place.country, place.continent) == (country, continent)
