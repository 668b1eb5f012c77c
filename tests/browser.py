"""A real Chromium that opens a page at two widths and says what nobody could read on it, or has no access to."""

import html
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

WIDTHS = (1280, 390)

# Per text: its size on the screen, and WCAG's contrast with what is painted below it. Rotated text counts as well.
_PROBLEMS = """
function problems(view) {
  const page = view.document, found = new Set(), seen = element => element.getClientRects().length > 0;
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true }), painted = new Map();
  const paint = text => { if (!painted.has(text)) { pen.clearRect(0, 0, 1, 1); pen.fillStyle = text;
    pen.fillRect(0, 0, 1, 1); painted.set(text, [...pen.getImageData(0, 0, 1, 1).data]); } return painted.get(text); };
  const over = (top, below) => top.slice(0, 3).map((c, n) => c * top[3] / 255 + below[n] * (1 - top[3] / 255));
  const light = rgb => rgb.map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [.2126, .7152, .0722][n], 0);
  const ground = element => { let colour = [255, 255, 255]; const chain = [];
    for (let at = element; at; at = at.parentElement) chain.unshift(at);
    for (const at of chain) colour = over(paint(view.getComputedStyle(at).backgroundColor), colour);
    return colour; };
  if (page.documentElement.scrollWidth > view.innerWidth) found.add(`wider than ${view.innerWidth} px`);
  for (const chart of page.querySelectorAll("svg:not(.heatmap)"))
    if (seen(chart) && chart.getBoundingClientRect().right > view.innerWidth + 1) found.add("a chart is cut");
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
    if (!text || !seen(element) || ["SCRIPT", "STYLE", "title"].includes(element.tagName)) continue;
    const style = view.getComputedStyle(element), drawn = element.ownerSVGElement;
    const matrix = drawn && element.getScreenCTM();
    const size = parseFloat(style.fontSize) * (matrix ? Math.hypot(matrix.a, matrix.b) : 1);
    if (size < (element.closest(".heatmap") ? 7.5 : 10)) found.add(`${text}: ${size.toFixed(1)} px`);
    let below = ground(element);
    if (drawn) {
      const box = element.getBoundingClientRect();
      const mark = page.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
      if (!mark || !drawn.contains(mark)) continue;  // it must be scrolled to
      const fill = mark !== drawn && mark !== element ? view.getComputedStyle(mark).fill : "none";
      if (fill !== "none") below = over(paint(fill), below);
    }
    const two = [light(over(paint(drawn ? style.fill : style.color), below)), light(below)].sort((a, b) => b - a);
    const contrast = (two[0] + .05) / (two[1] + .05);
    if (contrast < 4.5) found.add(`${text}: contrast ${contrast.toFixed(1)}`);
  }
  return [...found];
}"""


def dom(url: str, folder: Path, *, dark: bool = False) -> str:
    """The DOM of a page after its scripts have run."""
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", f"--user-data-dir={folder}/browser",
        "--window-size=1700,1200", "--virtual-time-budget=2000",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--dump-dom", url,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def unreadable(page: Path, folder: Path, *, dark: bool, height: int = 9000) -> list[str]:
    """What cannot be read on a page at WIDTHS: texts that are too small or too pale, charts that are cut, errors."""
    text = html.escape(page.read_text(encoding="utf-8"))
    frames = "".join(f'<iframe srcdoc="{text}" width="{width}" height="{height}"></iframe>' for width in WIDTHS)
    wrapper = folder / "frames.html"
    wrapper.write_text(
        f"""<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
        <style>iframe {{ border: 0 }}</style><pre id="result"></pre>{frames}<script>{_PROBLEMS}
        onload = () => {{
          const views = [...document.querySelectorAll("iframe")].map(frame => frame.contentWindow);
          const found = views.flatMap(view => problems(view).map(text => `${{view.innerWidth}} px: ${{text}}`));
          const dark = matchMedia("(prefers-color-scheme: dark)").matches;
          document.getElementById("result").textContent = JSON.stringify({{ found, dark, views: views.length }});
        }};</script>""",
        encoding="utf-8",
    )
    result = dom(wrapper.resolve().as_uri(), folder, dark=dark)
    answer = json.loads(html.unescape(result.split('<pre id="result">')[1].split("</pre>")[0]))
    assert (answer["dark"], answer["views"]) == (dark, len(WIDTHS))
    return [str(problem) for problem in answer["found"]]


def inaccessible(page: Any) -> list[str]:
    """What axe finds on a page of playwright, as it is displayed: each violation with the elements that have it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [f"{rule['id']} ({rule['impact']}): {node['html'][:200]}" for rule in found for node in rule["nodes"]]
