"""The site: `make docs` builds it without a network, it has all that the code has, and loads nothing from elsewhere."""

import functools
import html
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from hgld.benchmarks.losses import LOSSES
from hgld.cli import main
from hgld.foundation.settings import Params
from hgld.pipeline.release.texts.columns import TABLES
from tests.browser import BROWSER, WIDTHS, browser, inaccessible
from tests.paths import ROOT

pytest.importorskip("mkdocs", reason="the extra `docs` is not installed: pip install -e '.[docs]'")
# What axe finds in the frame that the theme draws around every page; the colours are ours, and count.
OF_THE_THEME = {"aria-dialog-name", "landmark-unique", "scrollable-region-focusable"}
# In a network of its own, without any interface, where this system allows it.
CUT_OFF = ["unshare", "--map-root-user", "--net"]


def environment() -> dict[str, str]:
    outer = ("MAKE", "VENV", "PYTHON", "GIT_")  # what a make that runs these tests hands down
    env = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    modules = os.pathsep.join([str(ROOT / ".typing"), os.environ.get("PYTHONPATH", "")])
    return {**env, "PYTHONPATH": modules, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, cut off from every network."""
    folder = tmp_path_factory.mktemp("site") / "site"
    cut_off = CUT_OFF if shutil.which("unshare") and not subprocess.run([*CUT_OFF, "true"]).returncode else []
    place = [f"VENV={Path(sys.prefix)}", f"SITE={folder}"]
    done = subprocess.run(
        [*cut_off, "make", "docs", *place], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{folder}/index.html" in done.stdout
    assert "WARNING" not in done.stderr
    return folder


LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data", "embed": "src"}


class Loaded(HTMLParser):
    """What a page loads by itself, what it links to, and the classes of its elements."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.classes: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag in LOADING:
            self.loaded.append(values.get(LOADING[tag], ""))
        if tag == "link" and values.get("rel") != "canonical":
            self.loaded.append(values.get("href", ""))
        self.loaded += re.findall(r"url\(([^)]*)\)", values.get("style", ""))
        self.classes |= set(values.get("class", "").split())


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        found = Loaded(page)
        assert len(found.loaded) >= 5
        assert [url for url in found.loaded if re.match(r"\s*['\"]?(https?:)?//", url)] == [], page
        assert "mermaid" not in found.classes, f"{page}: the theme would fetch Mermaid"
    for style in site.rglob("*.css"):
        urls = re.findall(r"url\(([^)]*)\)|@import\s+([^;]+)", style.read_text(encoding="utf-8"))
        assert [url for pair in urls for url in pair if re.match(r"['\"]?(https?:)?//", url)] == [], style


def test_every_file_that_a_page_loads_is_there(site: Path) -> None:
    for page in site.rglob("*.html"):
        for url in Loaded(page).loaded:
            if url and not url.startswith("data:") and page.name != "404.html":
                assert (page.parent / re.split("[?#]", url)[0]).resolve().is_file(), f"{page}: {url}"


def text_of(page: Path) -> str:
    """The text of the page itself, without navigation and tags."""
    article = re.search(r"<article.*</article>", page.read_text(encoding="utf-8"), re.DOTALL)
    assert article
    return re.sub(r"<[^>]+>", "", article[0])


def test_the_command_line_is_whole(site: Path) -> None:
    text = text_of(site / "reference/cli.html")
    for name, command in main.commands.items():
        assert f"hgld {name}" in text
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        for option in (option for each in (command, *inner) for option in each.params):
            if isinstance(option, click.Option) and not option.hidden:
                assert option.opts[-1] in text, f"{name} {option.opts}"


def test_every_setting_is_there_with_its_values(site: Path) -> None:
    text = text_of(site / "reference/params.html")
    for section, field in Params.model_fields.items():
        for name in getattr(field.annotation, "model_fields", {}):
            assert name in text, f"{section}.{name}"
            assert field.annotation.model_fields[name].description, f"{section}.{name} says nothing about itself"
    assert "hgld-tiny" in text and "ViT-L-14" in text  # of both profiles
    assert "k of method knn" in text and "cosine or multistep or constant" in text


def test_every_loss_is_there_with_its_settings(site: Path) -> None:
    page = (site / "reference/losses.html").read_text(encoding="utf-8")
    for name, loss in LOSSES.items():
        assert f'id="{name}"' in page
        assert f'id="{loss.__module__}.{loss.__name__}"' in page
    assert "temperature of the sigmoid" in page and "ECCV 2022" in page


def test_examples_in_docstrings_are_code_and_signs_are_shown(site: Path) -> None:
    page = (site / "reference/metrics.html").read_text(encoding="utf-8")
    assert "<blockquote>" not in page and "gt;&gt;&gt;" in page
    assert "<code></code>" not in (site / "reference/cli.html").read_text(encoding="utf-8")
    assert "1<=x<=65535" in html.unescape(text_of(site / "reference/cli.html"))
    for name in ("reference/cli", "reference/params", "taxonomy"):
        assert r"\|" not in text_of(site / f"{name}.html")


def test_every_column_of_a_release_is_there(site: Path) -> None:
    text = text_of(site / "reference/release_files.html")
    for table in TABLES:
        assert table.file in text
        assert [name for name in table.columns if name not in text] == []


def test_a_file_of_the_repository_that_a_page_links_to_is_part_of_the_site(site: Path) -> None:
    page = (site / "how_to/extend_the_taxonomy.html").read_text(encoding="utf-8")
    assert 'href="../repository/hierarchy/curated/taxonomy.csv"' in page
    copy = site / "repository/hierarchy/curated/taxonomy.csv"
    assert copy.read_bytes() == (ROOT / "hierarchy/curated/taxonomy.csv").read_bytes()
    assert 'href="../repository/DATA_CARD.html"' in page  # in the navigation, which mkdocs.yml does not state
    card = (site / "repository/DATA_CARD.html").read_text(encoding="utf-8")
    assert 'href="../taxonomy.html#where-country-and-continent"' in card


def test_no_generated_page_is_committed() -> None:
    assert not (ROOT / "docs/reference").exists()


def test_without_the_packages_and_a_network_make_docs_says_what_is_missing(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    binary = tmp_path / ".venv" / "bin"
    binary.mkdir(parents=True)
    (binary / "python").write_text("#!/bin/sh\nexit 1\n")  # no mkdocs, and pip fails
    (binary / "python").chmod(0o755)
    done = subprocess.run(
        ["make", "docs", "PYTHON=true"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode
    assert "the site needs the packages of the extra `docs`" in done.stderr
    assert "they cannot be installed without a network" in done.stderr


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Logs no requests."""

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_fit_are_readable_and_ask_no_other_host(served: str, dark: bool) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        for width in WIDTHS:
            scheme = "dark" if dark else "light"
            context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page, asked = context.new_page(), list[str]()
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.on("pageerror", lambda error: pytest.fail(str(error)))
            for name in ("index", "reference/params", "reference/losses", "how_to/train_on_my_data"):
                page.goto(f"{served}{name}.html")
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} at {width}"
                assert page.evaluate("document.body.dataset.mdColorScheme") == ("slate" if dark else "default")
                found = [fault for fault in inaccessible(page) if fault.split(" ")[0] not in OF_THE_THEME]
                assert found == [], f"{name} at {width}"
            assert [url for url in asked if not url.startswith((served, "data:"))] == []
            context.close()
        chromium.close()


@browser
def test_search_finds_a_loss(served: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(f"{served}index.html")
        page.click("input.md-search__input")
        page.keyboard.type("SupHAP")
        page.wait_for_selector(".md-search-result__item a")
        found = page.eval_on_selector_all(".md-search-result__item a", "links => links.map(link => link.href)")
        assert any("reference/losses.html" in link for link in found)
        chromium.close()
