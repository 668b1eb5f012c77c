"""The one exception that a user sees as a message instead of a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class HgldError(Exception):
    """Something a user can act on: what was expected, what was found, where, and what to do."""


def suggest(word: str, options: Iterable[str]) -> str:
    """The end of a message about an unknown word, naming the nearest known one, or nothing.

    >>> suggest("temprature", ["temperature", "margin"])
    "; did you mean 'temperature'?"
    >>> suggest("hap", ["NDCG", "H-AP"])
    "; did you mean 'H-AP'?"
    >>> suggest("xyz", ["temperature"])
    ''
    """
    by_small = {option.lower(): option for option in options}
    near = get_close_matches(word.lower(), by_small, n=1)
    return f"; did you mean '{by_small[near[0]]}'?" if near else ""
