"""Names of Commons categories: from and to the percent-encoded URLs of GLDv2.

The normal form is the title that Commons and Wikidata use, without its prefix. The rules are those of MediaWiki's title
parser with the settings of Commons, in this order: character references and percent-encoding are decoded, each once;
directional marks are dropped; runs of spaces and underscores are one space; NFC; the prefix; the fragment after a #;
what no title may contain; the title-case first letter.
"""

import re
import unicodedata
from collections.abc import Iterable
from html.entities import html5
from pathlib import Path
from urllib.parse import quote, unquote

from hgld.foundation.errors import HgldError

URL = "http://commons.wikimedia.org/wiki/Category:"

# Most URLs of GLDv2: nothing in such a title is to be decoded, to be refused, or of another case.
_PLAIN = re.compile(re.escape(URL) + r"([A-Z][A-Za-z0-9(),'.-]*(?:_[A-Za-z0-9(),'.-]+)*)")
# Both entry points of MediaWiki; a `title` among the parameters decides.
_HOST = r"(?:(?:https?:)?//)?commons\.(?:m\.)?wikimedia\.org(?::\d+)?/"
_SCRIPT = re.compile(_HOST + r"[^?#]*\?(?:[^#]*&)?title=(?P<title>[^&#]*)", re.IGNORECASE)
_PAGE = re.compile(_HOST + r"wiki/(?P<title>(?:[^?#]|(?<=&)#)*)", re.IGNORECASE)
# CAT is an alias of the namespace on Commons.
_NAMESPACE = re.compile(r":? ?cat(?:egory)? ?: ?", re.IGNORECASE)
# Pages that are no categories: of another namespace on Commons, and the categories of another wiki.
_NO_CATEGORY = re.compile(
    r":? ?(?:(?:user|commons|project|file|image|mediawiki|template|help|category|creator|institution|timedtext|module"
    r"|data|campaign|translations)(?: talk)?|talk|special|media|[^:]+: ?cat(?:egory)?) ?:",
    re.IGNORECASE,
)

# Unlike in HTML, the semicolon is required, and numbers are code points, never bytes of Windows-1252.
_REFERENCE = re.compile(r"&(?:#0*(?P<decimal>[0-9]+)|#x0*(?P<hex>[0-9a-f]+)|(?P<name>[a-z0-9]+));", re.IGNORECASE)
_MARKS = re.compile("[\u200e\u200f\u202a-\u202e]")
# around a cell of a CSV, which is no part of the text
_BLANKS = " \t\r\n"
_SPACES = re.compile("[ _\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
# A # after an & is what is left of a character reference.
_FRAGMENT = re.compile("(?<!&)#.*", re.DOTALL)
# Control characters, also tab and line feed; a second encoding; relative paths; signatures; URLs elsewhere.
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f<>\\[\\]|{}\ufffd-\uffff\ud800-\udfff]|%[0-9A-Fa-f]{2}|&#|&[A-Za-z0-9\x80-\U0010ffff]+;|^:"
    "|(?:^|/)[.]{1,2}(?:/|$)|~~~|^(?i:https?)://"
)
_MOST_BYTES = 255
# The longest URL of a title: percent-encoded, with room for the rest of the URL.
_MOST_CHARACTERS = 8192
# of a text that a message quotes
_MOST_QUOTED = 100

# Characters that GLDv2 does not percent-encode, from 9,689 of its published names, all of which round-trip.
_UNQUOTED = "!$'()*,/:;@_~"

# Confidence that an item is what a category is about, highest first.
CONFIDENCES = ("high", "medium", "low")


def normalise(text: str, *, stored: bool = False) -> str:
    """The normal form of a URL, a prefixed title, or a name.

    stored: the text is a name that this function has returned, as verdicts hold it, or was meant to be one. It may
    begin like another namespace, as that of `Category:Media:Stadt` does, and is its own normal form. In a text from
    elsewhere such a beginning means another page.

    >>> normalise("http://commons.wikimedia.org/wiki/Category:Cath%C3%A9drale_de_Noyon")
    'Cathédrale de Noyon'
    >>> normalise("category:hoover_Dam"), normalise("Chicago Hilton &amp; Towers#Rooms")
    ('Hoover Dam', 'Chicago Hilton & Towers')
    >>> normalise("Category:Media:Stadt"), normalise("Media:Stadt", stored=True)
    ('Media:Stadt', 'Media:Stadt')

    Raises HgldError when the percent-encoding is not UTF-8, when no valid title remains, and for another page or wiki.
    """
    if (plain := _PLAIN.fullmatch(text)) and len(plain[1]) <= _MOST_BYTES:
        return plain[1].replace("_", " ")
    if len(text) > _MOST_CHARACTERS:
        raise _invalid(text, f"{len(text):,} characters; a title on Commons has at most {_MOST_BYTES} bytes")
    name, is_url = _decoded(text)
    name = _SPACES.sub(" ", unicodedata.normalize("NFC", _MARKS.sub("", name))).strip(" ")
    prefixed = _NAMESPACE.match(name)
    if not prefixed and ((is_url and name) or (not stored and _NO_CATEGORY.match(name))):
        raise _invalid(text, "another page; expected Category:Name, or the URL of a category on Commons")
    while prefix := _NAMESPACE.match(name):
        name = name[prefix.end() :]
    name = _FRAGMENT.sub("", name).rstrip(" ")
    if not name:
        raise HgldError(f"no category name in {_quoted(text)}")
    if forbidden := _FORBIDDEN.search(name):
        raise _invalid(text, f"{forbidden[0]!r} cannot be in a title on Commons{_hint(forbidden[0])}")
    # again, as an upper-case letter may compose with a following mark where the lower-case one does not
    name = unicodedata.normalize("NFC", _first_upper(name))
    if (size := len(name.encode("utf-8"))) > _MOST_BYTES:
        raise _invalid(text, f"{size} bytes; a title on Commons has at most {_MOST_BYTES}")
    return name


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
        raise HgldError(*problems)
    return names


def category_url(name: str) -> str:
    """The URL of a category as GLDv2 writes it.

    >>> category_url("Chicago Hilton & Towers")
    'http://commons.wikimedia.org/wiki/Category:Chicago_Hilton_%26_Towers'
    """
    return URL + quote(name.replace(" ", "_"), safe=_UNQUOTED)


def _decoded(text: str) -> tuple[str, bool]:
    """The title in a URL or a text, and whether it is a URL: character references, then percent-encoding, each once.

    What is encoded twice keeps an encoding, which no title may contain.
    """
    name = _REFERENCE.sub(_character, text.strip(_BLANKS))
    # in a URL an unescaped ? ends the title; in a title it is text
    is_url = True
    if script := _SCRIPT.match(name):
        name = script["title"].replace("+", " ")
    elif page := _PAGE.match(name):
        name = page["title"]
    else:
        is_url = False
    try:
        return unquote(name, errors="strict"), is_url
    except UnicodeDecodeError:
        raise HgldError(f"the percent-encoding of {_quoted(text)} is not UTF-8") from None


def _character(reference: re.Match[str]) -> str:
    """What a character reference stands for; U+FFFD for an invalid number, itself for an unknown name."""
    if reference["name"]:
        return html5.get(f"{reference['name']};", reference[0])
    digits = reference["decimal"] or reference["hex"]
    number = int(digits, 10 if reference["decimal"] else 16) if len(digits) <= len("1114111") else 0
    is_text = number in (9, 10) or 0x20 <= number <= 0x7E or 0xA0 <= number <= 0x10FFFF
    return chr(number) if is_text else "\ufffd"


def _first_upper(name: str) -> str:
    """The title-case first letter of MediaWiki.

    Title case, not upper case: Georgian letters stay, and digraphs become ǅ, not Ǆ. On Commons ß stays.
    """
    first = name[0]
    return name if first == "ß" else first.title() + name[1:]


def _hint(forbidden: str) -> str:
    """The end of a message about what cannot be in a title: a likely cause, or nothing."""
    if forbidden[0] in "%&":
        return "; is the text encoded twice?"
    if forbidden == ":" or forbidden.endswith("//"):
        return "; give Category:Name, or the URL of a category there"
    return ""


def _invalid(text: str, problem: str) -> HgldError:
    return HgldError(f"{_quoted(text)} is not a category: {problem}")


def _quoted(text: str) -> str:
    return repr(text) if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]!r}..."
