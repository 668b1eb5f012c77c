"""The outline of the world: places that everybody knows are on land or at sea, and every land is a simple polygon."""

from itertools import combinations

import pytest

from hgld.foundation.display.world_outline import lands, map_point, world_path


def on_land(latitude: float, longitude: float) -> bool:
    """By the rule `evenodd`, over all lands."""
    inside = False
    for corners in lands().values():
        for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
            if (y1 > latitude) != (y2 > latitude):
                inside ^= longitude < x1 + (latitude - y1) / (y2 - y1) * (x2 - x1)
    return inside


@pytest.mark.parametrize(("name", "latitude", "longitude"), [
    ("Madrid", 40.4, -3.7), ("Paris", 48.9, 2.3), ("Berlin", 52.5, 13.4), ("Moscow", 55.8, 37.6),
    ("Milan", 45.5, 9.2), ("Ankara", 39.9, 32.9), ("Tbilisi", 41.7, 44.8), ("Riyadh", 24.7, 46.7),
    ("Tehran", 35.7, 51.4), ("Delhi", 28.6, 77.2), ("Lhasa", 29.7, 91.1), ("Xian", 34.3, 108.9),
    ("Yakutsk", 62, 129.7), ("Timbuktu", 16.8, -3), ("Nairobi", -1.3, 36.8), ("Johannesburg", -26.2, 28),
    ("Denver", 39.7, -105), ("Winnipeg", 49.9, -97.1), ("Fairbanks", 64.8, -147.7), ("Mexico City", 19.4, -99.1),
    ("Brasília", -15.8, -47.9), ("La Paz", -16.5, -68.1), ("Alice Springs", -23.7, 133.9), ("the South Pole", -89, 0),
    ("Birmingham", 52.5, -1.9), ("Antananarivo", -18.9, 47.5), ("Summit Camp", 72.6, -38.5), ("Anadyr", 67, -178),
])  # fmt: skip
def test_land(name: str, latitude: float, longitude: float) -> None:
    assert on_land(latitude, longitude), name


@pytest.mark.parametrize(("name", "latitude", "longitude"), [
    ("the North Atlantic", 45, -30), ("the South Atlantic", -20, -15), ("the North Pacific", 35, -160),
    ("Fiji Sea", -20, -175), ("the Indian Ocean", -15, 75), ("the Bay of Bengal", 15, 88),
    ("the Caspian Sea", 41.5, 51), ("the Black Sea", 43.2, 32), ("the Ionian Sea", 36.5, 18.5),
    ("the Red Sea", 20, 38.3), ("Hudson Bay", 60, -85), ("the Gulf of Mexico", 25, -90), ("the North Sea", 56.5, 3),
    ("the Baltic Sea", 58, 19.8), ("the Sea of Japan", 40, 135), ("the Tasman Sea", -38, 160),
    ("the Great Australian Bight", -34.5, 129), ("the North Pole", 89, 0), ("the Drake Passage", -59, -65),
])  # fmt: skip
def test_sea(name: str, latitude: float, longitude: float) -> None:
    assert not on_land(latitude, longitude), name


def test_no_land_crosses_itself() -> None:
    def turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    for name, corners in lands().items():
        edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
        for (a, b), (c, d) in combinations(edges, 2):
            crossing = turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0
            assert not crossing, (name, a, b, c, d)


def test_it_is_small_and_within_the_map() -> None:
    corners = [corner for land in lands().values() for corner in land]
    assert len(corners) <= 400 and len(world_path()) < 5_000
    assert {min(x for x, _ in corners), max(x for x, _ in corners)} == {-180, 180}
    assert min(y for _, y in corners) == -90 and max(y for _, y in corners) < 90
    assert set("MLZ-. 0123456789") >= set(world_path())
    assert map_point(10, 540) == (-180, -10)
