"""The one exception that a user sees as a message instead of a traceback."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class HgldError(Exception):
    """An error that the user can fix; its message says what is wrong, where, and the remedy."""


# The end of the default text of an object, such as " <_io.BytesIO object at 0x7f0123456789>".
_ADDRESS = re.compile(r"\s*<[^<>]* at 0x[0-9a-fA-F]+[^<>]*>")


def reason(error: BaseException) -> str:
    """The message of a library's exception on one line, without memory addresses: it may go into an output.

    >>> reason(OSError("cannot identify image file <_io.BytesIO object at 0x7f01>"))
    'cannot identify image file'
    >>> reason(MemoryError())
    'MemoryError'
    """
    return " ".join(_ADDRESS.sub("", str(error)).split()) or type(error).__name__


def suggest(word: str, options: Iterable[str]) -> str:
    """The end of a message about an unknown word: the closest of `options`, or nothing if none is close.

    >>> suggest("temprature", ["temperature", "margin"])
    "; did you mean 'temperature'?"
    >>> suggest("hap", ["NDCG", "H-AP"])
    "; did you mean 'H-AP'?"
    >>> suggest("xyz", ["temperature"])
    ''
    """
    by_lower = {option.lower(): option for option in options}
    matches = get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean '{by_lower[matches[0]]}'?" if matches else ""


def shortened(problems: Sequence[str], limit: int = 20) -> str:
    """The first `limit` problems, one a line, and how many more there are.

    >>> shortened(["a", "b", "c"], limit=2)
    'a\\nb\\n... and 1 more'
    """
    rest = len(problems) - limit
    return "\n".join([*problems[:limit], *([f"... and {rest} more"] if rest > 0 else [])])
