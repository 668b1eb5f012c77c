"""countries.csv and continent_parts.csv: true, complete, plausible on the map; and what is wrong with a broken file."""

import csv
import gzip
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.places.continent_parts import continent_part_problems, load_continent_parts
from hgld.hierarchy.places.countries import CONTINENTS, country_names, country_problems, load_countries
from hgld.hierarchy.places.place import Gazetteer
from tests.paths import SHARED

# The capital of each country or territory, or its main place, to a tenth of a degree, and the continent that GeoNames
# counts it to (https://www.geonames.org, CC BY 4.0).
CAPITALS = Path(__file__).with_name("capitals.csv")
# Continents that are a matter of convention, where countries.csv does not follow GeoNames.
OTHER_CONVENTION = {"CX": "Asia", "CY": "Asia", "TL": "Asia"}
# south, west, north, east; east below west where the box crosses the 180th meridian
BOXES = {
    "Africa": (-42, -26, 38, 64),
    "Antarctica": (-90, -180, -45, 180),
    "Asia": (-13, 25, 82, -168),
    "Europe": (34, -32, 82, 70),
    "North America": (7, -180, 84, -10),
    "Oceania": (-56, 112, 29, -104),
    "South America": (-57, -93, 14, -32),
}
# The English labels of a subset of Wikidata of 2021, where we use another name.
OTHER_NAMES = {
    "China": "People's Republic of China",
    "Northern Cyprus": "Turkish Republic of Northern Cyprus",
    "Palestine": "State of Palestine",
    "Saint Martin": "Saint Martin (French part)",
    "Timor-Leste": "East Timor",
    "United States": "United States of America",
}
GAZETTEER = Gazetteer.load()
HEADER = "qid,name,code,kind,continent,comment\n"


@cache
def capitals() -> list[dict[str, str]]:
    with CAPITALS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def in_box(continent: str, latitude: float, longitude: float) -> bool:
    south, west, north, east = BOXES[continent]
    across = longitude >= west or longitude <= east if east < west else west <= longitude <= east
    return south <= latitude <= north and across


def test_every_entry_of_iso_3166_has_one_country() -> None:
    countries = load_countries().values()
    codes = Counter(country.code for country in countries if country.kind == "country")
    assert set(codes.values()) == {1} and len(codes) == 250
    assert set(codes) == {row["code"] for row in capitals()}
    assert {country.continents for country in countries if country.kind != "historic"} == {(c,) for c in CONTINENTS}


def test_items_are_those_that_bear_the_name_in_wikidata() -> None:
    if not (SHARED / "wikidata").is_dir():
        pytest.skip("the subset of Wikidata (../shared/data/wikidata) is not beside this checkout")
    with gzip.open(SHARED / "wikidata" / "labels_en.tsv.gz", "rt", encoding="utf-8") as lines:
        labels = {tuple(line.rstrip("\n").split("\t")) for line in lines}
    countries = load_countries().values()
    known = {qid for qid, *_ in labels}
    unchecked = {country.name for country in countries if country.qid not in known}
    wrong = {
        country.name
        for country in countries
        if country.qid in known and (country.qid, OTHER_NAMES.get(country.name, country.name)) not in labels
    }
    assert wrong == set()
    assert unchecked == {"Svalbard and Jan Mayen", "Somaliland"}  # not in the subset
    assert all((qid, name) in labels for name, qid in CONTINENTS.items())


@pytest.mark.parametrize("capital", capitals(), ids=lambda row: row["code"])
def test_capital_is_on_the_continent_of_its_country(capital: dict[str, str]) -> None:
    gazetteer, code = GAZETTEER, capital["code"]
    [country] = [c for c in gazetteer.countries.values() if c.code == code and c.kind == "country"]
    latitude, longitude = float(capital["latitude"]), float(capital["longitude"])
    place = gazetteer.place([country.qid], latitude, longitude)
    assert (place.country, (place.continent,)) == (code, country.continents)
    assert in_box(place.continent, latitude, longitude)
    expected = OTHER_CONVENTION.get(code, capital["continent"])
    assert place.continent == expected


def test_parts_are_on_another_continent_than_the_rest_and_near_it() -> None:
    countries = {c.code: c for c in load_countries().values() if c.kind == "country"}
    for code, parts in load_continent_parts(countries).items():
        for part in parts:
            assert (part.continent,) != countries[code].continents
            assert any(in_box(part.continent, *corner) for corner in part.area), (code, part)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("142,France,FR,country,Europe,\n", "countries.csv:2: '142' is not a QID"),
        ("Q142,,FR,country,Europe,\n", "no name"),
        ("Q142,France,fr,country,Europe,\n", "code 'fr'; expected the two capital letters"),
        ("Q142,France,FR,contry,Europe,\n", "did you mean 'country'"),
        ("Q142,France,FR,country,Eurasia,\n", "unknown continent 'Eurasia'"),
        ("Q142,France,FR,country,Asia|Europe,\n", "expected one, or for a historic state several"),
        ("Q15180,Soviet Union,,historic,Europe|Asia,\n", "sorted, each once"),
        ("Q15180,Soviet Union,SU,historic,Asia|Europe,\n", "a row of the kind historic has none"),
        ("Q21,England,GB,same,Europe,\n", "code GB has no row of the kind country"),
        ("Q142,France,FR,country,Europe,\nQ183,Germany,FR,country,Europe,\n", ":3: code FR is on line 2 too"),
        ("Q142,France,FR,country,Europe,\nQ142,Gaul,,historic,Europe,\n", "Q142 is France above"),
        ("Q183,Germany,DE,country,Europe,\nQ142,France,FR,country,Europe,\n", "out of order: it belongs"),
        ("Q142,France,FR,country\n", "4 values for 6 columns"),
    ],
)
def test_invalid_countries_are_named(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "countries.csv").write_text(HEADER + rows, encoding="utf-8")
    assert any(message in problem for problem in country_problems(tmp_path)), country_problems(tmp_path)
    with pytest.raises(HgldError):
        load_countries(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("XX,Asia,0 0; 0 1; 1 1,", "continent_parts.csv:2: unknown code 'XX'"),
        ("RU,Azia,0 0; 0 1; 1 1,", "unknown continent 'Azia'; did you mean 'Asia'?"),
        ("RU,Asia,0 0; 0 1,", "at least three corners"),
        ("RU,Asia,0 0; 0 1; 1,", "at least three corners"),
        ("RU,Asia,0 0; 0 1; 91 1,", "at least three corners"),
        ("RU,Asia,0 0; 0 1; nan 1,", "at least three corners"),
    ],
)
def test_invalid_parts_are_named(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "continent_parts.csv").write_text(f"code,continent,area,comment\n{row}\n", encoding="utf-8")
    codes = country_names(load_countries(CURATED))
    [problem] = continent_part_problems(tmp_path, codes)
    assert message in problem
    with pytest.raises(HgldError):
        load_continent_parts(codes, tmp_path)
