"""`hgld assign` on a real SPARQL server: any CSV of landmarks in, GLDv2's columns with evidence out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hgld.foundation.errors import HgldError
from hgld.foundation.tables import read_csv
from hgld.pipeline.commands.assign import COLUMNS, EVIDENCE, assign
from hgld.pipeline.sparql.client import Endpoint
from hgld.pipeline.sparql.oxigraph import serving


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with serving([Path(__file__).parents[1] / "tiny_world.ttl"]) as url:
        yield Endpoint(url, "test", in_flight=2)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_labels_are_in_the_order_of_the_input(tmp_path: Path, endpoint: Endpoint) -> None:
    landmarks = write(
        tmp_path / "in.csv",
        "hierarchical_label,landmark_id,category",
        "x,9,http://commons.wikimedia.org/wiki/Category:Lake_Garda",
        "x,3,Hoover Dam",
        "x,00001e12,Category:Nowhere",
        "x,4,Lake_Garda",
    )
    out = tmp_path / "out.csv"
    assert assign(landmarks, endpoint, out) == f"{out}: 3 of 4 landmarks labelled"
    table = read_csv(out, COLUMNS + EVIDENCE)
    assert list(table["landmark_id"]) == ["9", "3", "00001e12", "4"]
    assert list(table["hierarchical_label"]) == ["lake", "dam", "", "lake"]
    assert table["category"][0] == "http://commons.wikimedia.org/wiki/Category:Lake_Garda"
    assert table["note"][2] == "no item found"
    assert list(table["candidates"]) == ["1", "1", "0", "1"]


NO_PATH = """
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix wd: <http://www.wikidata.org/entity/> .
@prefix wdt: <http://www.wikidata.org/prop/direct/> .
wd:Q1 wdt:P373 "Read" ; wdt:P31 wd:Q900001 , wd:Q900002 , wd:Q900003 .
wd:Q2 wdt:P373 "Closed" ; wdt:P31 wd:Q900001 , wd:Q900004 .
wd:Q3 wdt:P373 "Unsure" ; wdt:P31 wd:Q900002 .
wd:Q4 wdt:P373 "Path" ; wdt:P31 wd:Q900001 , wd:Q900005 .
wd:Q900001 rdfs:label "hydraulic sawmill"@en .
wd:Q900002 rdfs:label "thingummy"@en .
wd:Q900003 rdfs:label "chapel of ease"@en .
wd:Q900004 rdfs:label "shire"@en ; wdt:P279 wd:Q34876 .
wd:Q900005 rdfs:label "loch"@en ; wdt:P279 wd:Q23397 .
wd:Q34876 rdfs:label "province"@en .
"""


def test_class_names_are_read_where_no_path_leads_to_a_label(tmp_path: Path) -> None:
    facts = write(tmp_path / "facts.ttl", NO_PATH)
    names = ["Read", "Closed", "Unsure", "Path"]
    landmarks = write(tmp_path / "in.csv", "landmark_id,category", *(f"{n},{name}" for n, name in enumerate(names)))
    with serving([facts]) as url:
        assign(landmarks, Endpoint(url, "test"), tmp_path / "out.csv")
    table = read_csv(tmp_path / "out.csv", COLUMNS + EVIDENCE)
    assert list(table["hierarchical_label"]) == ["church", "", "", "lake"]
    assert (table["supercategory"][0], table["class"][0], table["path"][0]) == (
        "chapel of ease",
        "Q900003",
        "",
    )
    assert table["natural_or_human_made"][0] == "human-made"
    assert table["note"][0].startswith("no path; read in the name of Q900003: ")
    assert table["note"][1].startswith("no class leads to a label")
    assert (table["path"][3], table["note"][3]) == ("Q900005>Q23397", "")


def test_an_empty_list_gives_an_empty_table(tmp_path: Path, endpoint: Endpoint) -> None:
    out = tmp_path / "out.csv"
    assign(write(tmp_path / "in.csv", "landmark_id,category"), endpoint, out)
    assert len(read_csv(out, COLUMNS + EVIDENCE)) == 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["id,category", "1,x"], r"in\.csv:1: expected the header"),
        (["landmark_id,category", "1,x", "2"], r"in\.csv:3"),
        (
            ["landmark_id,category", "1,Category:", "2,x", "3,Caf%E9"],
            r"(?s)in\.csv:2: no category.*in\.csv:4:.*UTF-8",
        ),
        (
            ["landmark_id,category,x", "", '1,y,"two', 'lines"', "", "2,Category:,z"],
            r"in\.csv:6: no category",
        ),
        (
            ["landmark_id,category", "1,x", "", "1,y"],
            r"in\.csv:4: duplicate landmark_id '1', first on line 2",
        ),
    ],
)
def test_invalid_input_is_an_error_and_writes_nothing(
    tmp_path: Path, endpoint: Endpoint, lines: list[str], message: str
) -> None:
    with pytest.raises(HgldError, match=message):
        assign(write(tmp_path / "in.csv", *lines), endpoint, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_an_unreachable_endpoint_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    landmarks = write(tmp_path / "in.csv", "landmark_id,category", "1,x")
    with pytest.raises(HgldError, match="cannot reach the SPARQL endpoint"):
        assign(landmarks, Endpoint("http://127.0.0.1:9/query", "test", retries=0), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
