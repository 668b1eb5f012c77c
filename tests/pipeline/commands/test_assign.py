"""`hgld assign` on a real SPARQL server: any CSV of landmarks in, GLDv2's columns with evidence out."""

import csv
import json
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


# Class of one item → its English name, the ignored class above it, and the label. Above some it is two steps away.
BELOW_IGNORED = {
    "Q900010": ("city of regional significance of Ukraine", "Q13220204", "city"),
    "Q900011": ("atoll of the Maldives", "Q10864048", "island"),
    "Q900012": ("drainage basin", "Q900098", "river"),
    "Q900013": ("cultural center", "Q900098", "museum"),
    "Q900014": ("walled town", "Q34876", "city"),
    "Q900015": ("special city of South Korea", "Q10864048", "city"),
    "Q900017": ("special municipality", "Q10864048", "city"),
    "Q900016": ("municipality of Luxembourg", "Q192611", "city"),
    "Q900020": ("parish of Andorra", "Q10864048", ""),
    "Q900021": ("commune of Ivory Coast", "Q56061", ""),
    "Q900022": ("Massachusetts House of Representatives electoral district", "Q192611", ""),
    "Q900023": ("theater", "Q900098", ""),
    "Q900024": ("province of China", "Q34876", ""),
    "Q900025": ("film award", "Q618779", ""),
    "Q900026": ("thingummy", "Q56061", ""),
    "Q900027": ("quarter of Saint Lucia", "Q10864048", ""),
    "Q900028": ("municipality of East Timor", "Q10864048", ""),
}


def test_an_ignored_area_above_does_not_silence_a_clear_class_name(tmp_path: Path) -> None:
    """Also none of the ignored classes themselves has a label, nor a class without a path beside an unclear one."""
    lines = [NO_PATH, "wd:Q900098 wdt:P279 wd:Q82794 .", "wd:Q900099 rdfs:label 'hydraulic sawmill'@en ."]
    for number, (qid, (name, parent, _)) in enumerate(BELOW_IGNORED.items(), 100):
        lines.append(f'wd:Q{number} wdt:P373 "{qid}" ; wdt:P31 wd:{qid} .')
        lines.append(f'wd:{qid} rdfs:label "{name}"@en ; wdt:P279 wd:{parent} .')
    lines.append('wd:Q50 wdt:P373 "Area" ; wdt:P31 wd:Q34876 .')
    lines.append('wd:Q51 wdt:P373 "Both" ; wdt:P31 wd:Q34876 , wd:Q900010 , wd:Q900001 .')
    lines.append('wd:Q52 wdt:P373 "Beside" ; wdt:P31 wd:Q900026 , wd:Q900003 .')
    expected = {qid: label for qid, (_, _, label) in BELOW_IGNORED.items()} | {"Area": "", "Both": "city", "Beside": ""}
    landmarks = write(tmp_path / "in.csv", "landmark_id,category", *(f"{name},{name}" for name in expected))
    with serving([write(tmp_path / "facts.ttl", *lines)]) as url:
        assign(landmarks, Endpoint(url, "test"), tmp_path / "out.csv")
    table = read_csv(tmp_path / "out.csv", COLUMNS + EVIDENCE).set_index("landmark_id")
    assert table["hierarchical_label"].to_dict() == expected
    city = table.loc["Q900010"]
    assert (city["supercategory"], city["class"], city["path"]) == (BELOW_IGNORED["Q900010"][0], "Q900010", "")
    assert table.loc["Q900026", "note"].endswith(
        "; below administrative territorial entity (Q56061), which never gives a label"
    )
    assert city["note"] == (
        "below second-level administrative country subdivision; read in the name of Q900010: head: city"
    )


# A category as a user may write it → its title, as Wikidata has it.
TITLES = {
    "Category:ნარიყალა": "ნარიყალა",
    "Chicago Hilton &amp; Towers": "Chicago Hilton & Towers",
    "%25TITLES%25": "%TITLES%",
    "Category:%NAMES% \\1 $0": "%NAMES% \\1 $0",
    "50% off": "50% off",
    'The "Old" Mill': 'The "Old" Mill',
    "Bell's \\ 'Corner'": "Bell's \\ 'Corner'",
    "Tail\\": "Tail\\",
    "\\u0041\\n": "\\u0041\\n",
    "Quo vadis? ?key $value": "Quo vadis? ?key $value",
    "A\u0085B\u00adC": "A\u0085B\u00adC",
    "😀 (Σ) $1 `x` ^y": "😀 (Σ) $1 `x` ^y",
}


def test_every_spelling_of_a_title_finds_its_item(tmp_path: Path) -> None:
    """By a sitelink or by P373, alone and in one query with all others, whatever the title does to a query."""
    lines = [*NO_PATH.splitlines()[:4], "@prefix schema: <http://schema.org/> .", "wd:Q23397 rdfs:label 'lake'@en ."]
    for number, title in enumerate(TITLES.values(), 100):
        quoted = json.dumps(title, ensure_ascii=False)
        lines.append(f"wd:Q{number} wdt:P31 wd:Q23397 .")
        if number % 2:
            lines.append(f"wd:Q{number} wdt:P373 {quoted} .")
        else:
            page = f"<https://commons.wikimedia.org/wiki/{number}>"
            lines.append(f"{page} schema:about wd:Q{number} ; schema:isPartOf <https://commons.wikimedia.org/> .")
            lines.append(f'{page} schema:name "Category:{quoted[1:]}@en .')
    rows = [[str(number), text] for number, text in enumerate(TITLES, 100)]
    with (tmp_path / "in.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([["landmark_id", "category"], *rows])
    with serving([write(tmp_path / "facts.ttl", *lines, 'wd:Q1 wdt:P279 wd:Q2 ; wdt:P373 "x" .')]) as url:
        for batch in (1000, 1):
            assign(tmp_path / "in.csv", Endpoint(url, "test", batch=batch), tmp_path / "out.csv")
            table = read_csv(tmp_path / "out.csv", COLUMNS + EVIDENCE)
            assert table["qid"].tolist() == [f"Q{number}" for number, _ in rows]
            assert set(table["hierarchical_label"]) == {"lake"}


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
        (
            ["landmark_id,category", '1,"a', 'b"', "2,A|B", "3,A%2541", f"4,{'x' * 300}"],
            r"(?s)csv:2: 'a\\nb' is not a category.*csv:4: .*'\|' cannot.*csv:5: .*twice.*csv:6: .*300 bytes",
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
