"""Every relative link of the documentation leads to a file of the repository, and to a heading that exists."""

import re
import subprocess
from functools import cache
from pathlib import PurePosixPath

import pytest

from tests.page_blocks import pages
from tests.paths import ROOT

_FENCED = re.compile(r"^```.*?^```|`[^`\n]+`|^    .*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
# Pages that exist only on the site, with the code that writes their headings.
GENERATED = "docs/reference/"


def links(text: str) -> list[str]:
    return _LINK.findall(_FENCED.sub(lambda match: "" if match[0][0] != " " else match[0], text))


@cache
def anchors(page: str) -> frozenset[str]:
    """The anchors of the headings of a page, as GitHub and MkDocs make them."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found: list[str] = []
    for heading in _HEADING.findall(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return frozenset(found)


@cache
def tracked() -> frozenset[str]:
    """The files and folders of the repository: in git, or new and not ignored."""
    if not (ROOT / ".git").exists():  # an archive of the source
        return frozenset(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*"))
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return frozenset({*files, *(parent.as_posix() for file in files for parent in PurePosixPath(file).parents)})


def faults(page: str, text: str) -> list[str]:
    found = []
    for link in links(text):
        if re.match(r"(https?|mailto):", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent.joinpath(path).resolve() if path else ROOT / page
        name = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else link
        if name.startswith(GENERATED):
            continue  # the site is built strictly: tests/docs/test_site.py
        if name not in tracked():
            found.append(f"{page}: {link}: no such file")
        elif anchor and anchor not in anchors(name):
            found.append(f"{page}: {link}: no such heading in {name}")
    return found


@pytest.mark.parametrize("page", [*pages(), "CHANGELOG.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    assert faults(page, (ROOT / page).read_text(encoding="utf-8")) == []


def test_a_link_to_nothing_is_found() -> None:
    text = (
        "[a](docs/nothing.md) [b](docs/metrics.md#nothing) [c](#nothing) ![d](docs/x.svg) [e](docs/metrics.md#sources)"
    )
    found = [fault.split(": ")[1] for fault in faults("README.md", text)]
    assert found == ["docs/nothing.md", "docs/metrics.md#nothing", "#nothing", "docs/x.svg"]


def test_a_link_in_code_is_none() -> None:
    assert links("`[a](b)`\n```\n[c](d)\n```\n[e](f) ![g [h]](i)") == ["f", "i"]
