"""The one exception that a user sees as a message instead of a traceback."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from hgld.foundation.display.visible import visible


class HgldError(Exception):
    r"""An error that the user can fix; its message says what is wrong, where, and the remedy.

    Each argument is one line of the message. Whatever a line quotes (a name, a path, the text of a library) cannot act
    on a terminal or forge another line: its control and bidirectional characters are shown, line ends among them.

    >>> str(HgldError("2 problems", "a.csv:1: 'x\ny'"))
    "2 problems\na.csv:1: 'x\\ny'"
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*map(visible, lines))

    def __str__(self) -> str:
        return "\n".join(self.args)

    def within(self, where: str) -> "HgldError":
        """The error with the place where it was met in front of its first line."""
        first, *rest = self.args
        return HgldError(f"{where}: {first}", *rest)


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


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception says that memory is lacking, by whatever library: no fault of the file that is being read.

    >>> lacks_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory")), lacks_memory(ValueError("bad magic"))
    (True, False)
    """
    return isinstance(error, MemoryError) or re.search("out of memory|allocate memory", str(error)) is not None


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


def shortened(problems: Sequence[str], limit: int = 20) -> list[str]:
    """The first `limit` problems, and how many more there are.

    >>> shortened(["a", "b", "c"], limit=2)
    ['a', 'b', '... and 1 more']
    """
    rest = len(problems) - limit
    return [*problems[:limit], *([f"... and {rest} more"] if rest > 0 else [])]
