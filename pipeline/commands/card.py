"""`hgld card`: DATA_CARD.md has prose by people and numbers from the release.

The text between `<!-- numbers:NAME -->` and `<!-- /numbers -->` is a generated block; the rest is never changed. Some
numbers depend on trained weights, which differ slightly from one processor to another. Such a block ends with the
checksum of the file that it was made from. If the checksum matches, the check is exact. Otherwise numbers may differ by
the tolerance in the opening mark (`<!-- numbers:NAME tolerance=0.05 -->` is absolute, relative=0.2 relative), and a
block without a tolerance is reported as unchecked.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.files import read_json, sha256, write_text
from hgld.foundation.settings import Params
from hgld.pipeline.dataset.card_numbers import BLOCKS, MADE_FROM, Numbers
from hgld.pipeline.release.texts.data_card import BLOCK, CLOSE, OPEN, line_of, read_card

_TOLERANCE = re.compile(r" (tolerance|relative)=(\d+(?:\.\d+)?)")
_MADE_FROM = re.compile(r"^Made from .*$", re.MULTILINE)
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class _Tolerance:
    """The largest difference between two numbers, and the sentence about it in the card."""

    absolute: float = 0.0
    relative: float = 0.0

    def allows(self, old: str, new: str) -> bool:
        """Whether two lines are equal except for numbers within the tolerance."""
        if _NUMBER.sub("#", old) != _NUMBER.sub("#", new):
            return False
        pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
        return all(self._near(float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs)

    def _near(self, a: float, b: float) -> bool:
        # 1e-9 for rounding: 0.35 - 0.30 is a little more than 0.05 in floating point
        return abs(a - b) <= max(self.absolute, self.relative * max(a, b)) + 1e-9

    def sentence(self) -> str:
        if not (self.absolute or self.relative):
            return ""
        range_ = f"±{self.absolute:g}" if self.absolute else f"±{self.relative:.0%}"
        return f"\nTrained on another processor, they may differ by {range_}.\n"


def render(text: str, numbers: Numbers, data: Path) -> str:
    """`text` with every block generated from `numbers` and the metrics below `data`.

    Raises HgldError for a block that is unknown or not closed (with its line), or missing metrics.
    """
    blocks = list(BLOCK.finditer(text))
    starts = {block.start() for block in blocks}
    for mark in OPEN.finditer(text):
        if mark.start() not in starts:
            raise HgldError(
                f"line {line_of(text, mark.start())}: block 'numbers' is malformed or never closed; expected "
                f"<!-- numbers:NAME --> ... {CLOSE}"
            )
    for block in reversed(blocks):
        body = _body(block, numbers, data, line_of(text, block.start()))
        text = text[: block.start("body")] + body + text[block.end("body") :]
    return text


def _body(block: re.Match[str], numbers: Numbers, data: Path, line: int) -> str:
    name = block["name"]
    if name not in BLOCKS:
        raise HgldError(f"line {line}: no block 'numbers:{name}'{suggest(name, BLOCKS)}")
    if OPEN.search(block["body"]):
        raise HgldError(f"line {line}: block 'numbers:{name}' is never closed; add {CLOSE}")
    return f"\n{BLOCKS[name](numbers, data)}{_tolerance(block, line).sentence()}{_made_from(name, data)}\n"


def _made_from(name: str, data: Path) -> str:
    if name not in MADE_FROM:
        return ""
    path = data / MADE_FROM[name]
    if not path.is_file():
        raise HgldError(f"no {path}; run the stage that makes it: dvc repro {path.parent.name}")
    return f"\nMade from {MADE_FROM[name]} {sha256(path)[:16]}.\n"


def _tolerance(block: re.Match[str], line: int) -> _Tolerance:
    match = _TOLERANCE.fullmatch(block["options"])
    if block["options"] and not match:
        raise HgldError(
            f"line {line}: expected tolerance=NUMBER or relative=NUMBER, found {block['options'].strip()!r}"
        )
    if not match:
        return _Tolerance()
    kind, value = match.groups()
    return _Tolerance(absolute=float(value)) if kind == "tolerance" else _Tolerance(relative=float(value))


def card(params: Params, path: Path, *, only_check: bool = False) -> str:
    """Write the numbers of the release into the card at `path`, or only check them; returns a summary.

    Raises HgldError as `write_card` and `check_card` do.
    """
    if not only_check:
        write_card(params, path)
        return f"{path} has the numbers of the release."
    summary = f"{path} matches the release."
    if unchecked := check_card(params, path):
        blocks = ", ".join(unchecked)
        summary += f"\nNot checked, as they depend on another model or other proposals: {blocks}."
    return summary


def write_card(params: Params, path: Path) -> None:
    """Write the numbers of the release into the blocks of the card; its prose is not changed.

    Raises HgldError if the card, the release or the metrics of a block are missing.
    """
    text = read_card(path)
    new = _rendered(text, params, path)
    if new != text:
        write_text(new, path)


def check_card(params: Params, path: Path) -> list[str]:
    """Check the blocks of the card; returns the names of those that could not be checked.

    Raises HgldError that lists every line that differs from the release (file:line).
    """
    text = read_card(path)
    new = _rendered(text, params, path)
    if not BLOCK.search(text) or text.count(CLOSE) != len(BLOCK.findall(text)):
        raise HgldError(f"{path}: nothing to check, as a mark of a block 'numbers' is missing; restore it from git")
    differences: list[str] = []
    unchecked = []
    for old_block, new_block in zip(BLOCK.finditer(text), BLOCK.finditer(new), strict=True):
        line = line_of(text, old_block.start("body"))
        tolerance = _tolerance(old_block, line)
        old_source, new_source = (_MADE_FROM.findall(block["body"]) for block in (old_block, new_block))
        if not old_source or old_source == new_source:
            differences += _differences(old_block, new_block, _Tolerance(), path, line)
        elif tolerance == _Tolerance():
            unchecked.append(old_block["name"])
        else:
            differences += _differences(old_block, new_block, tolerance, path, line)
    if differences:
        raise HgldError(f"{path} does not match the release; run: hgld card", *differences)
    return unchecked


def _differences(
    old: re.Match[str], new: re.Match[str], tolerance: _Tolerance, path: Path, first_line: int
) -> list[str]:
    old_lines, new_lines = (_MADE_FROM.sub("", block["body"]).splitlines() for block in (old, new))
    if len(old_lines) != len(new_lines):
        counts = f"has {len(old_lines)} lines, the release gives {len(new_lines)}"
        return [f"{path}:{first_line}: block '{old['name']}' {counts}"]
    return [
        f"{path}:{number}: states {old_line!r}, the release says {new_line!r}"
        for number, (old_line, new_line) in enumerate(zip(old_lines, new_lines, strict=True), first_line)
        if not tolerance.allows(old_line, new_line)
    ]


def _rendered(text: str, params: Params, path: Path) -> str:
    numbers = read_json(params.data / "release" / "card.json")
    try:
        return render(text, numbers, params.data)
    except HgldError as error:
        raise error.within(str(path)) from None
