"""`hgld graph`: one file that fetches nothing, the same bytes again, and a page that works in a real browser."""

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
from hgld.pipeline.commands.graph import draw, page, tree
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


def test_the_tree_goes_from_the_anchor_down_and_counts() -> None:
    root = tree(LABELS, CLASSES)
    assert root.total == 4
    church = root.below["human-made"].below["church"]
    assert {qid: node.total for qid, node in church.below.items()} == {"Q2977": 1, "Q108325": 2}
    assert church.below["Q108325"].own == 0
    assert church.below["Q108325"].below["Q7"].own == 2


def test_the_page_holds_the_data_and_fetches_nothing() -> None:
    text = page(tree(LABELS, CLASSES), "a <b> title")
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert data is not None
    read = json.loads(data[1])
    assert read["c"] == 4
    assert read["k"][0]["k"][0]["k"][0]["k"][0]["n"] == "</script><b>chapel</b> \x01"
    assert "a &lt;b&gt; title" in text
    assert not re.search(r"(src|href)=|@import|url\(|fetch\(", text)


def test_the_files_are_the_same_again_and_hold_the_attributes(params: Params) -> None:
    draw(params, Path("one"))
    draw(params, Path("two"))
    names = ["edges.parquet", "graph.graphml", "graph.html", "nodes.parquet"]
    assert sorted(path.name for path in Path("one").iterdir()) == names
    assert [sha256(Path("one") / name) for name in names] == [sha256(Path("two") / name) for name in names]
    graph = nx.read_graphml(Path("one/graph.graphml"))
    assert graph.nodes["Q2977"] == {
        "kind": "class", "name": "cathedral", "hierarchical_label": "church", "natural_or_human_made": "human-made",
        "categories": 1,
    }  # fmt: skip
    assert graph.nodes["church"]["categories"] == 3
    assert graph.nodes["Q7"]["name"].endswith("\ufffd")  # XML has no control characters
    assert graph.edges["Q108325", "church"]["kind"] == "anchor"
    assert graph.edges["Q7", "Q108325"]["kind"] == "subclass"
    nodes = read_parquet(Path("one/nodes.parquet")).set_index("id")
    assert set(load_taxonomy().natures) <= set(nodes.index)
    assert nodes.loc["natural", "categories"] == 1


def shown(page_at: str, folder: Path) -> str:
    """What a real browser makes of a page."""
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/browser",
               "--virtual-time-budget=3000", "--dump-dom", page_at]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def text_of(dom: str, pattern: str) -> str:
    found = re.search(pattern, dom, re.S)
    assert found is not None
    return html.unescape(re.sub(r"<[^>]+>", "", found[1]))


TRAIL, LIST = r'<div id="path"[^>]*>(.*?)</div>', r'<ul id="list">(.*?)</ul>'
browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


@browser
@pytest.mark.parametrize(
    ("at", "path", "segments"),
    [("", "landmarks 4 categories", 8), ("#Q108325", "landmarks › human-made › church › chapel Q108325", 1)],
)
def test_a_browser_draws_it(params: Params, at: str, path: str, segments: int, tmp_path: Path) -> None:
    draw(params, Path("out"))
    dom = shown(Path("out/graph.html").resolve().as_uri() + at, tmp_path)
    assert text_of(dom, TRAIL).startswith(path)
    assert dom.count("<path ") == segments


@browser
def test_a_search_lists_what_it_finds_and_hovering_shows_the_way(params: Params, tmp_path: Path) -> None:
    draw(params, Path("out"))
    does = """<script>
        search.value = "CATHED"; search.dispatchEvent(new Event("input"));
        list.querySelector("li").dispatchEvent(new MouseEvent("mouseenter"));
    </script></body>"""
    text = Path("out/graph.html").read_text(encoding="utf-8").replace("</body>", does)
    Path("out/searched.html").write_text(text, encoding="utf-8")
    dom = shown(Path("out/searched.html").resolve().as_uri(), tmp_path)
    assert text_of(dom, LIST) == "cathedral1human-made › church"
    assert text_of(dom, TRAIL) == "landmarks › human-made › church › cathedral Q2977, 1 category (25.0 %)"
    assert dom.count('class="dim"') == 5  # all but the way to the cathedral
