"""Curves of means with deviations: where the marks are, and the texts beside them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from hgld.foundation.display.curves import FLOOR, TOP, Panel, Point, curves

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*panels: Panel) -> ElementTree.Element:
    return ElementTree.fromstring(curves(panels, "size & shape", "Scores by <size>"))


def heights(figure: ElementTree.Element) -> list[float]:
    """The heights of the points, in order; the circles of the legend are larger."""
    return [float(mark.get("cy", "")) for mark in figure.iter(f"{SVG}circle") if mark.get("r") == "3.5"]


def test_marks_lie_between_the_ends_of_the_scale_and_deviations_around_them() -> None:
    figure = drawn(Panel("a", ["1", "2", "3"], {"up": [Point(0.0, 0.0), Point(0.1, 0.02), Point(0.2, 0.02)]}))
    first, second, third = heights(figure)
    assert first == FLOOR
    assert TOP < third < second < first
    assert first - second == pytest.approx(second - third, abs=0.11)
    bars = [line for line in figure.iter(f"{SVG}line") if line.get("class") == "bar l0"]
    ends = sorted(float(bars[2].get(name, "")) for name in ("y1", "y2"))
    assert ends[0] == TOP  # the mean and one deviation are the largest value
    assert sum(ends) / 2 == pytest.approx(third, abs=0.11)


def test_panels_share_a_scale_that_includes_zero() -> None:
    low, high = Panel("low", ["1"], {"s": [Point(0.1, 0.0)]}), Panel("high", ["1"], {"s": [Point(0.4, 0.0)]})
    figure = drawn(low, high)
    quarter, top = heights(figure)
    assert top == TOP
    assert (FLOOR - quarter) / (FLOOR - top) == pytest.approx(0.25, abs=0.01)
    assert sum(line.get("class") == "zero" for line in figure.iter(f"{SVG}line")) == 2


def test_values_and_names_can_be_read_as_text() -> None:
    text = curves([Panel("a", ["<1>"], {"A & B": [Point(-0.0123, 0.004)]})], "x", "label")
    assert "A &amp; B: -0.012 ± 0.004" in text
    assert "&lt;1&gt;" in text
    assert re.findall(r">([+−]0\.\d+)</text>", text)
