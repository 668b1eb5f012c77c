"""Text from outside (names, ids, settings of a file) as it may be shown: nothing in it acts, hides or reorders."""

import re
import sys

# C0, DEL and C1 control characters, invisible and bidirectional formatting, line separators, tags, noncharacters, and
# surrogates. The joiners U+200C and U+200D stay: Persian and Indic names, and emoji, are spelled with them.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""`text` with every control, bidirectional and invisible character as its Python escape.

    >>> visible("Lake\x1b[2J \u202ednE")
    'Lake\\x1b[2J \\u202ednE'
    >>> visible("two\nlines"), visible("Église Saint-Rouge")
    ('two\\nlines', 'Église Saint-Rouge')
    """
    return _HIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def echo(*lines: str) -> None:
    """Print lines that may quote text from outside: none can act, or forge another line.

    What the terminal cannot encode is escaped too.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = "\n".join(map(visible, lines))
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def echo_text(text: str) -> None:
    """Print a text made of several lines, such as a table; whatever made it put each value through `visible`."""
    lines = text.split("\n")
    echo(*lines)
