"""The sections of DATA_CARD.md that every release repeats: the text between two marks, with its own numbers.

    <!-- release -->
    text, with blocks <!-- numbers:NAME --> ... <!-- /numbers -->
    <!-- /release -->

`hgld card` fills the same blocks in DATA_CARD.md itself.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from hgld.foundation.errors import HgldError, suggest
from hgld.pipeline.dataset.card_numbers import BLOCKS, Numbers

BLOCK = re.compile(r"<!-- numbers:(?P<name>[a-z-]+)(?P<options>[^>]*) -->\n(?P<body>.*?)<!-- /numbers -->", re.DOTALL)
OPEN = re.compile(r"<!-- numbers\b")
CLOSE = "<!-- /numbers -->"
_MARK = re.compile(r"<!-- (/?)release -->\n?")
# The blocks made of card.json alone; others need the metrics of a stage, even of one that comes after the release.
_OWN = ("splits", "sources", "labels", "missing", "quality", "rules", "continents", "countries")


def read_card(path: Path) -> str:
    """The text of the card. Raises HgldError when it is missing or not UTF-8 text."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HgldError(f"no {path} here; run hgld in the root of the repository") from None
    except UnicodeDecodeError:
        raise HgldError(f"{path}: not UTF-8 text; restore it from git") from None
    except OSError as error:
        raise HgldError(f"{path}: cannot be read: {error.strerror}; restore it from git") from None


def line_of(text: str, position: int) -> int:
    """The number of the line in which a position of the text is."""
    return text.count("\n", 0, position) + 1


def release_sections(path: Path, numbers: Numbers) -> str:
    """The marked text of the card at `path`, one part after the other, its blocks filled and their marks removed.

    numbers: the content of the release's card.json.

    Raises HgldError, with the line, for marks that do not come in pairs, and for a block that is not closed or not made
    of these numbers.
    """
    text = read_card(path)
    parts = list(_marked(text, path))
    if not parts:
        raise HgldError(f"{path}: no text between <!-- release --> and <!-- /release -->; restore it from git")
    return "\n\n".join(_filled(text[start:end], numbers, f"{path}:{line_of(text, start)}") for start, end in parts)


def _marked(text: str, path: Path) -> Iterator[tuple[int, int]]:
    """Where each part of the text between two marks begins and ends."""
    start = None
    for mark in _MARK.finditer(text):
        closes = bool(mark[1])
        if closes != (start is not None):
            raise HgldError(
                f"{path}:{line_of(text, mark.start())}: <!-- release --> and <!-- /release --> do not come in pairs"
            )
        if start is not None:
            yield start, mark.start()
        start = None if closes else mark.end()
    if start is not None:
        raise HgldError(f"{path}:{line_of(text, start) - 1}: <!-- release --> is never closed; add <!-- /release -->")


def _filled(text: str, numbers: Numbers, where: str) -> str:
    """A part with its blocks filled; where: file and line at which it begins."""

    def fill(block: re.Match[str]) -> str:
        if block["name"] not in _OWN:
            raise HgldError(
                f"{where}: block 'numbers:{block['name']}' is not one of a release ({', '.join(_OWN)}); move it out of "
                f"the marks{suggest(block['name'], _OWN)}"
            )
        return BLOCKS[block["name"]](numbers, Path()).strip()

    filled = BLOCK.sub(fill, text.strip())
    if rest := OPEN.search(filled):
        raise HgldError(f"{where}: {filled[rest.start() :][:40]!r} is not a block, or never closed; add {CLOSE}")
    return filled
