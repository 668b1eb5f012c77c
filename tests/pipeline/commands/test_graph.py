"""`hgld graph`: one HTML file that loads nothing and works in a real browser; reproducible GraphML and Parquet."""

import html
import json
import re
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest

from hgld.foundation.files import sha256
from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.commands.graph import graph, render, sunburst
from tests.browser import browser, dom, unreadable
from tests.paths import ROOT

LABELS = pd.DataFrame(
    [
        ("Église A", "Q501", "Q2977", "cathedral", "church", "human-made", "Q2977", ""),
        ("B", "Q502", "Q7", "</script><b>chapel</b> \x01", "church", "human-made", "Q7>Q108325", ""),
        ("C", "Q503", "Q7", "</script><b>chapel</b> \x01", "church", "human-made", "Q7>Q108325", ""),
        ("Dead \u202eaeS", "Q504", "Q39594", "bay", "ocean area ", "natural", "Q39594", ""),
        ("Eiffel Tower", "", "", "", "", "", "", "no class leads to a label: tower (Q12518)"),
        ("Fort", "", "", "", "", "", "", "no item found"),
    ],
    columns=[
        *("category", "qid", "class", "supercategory", "hierarchical_label", "natural_or_human_made", "path", "note")
    ],
    dtype="str",
)
CLASSES = pd.DataFrame(
    [
        ("Q7", "</script><b>chapel</b> \x01", "church", "human-made", "Q7>Q108325"),
        ("Q2977", "cathedral", "church", "human-made", "Q2977"),
        ("Q39594", "bay", "ocean area ", "natural", "Q39594"),
        ("Q99", "", "", "", ""),
        ("Q108325", "chapel", "church", "human-made", "Q108325"),
    ],
    columns=["class", "label", "hierarchical_label", "natural_or_human_made", "path"],
    dtype="str",
)
DAG = pd.DataFrame([("Q7", "Q108325"), ("Q108325", "Q99")], columns=["child", "parent"], dtype="str")


PAGE = "http://commons.wikimedia.org/wiki/Category:"
LANDMARKS = {
    "train": [("17", f"{PAGE}Eiffel_Tower"), ("9", f"{PAGE}B")],
    "index": [("17", f"{PAGE}%C3%89glise_A"), ("5", f"{PAGE}Eiffel_Tower")],
}


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    params = load_params(ROOT / "params.yaml", profile="sample")
    monkeypatch.chdir(tmp_path)
    labels = LABELS.assign(method="sitelink", candidates=1)
    for name, table in (("labels", labels), ("classes", CLASSES), ("dag", DAG)):
        write_parquet(table, params.data / "build" / f"{name}.parquet")
    for split, rows in LANDMARKS.items():
        table = pd.DataFrame(rows, columns=["landmark_id", "category"], dtype="str")
        write_parquet(table, params.data / "metadata" / f"{split}_label_to_category.parquet")
    taxonomy = params.build.model_copy(update={"taxonomy": str(ROOT / "hierarchy/curated")})
    return params.model_copy(update={"build": taxonomy})


def test_the_sunburst_counts_categories_from_the_anchor_down() -> None:
    root = sunburst(LABELS, CLASSES)
    assert root.total == len(LABELS)
    assert {name: node.total for name, node in root.children.items()} == {
        "human-made": 3, "natural": 1, "no label by class": 2,
    }  # fmt: skip
    assert list(root.children["no label by class"].children) == ["no class leads to a label", "no item found"]
    church = root.children["human-made"].children["church"]
    assert {qid: node.total for qid, node in church.children.items()} == {"Q2977": 1, "Q108325": 2}
    assert church.children["Q108325"].own == 0
    assert church.children["Q108325"].children["Q7"].own == 2


def test_the_page_holds_the_data_and_loads_nothing() -> None:
    text = render(sunburst(LABELS, CLASSES), "a <b> title")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert data is not None
    root = json.loads(data[1])
    assert root["c"] == 6
    assert root["k"][0]["k"][0]["k"][0]["k"][0]["n"] == r"</script><b>chapel</b> \x01"
    assert r'"Dead \\u202eaeS"' in data[1] and "\u202e" not in text
    assert "a &lt;b&gt; title" in text
    assert not re.search(r"(src|href)=|@import|url\(|fetch\(", text)


def test_files_are_reproducible_and_hold_the_attributes(params: Params) -> None:
    graph(params, Path("one"))
    graph(params, Path("two"))
    names = ["edges.parquet", "graph.graphml", "graph.html", "nodes.parquet"]
    assert sorted(path.name for path in Path("one").iterdir()) == names
    assert [sha256(Path("one") / name) for name in names] == [sha256(Path("two") / name) for name in names]
    graphml = nx.read_graphml(Path("one/graph.graphml"))
    assert graphml.nodes["Q2977"] == {
        "kind": "class", "name": "cathedral", "hierarchical_label": "church", "natural_or_human_made": "human-made",
        "categories": 1,
    }  # fmt: skip
    assert graphml.nodes["church"]["categories"] == 3
    assert graphml.nodes["Q7"]["name"].endswith("\ufffd")  # XML has no control characters
    assert graphml.edges["Q108325", "church"]["kind"] == "anchor"
    assert graphml.edges["Q7", "Q108325"]["kind"] == "subclass"
    nodes = read_parquet(Path("one/nodes.parquet")).set_index("id")
    assert set(load_taxonomy().natures) <= set(nodes.index)
    assert nodes.loc["natural", "categories"] == 1


def text_of(dom: str, pattern: str) -> str:
    match = re.search(pattern, dom, re.S)
    assert match is not None
    return html.unescape(re.sub(r"<[^>]+>", "", match[1]))


TRAIL = r'<div id="path"[^>]*>(.*?)</div>'


@browser
@pytest.mark.parametrize(
    ("fragment", "path", "segments"),
    [
        ("#Q108325", "landmarks › human-made › church › chapel Q108325, 2 categories (33.3 %)", 1),
        ("#%", "landmarks 6 categories (100.0 %)", 11),  # no name: the whole
    ],
)
def test_a_browser_draws_the_segments(params: Params, fragment: str, path: str, segments: int, tmp_path: Path) -> None:
    graph(params, Path("out"))
    page = dom(Path("out/graph.html").resolve().as_uri() + fragment, tmp_path)
    assert text_of(page, TRAIL).startswith(path)
    assert page.count("<path ") == segments
    summary = "6 categories, 4 (66.7 %) with a label from their classes on Wikidata, 2 without"
    assert text_of(page, r'<span id="summary">(.*?)</span>').startswith(summary)


# What is typed, and the rows that it lists: name, ids or number of categories, place.
SEARCHES = {
    "CATHED": ["cathedral1human-made › church"],
    "eiffel": ["Eiffel Towertrain 17, index 5 · no label by class › no class leads to a label"],
    "eglise a": ["Église Aindex 17, Q501 · human-made › church › cathedral"],
    f"{PAGE}%C3%89glise_A": ["Église Aindex 17, Q501 · human-made › church › cathedral"],
    "17": [
        "Église Aindex 17, Q501 · human-made › church › cathedral",
        "Eiffel Towertrain 17, index 5 · no label by class › no class leads to a label",
    ],
    "train 17": ["Eiffel Towertrain 17, index 5 · no label by class › no class leads to a label"],
    "1": [r"</script><b>chapel</b> \x012human-made › church › chapel"],  # no id is 1
    "q504": [r"Dead \u202eaeSQ504 · natural › ocean area › bay"],
    "Q2977": ["cathedral1human-made › church"],
    "no item": ["no item found1no label by class"],
    "nowhere": [],
}


@browser
def test_search_finds_labels_classes_and_landmarks_by_name_and_id(params: Params, tmp_path: Path) -> None:
    graph(params, Path("out"))
    script = f"""<script>
        const found = {{}}, type = text => {{ search.value = text; search.dispatchEvent(new Event("input")); }};
        for (const text of {json.dumps(list(SEARCHES))}) {{
            type(text);
            found[text] = [...list.querySelectorAll("li[tabindex]")].map(row => row.textContent);
        }}
        type("CATHED");
        list.querySelector("li").dispatchEvent(new MouseEvent("mouseenter"));
        found.hovered = trail.textContent;
        found.dim = document.querySelectorAll("path.dim").length;
        type("eiffel");
        list.querySelector("li").dispatchEvent(new MouseEvent("click"));
        const result = Object.assign(document.createElement("pre"), {{ id: "found" }});
        result.textContent = JSON.stringify(found);
        document.body.append(result);
    </script></body>"""
    text = Path("out/graph.html").read_text(encoding="utf-8").replace("</body>", script)
    Path("out/searched.html").write_text(text, encoding="utf-8")
    page = dom(Path("out/searched.html").resolve().as_uri(), tmp_path)
    found = json.loads(text_of(page, r'<pre id="found">(.*?)</pre>'))
    assert found.pop("hovered") == "landmarks › human-made › church › cathedral Q2977, 1 category (16.7 %)"
    assert found.pop("dim") == 8  # all but the path to the cathedral
    assert found == SEARCHES
    place = "landmarks › no label by class › no class leads to a label › Eiffel Tower, train 17, index 5"
    assert text_of(page, TRAIL) == place


@browser
@pytest.mark.parametrize("dark", [False, True])
def test_every_name_is_legible_on_a_screen_and_on_a_phone(params: Params, tmp_path: Path, dark: bool) -> None:
    graph(params, Path("out"))
    assert unreadable(Path("out/graph.html"), tmp_path, dark=dark, height=900) == []
