"""The map of the world: where points are drawn, what is left out, and that it is one well-formed SVG file."""

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hgld.foundation.display.world_map import world_map


def circles(points: list[tuple[float, float]]) -> list[tuple[float, float, float]]:
    """x, y and radius of each disc, in the order in which they are drawn."""
    root = ElementTree.fromstring(world_map(points, "map"))
    return [tuple(float(disc.get(name, "")) for name in ("cx", "cy", "r")) for disc in root.findall(".//{*}circle")]


@pytest.mark.parametrize(
    ("latitude", "longitude", "x", "y"),
    [(0, 0, 540, 270), (90, -180, 0, 0), (-90, 179.9, 1079.7, 540), (48.858, 2.294, 546.9, 123.4), (0, 190, 30, 270)],
)
def test_point_is_where_its_coordinates_say(latitude: float, longitude: float, x: float, y: float) -> None:
    [(cx, cy, _)] = circles([(latitude, longitude)])
    assert (cx, cy) == (x, y)


def test_points_without_coordinates_are_left_out() -> None:
    assert circles([(math.nan, 2.0), (2.0, math.nan), (math.inf, 0.0)]) == []
    assert circles([]) == []


def test_near_points_are_one_disc_with_their_number_and_the_largest_is_below() -> None:
    crowd = [(48.8 + n / 100, 2.3) for n in range(9)]
    drawn = circles([(0.5, 0.5), *crowd])
    assert [round(radius, 1) for *_, radius in drawn] == [12.0, 4.0]
    assert drawn[0][2] > drawn[1][2] and "<title>9 landmarks</title>" in world_map(crowd, "map")
    huge = circles([(0.5, 0.5), *[(48.0, 2.0)] * 100_000])
    assert [radius for *_, radius in huge] == [18.0, 1.0]


def test_names_are_escaped_and_equal_points_in_another_order_give_equal_text() -> None:
    text = world_map([(1.0, 2.0), (1.2, 2.1), (50.0, 9.0)], 'a <b> & "c"')
    assert ElementTree.fromstring(text).get("aria-label") == 'a <b> & "c"'
    assert text == world_map([(50.0, 9.0), (1.2, 2.1), (1.0, 2.0)], 'a <b> & "c"')


def test_outline_is_drawn_below_the_points() -> None:
    text = world_map([(0.0, 0.0)], "map", outline="M0 0L10 0L10 10Z")
    assert ElementTree.fromstring(text).find(".//{*}path[@class='land']") is not None
    assert text.index("M0 0L10 0L10 10Z") < text.index("<circle")
    assert 'class="land"' not in world_map([(0.0, 0.0)], "map")


def test_map_of_every_cell_stays_small(tmp_path: Path) -> None:
    every = [(latitude, longitude) for latitude in range(-60, 80) for longitude in range(-180, 180)]
    assert len(world_map(every, "map")) < 1_200_000
