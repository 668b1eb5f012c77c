"""`hgld browse`: what a reader finds, and that nothing can be changed; in a real Chromium where there is one."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import requests

from hgld.hierarchy.curation.verdict import Verdict
from hgld.hierarchy.curation.verdicts import append_verdict
from hgld.pipeline.review.catalogue import PAGE, Catalogue
from hgld.pipeline.stages import release
from tests.browser import BROWSER, browser, inaccessible
from tests.pipeline.review.test_page import CONTRAST
from tests.pipeline.review.test_schema import cases, operations, run

NOW = "2026-01-03T10:11:12Z"


@pytest.fixture
def released(checkout: Path, proposed) -> Path:
    """The checkout with a release, in which ana has judged a lake."""
    verdict = Verdict("Unknown Lake", "lake", "lake", "clip", "0.5500", "ana", NOW, "seen", "sample")
    append_verdict(Path("review"), verdict)
    release.run(proposed.params)
    return checkout


@pytest.fixture
def site(released: Path) -> Iterator[tuple[str, requests.Session]]:
    """The address of a running `hgld browse` with its key, and a client."""
    code = "from hgld.cli import main\nmain(['browse', '--no-browser'])"
    process = subprocess.Popen([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    with requests.Session() as client:
        client.trust_env = False
        assert client.get(address, timeout=60).status_code == 200
        yield address, client
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


def get(site: tuple[str, requests.Session], path: str, status: int = 200) -> str:
    address, client = site
    answer = client.get(address.partition("/?")[0] + path, timeout=60)
    assert answer.status_code == status, answer.text
    return unescape(answer.text)


def names(html: str) -> list[str]:
    return [unescape(name) for name in re.findall(r'<th scope="row"><a href="[^"]*">(.*?)</a></th>', html)]


def test_the_hierarchy_counts_every_landmark(site) -> None:
    html = get(site, "/")
    found = re.findall(r"<b>(.*?)</b> <span>(\d+)</span>", html)
    assert dict(found) == {"church": "3", "lake": "3", "(no label)": "2"}
    assert "A Christian building for worship" in html and "8 landmarks" in html
    assert html.index("human-made") < html.index("without a label")


@pytest.mark.parametrize(("query", "expected"), [
    ("q=chapel", ["Red Chapel", "Unknown Chapel"]),
    ("q=eglise+ROUGE", ["Église Saint-Rouge"]),
    ("q=12", ["Blue Lake", "Lago Azul"]),  # an id of train, and one of index
    ("q=Q104", ["Lago Azul"]),
    ("q=lake", ["Blue Lake", "Lago Azul", "Unknown Lake"]),
    ("label=lake&q=blue", ["Blue Lake"]),
    ("label=church&supercategory=church+building", ["Red Chapel", "Église Saint-Rouge"]),
    ("q=zzz", []),
    ("label=(no+label)", ['Nowhere, "Purple"', "Torn Place"]),
])  # fmt: skip
def test_landmarks_are_found_by_name_id_item_and_label(site, query: str, expected: list[str]) -> None:
    html = get(site, f"/landmarks?{query}")
    assert sorted(names(html)) == sorted(expected)
    assert ("Nothing is found" in html) == (not expected)


def test_a_landmark_has_its_pictures_and_the_evidence(site) -> None:
    html = get(site, "/landmark?category=Unknown%20Lake")
    assert "<b>lake</b>, natural; from annotators: ana, " + NOW in html
    assert "0.5500" in html and "test CLIP: 2 images" in html
    pictures = re.findall(r"/pictures/([0-9a-f]{16})/320", html)
    assert len(pictures) == 2
    address, client = site
    picture = client.get(f"{address.partition('/?')[0]}/pictures/{pictures[0]}/320", timeout=60)
    assert picture.headers["content-type"] == "image/jpeg"
    item = get(site, "/landmark?category=Red%20Chapel")
    assert "church building (Q16970): church, decides" in item and "hgld review Q101" in item
    assert 'aria-label="world map: 41.69° N, 44.80° E"' in item and 'cx="44.8" cy="-41.69"' in item
    assert "world map" not in html
    assert "no landmark" in get(site, "/landmark?category=Else", 404)


def test_nothing_can_be_changed(site) -> None:
    address, client = site
    root = address.partition("/?")[0]
    for path in ("/", "/landmarks", "/landmark", "/api/undo"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert client.request(method, root + path, json={}, timeout=60).status_code in (404, 405)
    assert requests.get(root + "/landmarks", timeout=60).status_code == 403


def test_no_request_of_the_schema_makes_the_server_fail(site) -> None:
    address, client = site
    root = address.partition("/?")[0]
    found = operations(client, root)
    assert {"GET /", "GET /landmarks", "GET /landmark"} <= set(found)
    for operation in found.values():
        statuses = run(cases(operation), client, root, 20)
        assert sum(statuses.values()) > 0


def test_long_lists_have_pages(released: Path, proposed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hgld.pipeline.review.catalogue.PAGE", 3)
    catalogue = Catalogue(proposed.params)
    pages = [catalogue.listing(page=page) for page in (1, 2, 3, 4)]
    seen = [row["category"] for page in pages[:3] for row in page.rows]
    assert len(seen) == len(set(seen)) == len(catalogue) == 8
    assert (pages[0].pages, pages[3].page, pages[3].rows) == (3, 3, pages[2].rows)
    assert [row["images"] for row in pages[0].rows] == [3, 3, 3] and PAGE > 3


def test_without_a_release_one_line_says_what_to_run(checkout: Path) -> None:
    code = "from hgld.cli import main\nmain(['browse', '--no-browser'])"
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "release/labels.parquet" in done.stderr and "dvc repro release" in done.stderr


@browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_pages_are_legible_and_fit(site, width: int, dark: bool) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": width, "height": 844}, color_scheme="dark" if dark else "light")
        console: list[str] = []
        page.on("console", lambda message: console.append(message.text))
        page.goto(site[0])
        for path in ("/", "/landmarks?label=church", "/landmarks?q=zzz", "/landmark?category=Red%20Chapel"):
            page.goto(site[0].partition("/?")[0] + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.evaluate(CONTRAST) == [], path
            assert inaccessible(page) == [], path
        page.fill("#q", "Q103")
        page.keyboard.press("Enter")
        playwright.expect(page.locator("tbody th")).to_have_text("Blue Lake")
        assert console == []
        chromium.close()
