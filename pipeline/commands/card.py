"""DATA_CARD.md: prose by people, numbers by the release.

A block is what stands between `<!-- numbers:NAME -->` and `<!-- /numbers -->`. It is generated; the rest is not
touched. Some figures come out of a training, and a training on another processor gives slightly other weights: such a
block ends with the checksum of what it was made from. Where that is the same, the check is exact. Where it is not, the
check is within the tolerance that the block states (`<!-- numbers:NAME tolerance=0.05 -->`, absolute; relative=0.2 is a
share of the figure), and a block without one is left unchecked, which the check says.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import read_json, sha256, write_text
from hgld.foundation.settings import Params
from hgld.pipeline.dataset.card_numbers import BLOCKS, MADE_FROM, Numbers

_BLOCK = re.compile(
    r"<!-- numbers:(?P<name>[a-z-]+)(?P<rest>[^>]*) -->\n(?P<body>.*?)<!-- /numbers -->", re.DOTALL
)
_OPEN = re.compile(r"<!-- numbers\b")
_CLOSE = "<!-- /numbers -->"
_TOLERANCE = re.compile(r" (tolerance|relative)=(\d+(?:\.\d+)?)")
_MADE_FROM = re.compile(r"^Made from .*$", re.MULTILINE)
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class _Tolerance:
    """How far two figures may lie apart, and how a reader is told."""

    absolute: float = 0.0
    relative: float = 0.0

    def allows(self, old: str, new: str) -> bool:
        """Whether two lines say the same, but for figures that are near enough."""
        if _NUMBER.sub("#", old) != _NUMBER.sub("#", new):
            return False
        pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
        return all(self._near(float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs)

    def _near(self, one: float, other: float) -> bool:
        # half of the last printed digit: 0.30 and 0.35 are 0.05 apart, in floating point a little more
        return abs(one - other) <= max(self.absolute, self.relative * max(one, other)) + 1e-9

    def sentence(self) -> str:
        if not (self.absolute or self.relative):
            return ""
        range_ = f"±{self.absolute:g}" if self.absolute else f"±{self.relative:.0%}"
        return f"\nTrained on another processor, they may differ by {range_}.\n"


def render(text: str, card: Numbers, data: Path) -> str:
    """`text` with every block filled from the numbers of `card` and of the metrics below `data`.

    Raises HgldError for a block that is unknown or not closed (with its line), or metrics that are not there.
    """
    blocks = list(_BLOCK.finditer(text))
    starts = {block.start() for block in blocks}
    for mark in _OPEN.finditer(text):
        if mark.start() not in starts:
            raise HgldError(
                f"line {_line(text, mark.start())}: a block 'numbers' that is malformed or never closed"
            )
    for block in reversed(blocks):
        body = _body(block, card, data, _line(text, block.start()))
        text = text[: block.start("body")] + body + text[block.end("body") :]
    return text


def _body(block: re.Match[str], card: Numbers, data: Path, line: int) -> str:
    name = block["name"]
    if name not in BLOCKS:
        raise HgldError(f"line {line}: no block 'numbers:{name}'{suggest(name, BLOCKS)}")
    if _OPEN.search(block["body"]):
        raise HgldError(f"line {line}: the block 'numbers:{name}' is never closed")
    return f"\n{BLOCKS[name](card, data)}{_tolerance(block, line).sentence()}{_made_from(name, data)}\n"


def _made_from(name: str, data: Path) -> str:
    if name not in MADE_FROM:
        return ""
    path = data / MADE_FROM[name]
    if not path.is_file():
        raise HgldError(f"no {path}; run the stage that makes it: dvc repro {path.parent.name}")
    return f"\nMade from {MADE_FROM[name]} {sha256(path)[:16]}.\n"


def _tolerance(block: re.Match[str], line: int) -> _Tolerance:
    found = _TOLERANCE.fullmatch(block["rest"])
    if block["rest"] and not found:
        raise HgldError(
            f"line {line}: expected tolerance=NUMBER or relative=NUMBER, found '{block['rest'].strip()}'"
        )
    if not found:
        return _Tolerance()
    return (
        _Tolerance(absolute=float(found[2]))
        if found[1] == "tolerance"
        else _Tolerance(relative=float(found[2]))
    )


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def write_card(params: Params, path: Path) -> None:
    """Write the release's numbers into the blocks of the card; its prose stays as it is.

    Raises HgldError when the card, the release or a block's metrics are not there.
    """
    text = _card_text(path)
    new = _rendered(text, params, path)
    if new != text:
        write_text(new, path)


def check_card(params: Params, path: Path) -> list[str]:
    """The blocks that could not be checked, when all others say what the release says.

    Raises HgldError that lists the lines that do not.
    """
    text = _card_text(path)
    new = _rendered(text, params, path)
    if not _BLOCK.search(text) or text.count(_CLOSE) != len(_BLOCK.findall(text)):
        raise HgldError(
            f"{path}: a mark of a block 'numbers' is missing; there is nothing to check without it"
        )
    wrong: list[str] = []
    unchecked = []
    for old_block, new_block in zip(_BLOCK.finditer(text), _BLOCK.finditer(new), strict=True):
        line = _line(text, old_block.start("body"))
        tolerance = _tolerance(old_block, line)
        said, is_ = (_MADE_FROM.findall(block["body"]) for block in (old_block, new_block))
        if not said or said == is_:
            wrong += _differences(old_block, new_block, _Tolerance(), f"{path}:{line}")
        elif tolerance == _Tolerance():
            unchecked.append(old_block["name"])
        else:
            wrong += _differences(old_block, new_block, tolerance, f"{path}:{line}")
    if wrong:
        raise HgldError(f"{path} does not state the release's numbers; run: hgld card\n" + "\n".join(wrong))
    return unchecked


def _differences(old: re.Match[str], new: re.Match[str], near: _Tolerance, place: str) -> list[str]:
    path, _, start = place.rpartition(":")
    said, is_ = (_MADE_FROM.sub("", block["body"]).splitlines() for block in (old, new))
    if len(said) != len(is_):
        return [f"{place}: the block '{old['name']}' has {len(said)} lines, the release gives {len(is_)}"]
    return [
        f"{path}:{number}: states {a!r}, the release says {b!r}"
        for number, (a, b) in enumerate(zip(said, is_, strict=True), start=int(start))
        if not near.allows(a, b)
    ]


def _rendered(text: str, params: Params, path: Path) -> str:
    card = read_json(params.data / "release" / "card.json")
    try:
        return render(text, card, params.data)
    except HgldError as error:
        raise HgldError(f"{path}: {error}") from None


def _card_text(path: Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HgldError(f"no {path} here; run hgld in the root of the repository") from None
