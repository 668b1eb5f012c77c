"""A map of the world as SVG: points at their coordinates, on a plane map (equirectangular: one scale for degrees).

The colours follow the reader's light or dark scheme, also where the file is shown as an image by itself. Points that
would hide each other are drawn as one disc, whose area grows with their number. Equal input gives equal text.
"""

import math
from collections.abc import Iterable

from hgld.foundation.display.svg import escape

# Pixels per degree: the whole map is 1080 x 540.
_SCALE = 3.0
# Points within a cell of this many degrees are drawn as one disc.
_CELL = 2.0
_SMALLEST, _LARGEST = 4.0, 18.0
_CAPTION = 38

_STYLE = (
    "<style>.sea{fill:#eef2f5}.land{fill:#d5dcd8;fill-rule:evenodd}.grid{fill:none;stroke:#c9d1d8;stroke-width:.7}"
    ".point{fill:#0f6b66;fill-opacity:.72;stroke:#fff;stroke-width:.5}text{fill:#3f4850;font:20px system-ui,sans-serif}"
    "@media (prefers-color-scheme:dark){.sea{fill:#14191e}.land{fill:#29323a}.grid{stroke:#323b43}"
    ".point{fill:#5fd0c8;stroke:#0c1013}text{fill:#aab4bd}}</style>"
)


def world_map(points: Iterable[tuple[float, float]], label: str, outline: str = "") -> str:
    """The map as an SVG document.

    points: latitude and longitude in degrees, those that are not finite are left out; label: the text alternative, and
    the line below the map; outline: the land, as the data of an SVG path in degrees east and south of 0° N, 0° E.
    """
    width, height = 360 * _SCALE, 180 * _SCALE
    to_pixels = f"translate({width / 2:g} {height / 2:g}) scale({_SCALE:g})"
    land = f'<path class="land" transform="{to_pixels}" d="{escape(outline)}"/>' if outline else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height + _CAPTION:g}" role="img" '
        f'aria-label="{escape(label)}">{_STYLE}'
        f'<rect class="sea" width="{width:g}" height="{height + _CAPTION:g}" rx="8"/>{land}'
        f'<path class="grid" d="{_graticule(width, height)}"/>{_discs(points)}'
        f'<text x="14" y="{height + _CAPTION - 13:g}">{escape(label)}</text></svg>\n'
    )


def _graticule(width: float, height: float) -> str:
    """Meridians and parallels every 30 degrees, and the edge below."""
    meridians = [f"M{longitude * _SCALE:g} 0v{height:g}" for longitude in range(30, 360, 30)]
    parallels = [f"M0 {latitude * _SCALE:g}h{width:g}" for latitude in range(30, 181, 30)]
    return "".join([*meridians, *parallels])


def _discs(points: Iterable[tuple[float, float]]) -> str:
    """A circle per cell that has points, at their mean, the largest first, with their number as its title."""
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for latitude, longitude in points:
        if math.isfinite(latitude) and math.isfinite(longitude):
            place = (latitude, (longitude + 180) % 360 - 180)
            cells.setdefault((math.floor(place[0] / _CELL), math.floor(place[1] / _CELL)), []).append(place)
    most = max(map(len, cells.values()), default=1)
    factor = min(_SMALLEST, _LARGEST / math.sqrt(most))
    discs = []
    for _, places in sorted(cells.items(), key=lambda cell: (-len(cell[1]), cell[0])):
        latitude = math.fsum(place[0] for place in places) / len(places)
        longitude = math.fsum(place[1] for place in places) / len(places)
        x, y = (longitude + 180) * _SCALE, (90 - latitude) * _SCALE
        radius = max(1.0, factor * math.sqrt(len(places)))
        title = f"><title>{len(places):,} landmarks</title></circle>" if len(places) > 1 else "/>"
        discs.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"{title}')
    return f'<g class="point">{"".join(discs)}</g>'
