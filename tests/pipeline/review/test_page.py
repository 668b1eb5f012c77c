"""The review page in a real Chromium: a whole session by keyboard, and how it looks; skipped where there is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from hgld.foundation.tables import write_parquet
from hgld.hierarchy.curation.verdict import Verdict, utc_now
from hgld.hierarchy.curation.verdicts import append_verdict, load_verdicts
from hgld.hierarchy.taxonomy.taxonomy import load_taxonomy
from hgld.pipeline.stages.queue import COLUMNS
from tests.browser import BROWSER, browser, inaccessible
from tests.paths import ROOT
from tests.pipeline.review.conftest import Served

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = browser
LABELS = load_taxonomy(ROOT / "hierarchy/curated").natures
Serve = Callable[..., Served]
READY = 300  # ms after which an item counts as seen


class Tab:
    """A tab of the browser, and what its console said."""

    def __init__(self, context, address: str) -> None:
        self.page = context.new_page()
        self.console: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        self.page.goto(address)
        self.page.wait_for_selector("#main:not([hidden]), #done:not([hidden])")

    def press(self, *keys: str) -> None:
        """Press keys, the first one when the item counts as seen."""
        self.page.wait_for_timeout(READY)
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def name(self) -> str:
        return str(self.page.inner_text("#name"))

    def shows(self, name: str) -> None:
        """Wait until an item is shown."""
        playwright.expect(self.page.locator("#name")).to_have_text(name)

    def counts(self, text: str) -> None:
        playwright.expect(self.page.locator("#counts")).to_contain_text(text)


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    with playwright.sync_playwright() as engine:
        running = engine.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def open_tab(chromium, serve: Serve) -> Iterator[Callable[..., Tab]]:
    contexts = []

    def start(served: Served | None = None, width: int = 1280, height: int = 800, dark: bool = False) -> Tab:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        return Tab(context, (served or serve()).address)

    yield start
    for context in contexts:
        context.close()


def rows() -> list[tuple[str, str, str]]:
    table = load_verdicts(Path("review"), LABELS)
    return list(zip(table["category"], table["hierarchical_label"], table["comment"], strict=True))


def test_a_session_by_keyboard_alone(open_tab, serve: Serve) -> None:
    served = serve()
    tab = open_tab(served)
    tab.shows('Nowhere, "Purple"')
    assert tab.page.locator("#large img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 24
    assert "A Christian building" in tab.page.inner_text("#definition")
    tab.press("Enter")  # accept
    tab.counts("1 of 5 judged")
    second = tab.name()
    tab.press("c")
    tab.type("a lake, surely")
    tab.press("Enter", "/")
    tab.type("pond")  # a synonym
    playwright.expect(tab.page.locator("#found li").first).to_have_text("lake – pond")
    assert "Standing water" in tab.page.inner_text("#definition")
    tab.press("Enter")
    tab.counts("2 of 5 judged")
    assert rows() == [('Nowhere, "Purple"', "church", ""), (second, "lake", "a lake, surely")]
    third = tab.name()
    tab.press("s")
    tab.counts("2 of 5 judged, 1 skipped")
    fourth = tab.name()
    tab.press("z")  # the skip
    tab.shows(third)
    assert len(rows()) == 2
    tab.press("z")  # the verdict with the comment
    tab.shows(second)
    assert len(rows()) == 1
    tab.press("e")
    tab.shows(third)
    tab.press("ArrowLeft")
    tab.shows(second)
    assert "You said: no label" in tab.page.inner_text("#earlier")
    tab.press("2")  # another candidate, if it has one, else nothing
    tab.press("n")
    tab.press("ArrowRight")
    tab.page.reload()
    tab.page.wait_for_selector("#main:not([hidden])")
    tab.counts("2 of 5 judged")
    for _ in range(3):
        tab.press("e")
        tab.page.wait_for_timeout(READY)
    playwright.expect(tab.page.locator("#done")).to_be_visible()
    assert len({category for category, _, _ in rows()}) == 5
    served.stop()
    again = open_tab(serve("Red Chapel"))
    again.press("z")  # a verdict from before the restart, which is not in this list
    playwright.expect(again.page.locator("#toast")).to_contain_text("taken back: the verdict on ")
    assert fourth and tab.console == [] and again.console == []
    assert tab.hosts == {served.root.removeprefix("http://")}


# Enter, and one that is held down, in the moment in which an item is shown.
AT_ONCE = """
window.pressed = false;
new MutationObserver(() => {
  const main = document.getElementById("main");
  if (window.pressed || !main || main.hidden) return;
  window.pressed = true;
  for (const repeat of [false, true])
    document.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", repeat, bubbles: true }));
}).observe(document, { attributes: true, childList: true, subtree: true });
"""


def test_keys_that_come_too_soon_or_repeat_do_nothing(open_tab) -> None:
    tab = open_tab()
    tab.page.add_init_script(AT_ONCE)
    tab.page.reload()
    tab.page.wait_for_selector("#main:not([hidden])")
    assert tab.page.evaluate("window.pressed")
    tab.page.wait_for_timeout(READY)
    tab.page.evaluate(
        'document.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", repeat: true, bubbles: true }))'
    )
    tab.page.keyboard.press("Control+Enter")
    tab.page.wait_for_timeout(READY)
    assert not Path("review").exists()


def test_a_server_that_ended_is_a_banner_and_nothing_is_called_saved(open_tab, serve: Serve) -> None:
    served = serve()
    tab = open_tab(served)
    served.process.kill()
    served.process.wait()
    tab.press("Enter")
    playwright.expect(tab.page.locator("#banner")).to_contain_text("nothing is saved")
    assert tab.page.inner_text("#toast") == "" and not Path("review").exists()


def test_hostile_names_are_text(open_tab, serve: Serve) -> None:
    name = "<img src=x onerror=alert(1)>\u202egnp</script>"
    queue = Path("data/sample/queue/queue.csv")
    table = pd.read_csv(queue, dtype=str, keep_default_na=False)
    table.loc[0, ["category", "evidence"]] = [name, f"{name}; <b>bold</b>"]
    table[COLUMNS].to_csv(queue, index=False)
    tab = open_tab()
    assert tab.name() == r"<img src=x onerror=alert(1)>\u202egnp</script>"
    assert "<b>bold</b>" in tab.page.inner_text("#evidence")
    assert tab.page.locator("#name *, #evidence b, #evidence img").count() == 0
    tab.press("e")  # no category of MediaWiki has such a name, so no file could hold the verdict
    playwright.expect(tab.page.locator("#banner")).to_contain_text("could not be read back")
    assert tab.page.locator("#banner *").count() == 0 and not Path("review").exists()
    assert [text for text in tab.console if "409 (Conflict)" not in text] == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_it_is_legible_and_fits(open_tab, width: int, height: int, dark: bool) -> None:
    tab = open_tab(width=width, height=height, dark=dark)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    faults = tab.page.evaluate(CONTRAST)
    assert faults == []
    if height == 800:  # the suggestion and the picture are seen without scrolling
        for part in ("#candidates button.suggested", "#large"):
            box = tab.page.locator(part).bounding_box()
            assert box["y"] + box["height"] <= height
    tab.page.keyboard.press("?")
    assert re.search(r"Enter\s+accept the suggestion", tab.page.inner_text("#help"))


CONTRAST = """() => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = text => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = text; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data]; };
  const over = (top, below) => top.slice(0, 3).map((c, n) => c * top[3] / 255 + below[n] * (1 - top[3] / 255));
  const light = rgb => rgb.map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [.2126, .7152, .0722][n], 0);
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.getClientRects().length || element.closest("button:disabled")) continue;
    let below = [255, 255, 255];
    const chain = [];
    for (let at = element; at; at = at.parentElement) chain.unshift(at);
    for (const at of chain) below = over(rgba(getComputedStyle(at).backgroundColor), below);
    const two = [light(over(rgba(getComputedStyle(element).color), below)), light(below)].sort((a, b) => b - a);
    const contrast = (two[0] + .05) / (two[1] + .05);
    if (contrast < 4.5) found.push(`${text}: contrast ${contrast.toFixed(1)}`);
    if (parseFloat(getComputedStyle(element).fontSize) < 12) found.push(`${text}: small`);
  }
  return found;
}"""


def test_the_credit_of_the_large_picture_is_below_it(open_tab, checkout: Path) -> None:
    author, markup = '<img src=x onerror="document.title=1">', '<b>&lt;img src=x onerror="document.title=1"&gt;</b>'
    table = {"id": ["a000000150000000"], "url": [""], "author": [markup], "license": ["CC0"], "title": [""]}
    write_parquet(pd.DataFrame(table), checkout / "data/sample/metadata/train_attribution.parquet")
    tab = open_tab()
    tab.shows('Nowhere, "Purple"')
    playwright.expect(tab.page.locator("#credit")).to_have_text(f"{author}, CC0 1.0")
    tab.press("p")
    playwright.expect(tab.page.locator("#credit")).to_have_text("")


@pytest.mark.parametrize("dark", [False, True])
def test_the_link_leads_to_the_quality_page_with_its_styles(open_tab, serve: Serve, dark: bool) -> None:
    served = serve()
    assert served.judge(0, "lake").status_code == 200
    tab = open_tab(served, dark=dark)
    tab.page.click("text=quality")
    playwright.expect(tab.page.locator("h1")).to_have_text("Quality of the verdicts")
    background = "rgb(20, 23, 26)" if dark else "rgb(251, 251, 249)"
    playwright.expect(tab.page.locator("body")).to_have_css("background-color", background)
    tab.page.click("text=back to the review")
    tab.page.wait_for_selector("#main:not([hidden])")
    assert tab.console == []


def test_a_class_by_keyboard(classed, open_tab, serve: Serve) -> None:
    tab = open_tab(serve("--kind", "class"))
    tab.shows("tarn (Q900)")
    assert "2 landmarks get the label" in tab.page.inner_text("#members-title")
    assert tab.page.locator("#members li").all_inner_texts() == [
        'Nowhere, "Purple" (3 images)',
        "Unknown Lake (2 images)",
    ]
    assert tab.page.locator("#thumbnails button").count() == 5
    assert not tab.page.locator("#finer").is_visible()
    tab.press("Enter")
    playwright.expect(tab.page.locator("#done")).to_be_visible()
    (row,) = load_verdicts(Path("review"), LABELS, kind="class").to_dict("records")
    assert (row["category"], row["hierarchical_label"]) == ("Q900", "lake")
    assert tab.console == []


def test_a_finer_class_and_another_place_by_keyboard(open_tab, serve: Serve) -> None:
    tab = open_tab(serve("Red Chapel"))
    tab.press("x")
    assert tab.page.locator("#items button").get_attribute("aria-pressed") == "true"
    tab.press("f")
    tab.type("chur")
    playwright.expect(tab.page.locator("#classes li").first).to_contain_text("church building")
    tab.press("Enter")
    playwright.expect(tab.page.locator("#supercategory")).to_have_value("church building (Q16970)")
    tab.press("Enter")
    playwright.expect(tab.page.locator("#done")).to_be_visible()
    (row,) = load_verdicts(Path("review"), LABELS).to_dict("records")
    assert (row["hierarchical_label"], row["supercategory"], row["rejected_item"]) == ("church", "Q16970", "Q101")


def test_a_finer_class_that_was_not_chosen_is_not_dropped_in_silence(open_tab, serve: Serve) -> None:
    tab = open_tab(serve("Red Chapel"))
    tab.press("f")
    tab.type("something")
    tab.press("Escape", "Enter")
    playwright.expect(tab.page.locator("#banner")).to_contain_text("Choose the finer class from the list")
    assert rows() == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_everybody_has_access(open_tab, serve: Serve, width: int, height: int, dark: bool) -> None:
    served = serve()
    assert served.judge(1, "lake", "seen").status_code == 200
    assert other_opinion(served) == "church"
    tab = open_tab(served, width=width, height=height, dark=dark)
    assert inaccessible(tab.page) == []
    tab.press("ArrowRight")  # judged before
    tab.page.wait_for_selector("#earlier:not([hidden])")
    assert inaccessible(tab.page) == []
    tab.press("/")
    tab.type("ch")
    tab.page.wait_for_selector("#found li")
    assert inaccessible(tab.page) == []
    tab.press("Escape", "?")
    tab.page.wait_for_selector("#help[open]")
    assert inaccessible(tab.page) == []
    tab.press("Escape")
    tab.page.click("text=quality")
    playwright.expect(tab.page.locator("h2", has_text="Open conflicts")).to_be_visible()
    assert inaccessible(tab.page) == []
    for position in range(5):
        served.judge(position, "")
    done = open_tab(served, width=width, height=height, dark=dark)
    done.page.wait_for_selector("#done:not([hidden])")
    assert inaccessible(done.page) == []
    assert tab.console == [] and done.console == []


def test_axe_finds_what_it_should(open_tab) -> None:
    page = open_tab().page
    page.evaluate("""() => { document.getElementById("search").previousElementSibling.remove();
        document.getElementById("large").firstElementChild.alt = ""; document.documentElement.lang = ""; }""")
    assert {text.split(" ")[0] for text in inaccessible(page)} == {"label", "html-has-lang"}


def test_a_conflict_is_opened_from_the_quality_page_and_settled(open_tab, serve: Serve) -> None:
    """Also one that is not among the items of the session; the opinions on an ordinary item stay hidden."""
    served = serve()
    assert served.judge(0, "church", "a <b>tower</b>").status_code == 200
    assert other_opinion(served, 0, "lake") == "lake"
    append_verdict(Path("review"), Verdict("Red Chapel", "lake", "", "", "", "ana", utc_now(), "", "sample"))
    append_verdict(Path("review"), Verdict("Red Chapel", "church", "", "", "", "bob", utc_now(), "wet", "sample"))
    served.stop()
    served = serve("Blue Lake", "Unknown Lake")
    tab = open_tab(served)
    tab.shows("Blue Lake")
    tab.counts("0 of 2 judged")
    playwright.expect(tab.page.locator("#opinions")).to_be_hidden()
    tab.page.click("text=quality")
    tab.page.click("a:text-is('Red Chapel')")
    tab.shows("Red Chapel")
    tab.counts("0 of 3 judged")
    said = tab.page.locator("#opinions li").all_inner_texts()
    assert [text.rpartition(",")[0] for text in said] == ["ana: lake", "bob: church (wet)"]
    tab.press("Enter")  # the suggestion is church
    tab.counts("1 of 3 judged")
    assert tab.page.evaluate("location.search") == ""
    tab.page.click("text=quality")
    playwright.expect(tab.page.locator("a:text-is('Red Chapel')")).to_have_count(0)
    tab.page.click("text=Nowhere")
    tab.shows('Nowhere, "Purple"')
    assert "ana: church (a <b>tower</b>), " in tab.page.inner_text("#opinions")
    tab.page.reload()
    tab.shows('Nowhere, "Purple"')
    tab.counts("1 of 4 judged")
    assert tab.console == []
    tab.page.goto(f"{served.root}/?landmark=Atlantis%3Cb%3E")
    playwright.expect(tab.page.locator("#banner")).to_have_text("there is no landmark Atlantis<b>")


def test_unsure_by_keyboard(open_tab, serve: Serve) -> None:
    tab = open_tab(serve("Red Chapel", "Blue Lake"))
    tab.press("c")
    tab.type("fog")
    tab.press("Enter")
    tab.press("u")
    tab.shows("Blue Lake")
    tab.counts("1 of 2 judged")
    tab.press("ArrowLeft")
    tab.shows("Red Chapel")
    assert tab.page.inner_text("#earlier").startswith("You said: unsure (fog), ")
    tab.press("z")
    tab.counts("0 of 2 judged")
    assert tab.console == []


def test_a_conflict_about_a_class_is_opened_from_the_quality_page(classed, open_tab, serve: Serve) -> None:
    for annotator, label in (("ana", "lake"), ("bob", "")):
        verdict = Verdict("Q900", label, "", "", "", annotator, utc_now(), "", "sample", kind="class")
        append_verdict(Path("review"), verdict)
    tab = open_tab(serve("Red Chapel"))
    tab.page.click("text=quality")
    tab.page.click("a:text-is('class tarn (Q900)')")
    tab.shows("tarn (Q900)")
    assert [text.rpartition(",")[0] for text in tab.page.locator("#opinions li").all_inner_texts()] == [
        "ana: lake",
        "bob: no label",
    ]
    assert tab.console == []


def test_a_stale_verdict_is_opened_from_the_quality_page(open_tab, serve: Serve, checkout: Path) -> None:
    append_verdict(
        Path("review"), Verdict("Unknown Chapel", "lake", "lake", "clip", "", "ana", utc_now(), "", "sample")
    )
    tab = open_tab(serve("Blue Lake"))
    tab.page.click("text=quality")
    playwright.expect(tab.page.locator("h2", has_text="Stale verdicts")).to_be_visible()
    tab.page.click("a:text-is('Unknown Chapel')")
    tab.shows("Unknown Chapel")
    assert "ana: lake" in tab.page.inner_text("#opinions")


def test_the_place_is_a_point_on_the_map(open_tab, serve: Serve) -> None:
    tab = open_tab(serve("Red Chapel", "Blue Lake"))
    tab.shows("Red Chapel")
    here, land = tab.page.locator(".world .here"), tab.page.locator(".world .land")
    assert (here.get_attribute("cx"), here.get_attribute("cy")) == ("44.8", "-41.69")  # south is positive
    assert tab.page.inner_text("#map") == "41.69° N, 44.80° E"
    assert land.evaluate("path => path.getBBox().width") == 360
    assert land.evaluate("path => path.isPointInFill(new DOMPoint(44.8, -41.69))")
    assert not land.evaluate("path => path.isPointInFill(new DOMPoint(51, -41.5))")  # the Caspian Sea is a hole
    assert land.evaluate("path => getComputedStyle(path).fill") not in ("none", "rgb(0, 0, 0)")
    tab.press("ArrowRight")
    tab.shows("Blue Lake")  # whose coordinates are not known
    playwright.expect(tab.page.locator("#where")).to_be_hidden()
    assert tab.console == []


def other_opinion(served: Served, position: int = 1, label: str = "church") -> str:
    """The verdict of a second annotator on an item."""
    category = served.get(f"/api/items/{position}").json()["category"]
    append_verdict(Path("review"), Verdict(category, label, "", "", "", "bob", utc_now(), "", "sample"))
    return label
