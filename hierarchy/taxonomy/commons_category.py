"""Names of Commons categories: from and to the percent-encoded URLs of GLDv2.

The normal form is the title that Commons and Wikidata use: no prefix, spaces, NFC, upper-case first letter.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote

from hgld.foundation.errors import HgldError

URL = "http://commons.wikimedia.org/wiki/Category:"

_PAGE = re.compile(r"(?:https?:)?//commons\.(?:m\.)?wikimedia\.org/wiki/(?P<title>[^?#]*)", re.IGNORECASE)
_SCRIPT = re.compile(
    r"(?:https?:)?//commons\.(?:m\.)?wikimedia\.org/w/index\.php\?(?:[^#]*&)?title=(?P<title>[^&#]*)",
    re.IGNORECASE,
)
_NAMESPACE = re.compile(r":?\s*category\s*:", re.IGNORECASE)
# MediaWiki drops directional marks, and forbids these characters in titles.
_MARKS = re.compile("[\u200e\u200f\u202a-\u202e]")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f#<>\[\]|{}\ufffd\ud800-\udfff]")

# Characters that GLDv2 does not percent-encode, from 9,689 of its published names, all of which round-trip.
_UNQUOTED = "!$'()*,/:;@_~"

# Confidence that an item is what a category is about, highest first.
CONFIDENCES = ("high", "medium", "low")


def normalise(text: str) -> str:
    """The normal form of a URL, a prefixed title, or a name; idempotent.

    >>> normalise("http://commons.wikimedia.org/wiki/Category:Cath%C3%A9drale_de_Noyon")
    'Cathédrale de Noyon'
    >>> normalise("category:hoover_Dam")
    'Hoover Dam'

    Raises HgldError when the percent-encoding is not UTF-8, or when no valid title remains.
    """
    name = text.strip()
    # in a URL an unescaped ? or # ends the title; in a title they are text
    if url := _PAGE.match(name) or _SCRIPT.match(name):
        name = url["title"]
    name = _decoded(name, text)
    name = " ".join(unicodedata.normalize("NFC", _MARKS.sub("", name)).replace("_", " ").split())
    while prefix := _NAMESPACE.match(name):
        name = name[prefix.end() :].strip()
    if not name:
        raise HgldError(f"no category name in {text!r}")
    if forbidden := _FORBIDDEN.search(name):
        raise HgldError(f"{text!r} is not a category: {forbidden[0]!r} cannot be in a title on Commons")
    # again, as an upper-case letter may compose with a following mark where the lower-case one does not
    return unicodedata.normalize("NFC", _first_upper(name))


def normalise_rows(path: Path, texts: Iterable[str], lines: Iterable[int], *, blank: bool = False) -> list[str]:
    """The names in a column of a file.

    lines: the line of each value. blank: a blank value gives "" instead of an error.

    Raises HgldError that lists every invalid value (file:line).
    """
    names, problems = [], []
    for line, text in zip(lines, texts, strict=True):
        try:
            names.append("" if blank and not text.strip() else normalise(text))
        except HgldError as error:
            problems.append(f"{path}:{line}: {error}")
    if problems:
        raise HgldError("\n".join(problems))
    return names


def category_url(name: str) -> str:
    """The URL of a category as GLDv2 writes it.

    >>> category_url("Chicago Hilton & Towers")
    'http://commons.wikimedia.org/wiki/Category:Chicago_Hilton_%26_Towers'
    """
    return URL + quote(name.replace(" ", "_"), safe=_UNQUOTED)


def _decoded(name: str, text: str) -> str:
    """Percent-decoded until stable: MediaWiki forbids titles with a percent sign before two hex digits."""
    try:
        while (plain := unquote(name, errors="strict")) != name:
            name = plain
    except UnicodeDecodeError:
        raise HgldError(f"the percent-encoding of '{text}' is not UTF-8") from None
    return name


def _first_upper(name: str) -> str:
    """The upper-case first letter of MediaWiki, which leaves letters without a single upper-case letter (ß)."""
    first = name[0].upper()
    return first + name[1:] if len(first) == 1 else name
