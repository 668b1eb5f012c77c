"""Events of MkDocs for the site: generated reference pages, and the files of the repository that pages link to.

A link of a page leads to a file of the repository, as on the disk. Where the file is not in docs/ (DATA_CARD.md,
review/README.md, a CSV of the taxonomy), it becomes part of the site, below repository/, and the link leads there.
A page that mkdocs.yml does not list stands at the end of the navigation.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import site_reference
from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
COPIES = "repository/"
# A backslash before | in a cell: Markdown's dialects differ on whether it is shown within code.
_CELL_CODE = re.compile(r"^\|.*\|$", re.MULTILINE)
_FENCED = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(\]\()([^)\s:#]+)((?:#[^)\s]*)?\))")

PAGES: dict[str, Callable[[], str]] = {
    "reference/cli.md": site_reference.command_line,
    "reference/params.md": site_reference.settings,
    "reference/losses.md": site_reference.losses,
    "reference/metrics.md": site_reference.metrics,
    "reference/release_files.md": site_reference.release_files,
}

_scratch: list[tempfile.TemporaryDirectory[str]] = []


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Show mkdocstrings a folder hgld/ with the package `benchmarks` alone: the root has environments and data, too."""
    _scratch.append(tempfile.TemporaryDirectory())
    package = Path(_scratch[-1].name) / "hgld"
    package.mkdir()
    (package / "benchmarks").symlink_to(ROOT / "benchmarks")
    config.markdown_extensions.append(_Doctests())
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [str(package.parent)]
    return config


class _Doctests(Extension):
    """Shows the doctests of docstrings as code: Markdown takes >>> for a quotation."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name that Markdown calls
        md.preprocessors.register(_FenceDoctests(md), "doctests", 29)  # before fences are read


class _FenceDoctests(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        found, fenced, inside = list[str](), False, False
        for line in lines:
            fenced ^= line.lstrip().startswith("```")
            if not fenced and not inside and line.startswith(">>> "):
                found.append("```python")
                inside = True
            elif inside and not line.strip():
                found.append("```")
                inside = False
            found.append(line)
        return [*found, "```"] if inside else found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the files outside docs/ that pages link to, and those that these link to."""
    for name, text in PAGES.items():
        files.append(File.generated(config, name, content=text()))
    waiting = list(files.documentation_pages())
    for page in waiting:
        for target in _targets(page.src_uri, page.content_string):
            name = _site_name(target)
            if name.startswith(COPIES) and name not in files.src_uris and (ROOT / target).is_file():
                copy = File.generated(config, name, abs_src_path=str(ROOT / target))
                files.append(copy)
                if copy.is_documentation_page():
                    waiting.append(copy)
    return files


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Put the pages that mkdocs.yml does not list at the end, those of docs/ before copies."""
    listed = {page.file.src_uri for page in nav.pages}
    others = [file for file in files.documentation_pages() if file.src_uri not in listed]
    if others:
        from mkdocs.structure.nav import Section

        others.sort(key=lambda file: (file.src_uri.startswith(COPIES), file.src_uri))
        pages = [Page(None, file, config) for file in others]
        section = Section("More", list(pages))
        for page in pages:
            page.parent = section
        nav.items.append(section)
        nav.pages.extend(pages)
        for before, after in zip(nav.pages, nav.pages[1:], strict=False):
            before.next_page, after.previous_page = after, before
    return nav


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to files outside docs/ to their copies; links of copies into docs/ to the pages."""
    here = page.file.src_uri

    def lead(match: re.Match[str]) -> str:
        name = _site_name(_resolve(here, match[2]))
        return match[1] + posixpath.relpath(name, posixpath.dirname(here) or ".") + match[3]

    markdown = _CELL_CODE.sub(
        lambda row: re.sub(r"`[^`]+`", lambda code: code[0].replace("\\|", "|"), row[0]), markdown
    )
    parts = _FENCED.split(markdown)
    return "".join(part if number % 2 else _LINK.sub(lead, part) for number, part in enumerate(parts))


def on_post_build(config: MkDocsConfig) -> None:
    """Remove the folder of on_config."""
    while _scratch:
        _scratch.pop().cleanup()


def _targets(page: str, markdown: str) -> Iterator[str]:
    """The files of the repository that a page links to."""
    for part in _FENCED.split(markdown)[::2]:
        for match in _LINK.finditer(part):
            yield _resolve(page, match[2])


def _resolve(page: str, link: str) -> str:
    """The file of the repository that a link in a page of the site means, as a path from the root."""
    own = page.removeprefix(COPIES) if page.startswith(COPIES) else f"docs/{page}"
    return posixpath.normpath(posixpath.join(posixpath.dirname(own), link))


def _site_name(file: str) -> str:
    """The source name on the site of a file of the repository."""
    return file.removeprefix("docs/") if file.startswith("docs/") else COPIES + file
