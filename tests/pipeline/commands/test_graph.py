"""`hgld graph`: one HTML file that loads nothing and works in a real browser; reproducible GraphML and Parquet."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest

from hgld.foundation.files import sha256
from hgld.foundation.settings import Params, load_params
from hgld.foundation.tables import read_parquet, write_parquet
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.commands.graph import graph, render, sunburst
from tests.paths import ROOT

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

LABELS = pd.DataFrame(
    [
        ("A", "Q2977", "cathedral", "church", "human-made", "Q2977"),
        ("B", "Q7", "</script><b>chapel</b> \x01", "church", "human-made", "Q7>Q108325"),
        ("C", "Q7", "</script><b>chapel</b> \x01", "church", "human-made", "Q7>Q108325"),
        ("D", "Q39594", "bay", "ocean area ", "natural", "Q39594"),
        ("E", "", "", "", "", ""),
    ],
    columns=["category", "class", "supercategory", "hierarchical_label", "natural_or_human_made", "path"],
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


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    params = load_params(ROOT / "params.yaml", profile="sample")
    monkeypatch.chdir(tmp_path)
    for name, table in (("labels", LABELS), ("classes", CLASSES), ("dag", DAG)):
        write_parquet(table, params.data / "build" / f"{name}.parquet")
    taxonomy = params.build.model_copy(update={"taxonomy": str(ROOT / "hierarchy/curated")})
    return params.model_copy(update={"build": taxonomy})


def test_the_sunburst_counts_categories_from_the_anchor_down() -> None:
    root = sunburst(LABELS, CLASSES)
    assert root.total == 4
    church = root.children["human-made"].children["church"]
    assert {qid: node.total for qid, node in church.children.items()} == {"Q2977": 1, "Q108325": 2}
    assert church.children["Q108325"].own == 0
    assert church.children["Q108325"].children["Q7"].own == 2


def test_the_page_holds_the_data_and_loads_nothing() -> None:
    text = render(sunburst(LABELS, CLASSES), "a <b> title")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert data is not None
    root = json.loads(data[1])
    assert root["c"] == 4
    assert root["k"][0]["k"][0]["k"][0]["k"][0]["n"] == "</script><b>chapel</b> \x01"
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


def dom_in_browser(url: str, folder: Path) -> str:
    """The DOM of a page after a real browser has run its scripts."""
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/browser",
               "--virtual-time-budget=3000", "--dump-dom", url]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def text_of(dom: str, pattern: str) -> str:
    match = re.search(pattern, dom, re.S)
    assert match is not None
    return html.unescape(re.sub(r"<[^>]+>", "", match[1]))


TRAIL, LIST = r'<div id="path"[^>]*>(.*?)</div>', r'<ul id="list">(.*?)</ul>'
browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


@browser
@pytest.mark.parametrize(
    ("fragment", "path", "segments"),
    [("", "landmarks 4 categories", 8), ("#Q108325", "landmarks › human-made › church › chapel Q108325", 1)],
)
def test_a_browser_draws_the_segments(params: Params, fragment: str, path: str, segments: int, tmp_path: Path) -> None:
    graph(params, Path("out"))
    dom = dom_in_browser(Path("out/graph.html").resolve().as_uri() + fragment, tmp_path)
    assert text_of(dom, TRAIL).startswith(path)
    assert dom.count("<path ") == segments


@browser
def test_search_lists_matches_and_hovering_shows_the_path(params: Params, tmp_path: Path) -> None:
    graph(params, Path("out"))
    script = """<script>
        search.value = "CATHED"; search.dispatchEvent(new Event("input"));
        list.querySelector("li").dispatchEvent(new MouseEvent("mouseenter"));
    </script></body>"""
    text = Path("out/graph.html").read_text(encoding="utf-8").replace("</body>", script)
    Path("out/searched.html").write_text(text, encoding="utf-8")
    dom = dom_in_browser(Path("out/searched.html").resolve().as_uri(), tmp_path)
    assert text_of(dom, LIST) == "cathedral1human-made › church"
    assert text_of(dom, TRAIL) == "landmarks › human-made › church › cathedral Q2977, 1 category (25.0 %)"
    assert dom.count('class="dim"') == 5  # all but the path to the cathedral
