"""The credit that the license of an image asks for: title, author, license with its URL, source.

Authors on Wikimedia Commons are often links in HTML, and licenses names or URLs; here they become text and URL.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser

_CC = "https://creativecommons.org"
_TERMS = "by|by-sa|by-nc|by-nd|by-nc-sa|by-nc-nd|sa"
_VERSION = r"(?P<version>[1-4]\.[0-9])"
_CC_URL = re.compile(rf"https?://creativecommons\.org/licenses/(?P<terms>{_TERMS})/{_VERSION}/?(?:(?P<place>[a-z-]{{2,8}})/?)?"
                     r"(?:deed\.[a-z-]{2,8}|legalcode)?", re.IGNORECASE)  # fmt: skip
_CC_NAME = re.compile(rf"CC[ -](?P<terms>{_TERMS})[ -]{_VERSION}(?:[ -](?P<place>[a-z]{{2,8}}))?", re.IGNORECASE)
_ZERO = re.compile(r"CC[ -]?0(?:[ -]1\.0)?|https?://creativecommons\.org/publicdomain/zero/1\.0/?\S*", re.IGNORECASE)
_MARK = re.compile(r"public domain|PD|https?://creativecommons\.org/publicdomain/mark/1\.0/?\S*", re.IGNORECASE)
_WEB = re.compile(r"(?:https?:)?//[^\s/<>\"]+\S*", re.IGNORECASE)
_NO_PLACE = {"", "unported", "international", "deed"}


@dataclass(frozen=True)
class ImageCredit:
    """The parts of a credit as plain text; each may be empty, an URL also where it is none of the web."""

    image_id: str
    title: str
    author: str
    author_url: str
    license: str
    license_url: str
    source_url: str

    @property
    def is_complete(self) -> bool:
        """Whether author and license are known, which every license but CC0 asks for."""
        return bool(self.author and self.license)

    def line(self) -> str:
        """The credit in a line.

        >>> ImageCredit("00", "Etna", "Ana", "", "CC0 1.0", f"{_CC}/publicdomain/zero/1.0/", "https://example.org/e").line()
        '“Etna” by Ana, CC0 1.0 (https://creativecommons.org/publicdomain/zero/1.0/), https://example.org/e'
        """
        title = f"“{self.title}”" if self.title else f"Image {self.image_id}"
        license_text = f"{self.license} ({self.license_url})" if self.license_url else self.license
        parts = [
            f"{title} by {self.author or 'an unknown author'}",
            license_text or "license not stated",
            self.source_url,
        ]
        return ", ".join(part for part in parts if part)


def image_credit(row: Mapping[str, str]) -> ImageCredit:
    """The credit of a row of train_attribution: id, url, author, license, title."""
    author, author_url = plain_author(row["author"])
    license_name, license_url = license_of(row["license"])
    title = " ".join(row["title"].split()).removeprefix("File:")
    return ImageCredit(row["id"], title, author, author_url, license_name, license_url, row["url"].strip())


@lru_cache(4096)  # millions of images have a few licenses
def license_of(text: str) -> tuple[str, str]:
    """The usual name of a license, and its URL, from either; other texts stay, a URL of them as both.

    >>> license_of("http://creativecommons.org/licenses/by-sa/3.0/de/deed.en")
    ('CC BY-SA 3.0 DE', 'https://creativecommons.org/licenses/by-sa/3.0/de/')
    >>> license_of("CC-BY-2.5"), license_of("CC0"), license_of("GFDL")
    (('CC BY 2.5', 'https://creativecommons.org/licenses/by/2.5/'), ('CC0 1.0', \
'https://creativecommons.org/publicdomain/zero/1.0/'), ('GFDL', ''))
    """
    text = " ".join(text.split())
    if _ZERO.fullmatch(text):
        return "CC0 1.0", f"{_CC}/publicdomain/zero/1.0/"
    if _MARK.fullmatch(text):
        return "Public domain", f"{_CC}/publicdomain/mark/1.0/" if _WEB.match(text) else ""
    if match := _CC_URL.fullmatch(text) or _CC_NAME.fullmatch(text):
        terms, place = match["terms"].lower(), (match["place"] or "").lower()
        place = "" if place in _NO_PLACE else place
        name = f"CC {terms.upper()} {match['version']}" + (f" {place.upper()}" if place else "")
        return name, f"{_CC}/licenses/{terms}/{match['version']}/" + (f"{place}/" if place else "")
    return text, web_url(text)


def plain_author(text: str) -> tuple[str, str]:
    """The author without markup, and the URL of the first link, "" where there is none.

    >>> plain_author('<a href="//commons.wikimedia.org/wiki/User:Ana" title="User:Ana">Ana &amp; Co</a>')
    ('Ana & Co', 'https://commons.wikimedia.org/wiki/User:Ana')
    >>> plain_author("A < B"), plain_author('<a href="javascript:alert(1)">X</a>')
    (('A < B', ''), ('X', ''))
    """
    if "<" not in text and "&" not in text:
        return " ".join(text.split()), ""
    parser = _Text()
    parser.feed(text)
    parser.close()
    return " ".join("".join(parser.texts).split()), next(filter(None, map(web_url, parser.links)), "")


class _Text(HTMLParser):
    """Collects the text and the links of a piece of HTML; what is hidden is no text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a link; a line break and the end of a block are spaces."""
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]
        self.texts += [" "] * (tag in {"br", "p", "div", "li", "td"})

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self.texts.append(data)


def web_url(text: str) -> str:
    """The text as an https or http URL, "" for anything else, such as a script.

    >>> web_url("//example.org/x"), web_url("javascript:alert(1)")
    ('https://example.org/x', '')
    """
    text = text.strip()
    if not _WEB.fullmatch(text):
        return ""
    return f"https:{text}" if text.startswith("//") else text
