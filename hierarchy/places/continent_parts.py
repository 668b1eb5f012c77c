"""The parts of countries that lie on another continent than the rest: continent_parts.csv, edited by hand.

A part is the area within a polygon: `latitude longitude; latitude longitude; …` in degrees, on a plane map. The borders
of continents are conventions: the crest of the Urals, the Ural river and the Caucasus, the Turkish straits, the Suez
Canal, and the sea around islands. The polygons follow them to within a few kilometres (the Bosporus: a few hundred
metres), and lie in the sea wherever they can: a country's area outside all its polygons has its usual continent.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hgld.foundation.errors import HgldError, suggest
from hgld.foundation.sorted_rows import Key, order_problems
from hgld.foundation.tables import read_csv_with_lines
from hgld.hierarchy.curated import CURATED
from hgld.hierarchy.places.countries import CONTINENTS

FILE = "continent_parts.csv"
COLUMNS = ["code", "continent", "area", "comment"]

Point = tuple[float, float]


@dataclass(frozen=True)
class ContinentPart:
    """A part of a country; area: the corners of a polygon (latitude, longitude)."""

    continent: str
    area: tuple[Point, ...]


# code → the parts of the country
ContinentParts = Mapping[str, Sequence[ContinentPart]]


def load_continent_parts(codes: Collection[str], folder: Path = CURATED) -> ContinentParts:
    """The parts by code, from the file in `folder`; codes: those of the countries.

    Raises HgldError that lists every problem (file:line).
    """
    parts, problems = _read(Path(folder) / FILE, codes)
    if problems:
        raise HgldError(f"{len(problems)} problem(s) in the parts of continents", *problems)
    return parts


def continent_part_problems(folder: Path, codes: Collection[str]) -> list[str]:
    """The problems of the file, each as "file:line: what is wrong"."""
    try:
        return _read(Path(folder) / FILE, codes)[1]
    except HgldError as error:
        return str(error).splitlines()


def sort_key(row: Sequence[str]) -> Key:
    """The rows are in the order of country, continent and area."""
    return tuple(row[:3])


def inside(point: Point, area: Sequence[Point]) -> bool:
    """Whether a point (latitude, longitude) is within a polygon, by the number of edges that a ray to the east meets.

    >>> square = [(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0)]
    >>> inside((5.0, 5.0), square), inside((5.0, 11.0), square)
    (True, False)
    """
    latitude, longitude = point
    within = False
    for (south, a), (north, b) in zip(area, [*area[1:], area[0]], strict=True):
        crosses = (south > latitude) != (north > latitude)
        if crosses and longitude < a + (latitude - south) / (north - south) * (b - a):
            within = not within
    return within


def _read(path: Path, codes: Collection[str]) -> tuple[dict[str, list[ContinentPart]], list[str]]:
    table, lines = read_csv_with_lines(path, COLUMNS)
    rows = [[str(value) for value in values] for values in table.itertuples(index=False, name=None)]
    misplaced = order_problems([sort_key(row) for row in rows], lines)
    parts: dict[str, list[ContinentPart]] = {}
    problems = []
    for number, (code, continent, text, _) in enumerate(rows):
        faults = [misplaced[number]] if number in misplaced else []
        if code not in codes:
            faults.append(f"unknown code {code!r}{suggest(code, codes)}; add its row to countries.csv")
        if continent not in CONTINENTS:
            faults.append(f"unknown continent {continent!r}{suggest(continent, CONTINENTS)}")
        area = [_corner(corner) for corner in text.split(";")]
        corners = tuple(corner for corner in area if corner is not None)
        if len(corners) < 3 or None in area:
            faults.append(f"area {text[:60]!r}; expected at least three corners 'latitude longitude', separated by ';'")
        problems += [f"{path}:{lines[number]}: {fault}" for fault in faults]
        parts.setdefault(code, []).append(ContinentPart(continent, corners))
    return parts, problems


def _corner(text: str) -> Point | None:
    """Latitude and longitude in degrees; None for anything else."""
    try:
        latitude, longitude = map(float, text.split())
    except ValueError:
        return None
    possible = math.isfinite(latitude) and abs(latitude) <= 90 and abs(longitude) <= 180
    return (latitude, longitude) if possible else None
