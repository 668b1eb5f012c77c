"""Names from outside are shown, and cannot act: on a terminal, on a page, in a chart."""

import sys
import unicodedata

import pytest

from hgld.foundation.display import svg
from hgld.foundation.display.visible import visible

# By the Unicode database: controls, line and paragraph separators, surrogates, and all that sets a direction.
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"}
JOINERS = "\u200c\u200d"  # spelling, not direction


def test_no_control_or_bidirectional_character_of_unicode_is_left() -> None:
    hidden = [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") or unicodedata.bidirectional(char) in DIRECTIONS
    ]
    hidden += ["\u200e", "\u200f", "\u061c"]
    left = [f"U+{ord(char):04X}" for char in hidden if char in visible(f"a{char}b") and char not in JOINERS]
    assert left == []
    assert all(visible(char).isascii() and visible(char).startswith("\\") for char in set(hidden) - set(JOINERS))


@pytest.mark.parametrize(
    "text", ["Église Saint-Rouge", "北京故宫", "قلعة حلب", "می\u200cخواهم", "👨\u200d👩\u200d👧", "C:\\temp", ""]
)
def test_letters_of_every_script_stay(text: str) -> None:
    assert visible(text) == text


def test_charts_show_hidden_characters_and_escape_html() -> None:
    name = "<b>\x1b\u202e"
    for chart in (
        svg.bars({name: [0.5]}, [name], name),
        svg.lines({name: [1.0, 2.0]}, [1.0, 2.0], name),
        svg.horizontal_bars({name: (0.5, 3)}, name),
        svg.unit_square([svg.CurvePoint(0.5, 0.5, 0.4, 0.6, name)], name, name, name),
    ):
        assert r"&lt;b&gt;\x1b\u202e" in chart
        assert not {"\x1b", "\u202e"} & set(chart) and "<b>" not in chart


def test_a_chart_of_many_series_uses_the_colours_again() -> None:
    chart = svg.lines({f"loss {n}": [1.0, 2.0] for n in range(10)}, [1.0, 2.0], "losses")
    assert 'class="line s7"' in chart and 'class="line s8"' not in chart
