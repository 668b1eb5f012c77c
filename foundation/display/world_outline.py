"""The coasts of the world, coarsely, for small maps: an equirectangular map in degrees, east and south of 0° N, 0° E.

`world_outline.csv` has the corners of each land, and of the Caspian Sea, near capes, bays and river mouths: enough to
recognise a continent, not to measure anything. It was written for this project.
"""

from functools import cache
from itertools import groupby
from pathlib import Path

from hgld.foundation.tables import read_csv

_FILE = Path(__file__).with_name("world_outline.csv")

# of an SVG with the whole map
VIEW_BOX = "-180 -90 360 180"

Point = tuple[float, float]


@cache
def lands() -> dict[str, tuple[Point, ...]]:
    """Name → the corners of a polygon, (longitude, latitude) in degrees. The Caspian Sea is a hole in Eurasia."""
    rows = read_csv(_FILE, ["land", "longitude", "latitude"]).itertuples(index=False, name=None)
    return {
        str(name): tuple((float(longitude), float(latitude)) for _, longitude, latitude in corners)
        for name, corners in groupby(rows, key=lambda row: row[0])
    }


@cache
def world_path() -> str:
    """The land as the data of an SVG path, to be filled by the rule `evenodd`."""
    return "".join("M" + "L".join(_text(*map_point(y, x)) for x, y in corners) + "Z" for corners in lands().values())


def map_point(latitude: float, longitude: float) -> Point:
    """The place of coordinates on the map: degrees east, within ±180, and degrees south.

    >>> map_point(41.69, 44.8), map_point(-17.0, 190.0)
    ((44.8, -41.69), (-170.0, 17.0))
    """
    within = -180 <= longitude <= 180
    return (longitude if within else (longitude + 180) % 360 - 180), -latitude


def _text(x: float, y: float) -> str:
    return f"{x:g} {y:g}"
