"""Draw a landmark: the category fixes shape, palette and angle; the view varies the picture."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from hgld.foundation.errors import HgldError, suggest
from hgld.pipeline.sample import (
    scenery,
    shapes_forts,
    shapes_industry,
    shapes_land,
    shapes_leisure,
    shapes_sacred,
    shapes_town,
    shapes_transport,
    shapes_water,
)
from hgld.pipeline.sample.look import Look, look_of, seeded
from hgld.pipeline.sample.pen import SHEET, Pen

Shape = Callable[[Pen, Look, Random], None]

OVERSAMPLING = 3
TURN_JITTER = 0.22
SMALLEST_CROP = 0.68

SHAPES: dict[str, Shape] = {
    "agricultural land": shapes_land.agricultural_land,
    "air transportation": shapes_transport.air_transportation,
    "amusement park": shapes_leisure.amusement_park,
    "aqueduct": shapes_forts.aqueduct,
    "archeological site": shapes_sacred.archeological_site,
    "artwork": shapes_sacred.artwork,
    "bath": shapes_leisure.bath,
    "beach": shapes_water.beach,
    "boat": shapes_transport.boat,
    "bridge": shapes_industry.bridge,
    "buddhist temple": shapes_sacred.buddhist_temple,
    "cable transportation": shapes_transport.cable_transportation,
    "canal": shapes_transport.canal,
    "castle / fort": shapes_forts.castle,
    "cave": shapes_land.cave,
    "cemetery": shapes_sacred.cemetery,
    "church": shapes_sacred.church,
    "city": shapes_town.city,
    "cliff": shapes_land.cliff,
    "cross": shapes_sacred.cross,
    "dam": shapes_industry.dam,
    "factory": shapes_industry.factory,
    "festival": shapes_leisure.festival,
    "fountain": shapes_industry.fountain,
    "garden": shapes_land.garden,
    "gate": shapes_forts.gate,
    "government building": shapes_town.government_building,
    "harbor": shapes_transport.harbor,
    "hindu temple": shapes_sacred.hindu_temple,
    "hospital": shapes_town.hospital,
    "hotel": shapes_town.hotel,
    "house": shapes_town.house,
    "island": shapes_water.island,
    "lake": shapes_water.lake,
    "library": shapes_town.library,
    "lighthouse": shapes_forts.lighthouse,
    "market": shapes_leisure.market,
    "memorial": shapes_sacred.memorial,
    "mine": shapes_industry.mine,
    "monastery": shapes_sacred.monastery,
    "mosque": shapes_sacred.mosque,
    "mountain": shapes_land.mountain,
    "museum": shapes_town.museum,
    "observatory": shapes_forts.observatory,
    "ocean area ": shapes_water.ocean_area,
    "palace": shapes_forts.palace,
    "parks": shapes_land.parks,
    "power plant": shapes_industry.power_plant,
    "prison": shapes_forts.prison,
    "pyramid": shapes_forts.pyramid,
    "rail transportation": shapes_transport.rail_transportation,
    "restaurant": shapes_leisure.restaurant,
    "river": shapes_water.river,
    "road": shapes_transport.road,
    "ruins": shapes_sacred.ruins,
    "school": shapes_town.school,
    "sculpture": shapes_sacred.sculpture,
    "settlement": shapes_town.settlement,
    "shinto shrine": shapes_sacred.shinto_shrine,
    "shopping": shapes_leisure.shopping,
    "skyscraper": shapes_forts.skyscraper,
    "sports venue": shapes_leisure.sports_venue,
    "square": shapes_town.square,
    "stairs": shapes_transport.stairs,
    "stone": shapes_land.stone,
    "swimming pool": shapes_leisure.swimming_pool,
    "synagogue": shapes_sacred.synagogue,
    "theatre": shapes_town.theatre,
    "tower": shapes_forts.tower,
    "trail": shapes_land.trail,
    "tree": shapes_land.tree,
    "underground infrastructure": shapes_transport.underground_infrastructure,
    "village": shapes_town.village,
    "volcano": shapes_land.volcano,
    "waterfall": shapes_water.waterfall,
    "wetland": shapes_water.wetland,
    "windmill": shapes_forts.windmill,
    "zoo": shapes_leisure.zoo,
}
"""The drawing function of each of GLDv2's 78 hierarchical labels; `ocean area ` ends in a space, as upstream."""

FOREGROUNDS = {
    **dict.fromkeys(("boat", "bridge", "canal", "city", "harbor", "island", "lighthouse", "ocean area "), "water"),
    **dict.fromkeys(("cave", "underground infrastructure"), "indoors"),
}
"""The foreground of the labels where it is not land: no parked cars on the sea."""

BUILT_UP = (shapes_town.__name__, shapes_leisure.__name__)
"""Modules whose drawings may have a town in the background."""


@dataclass(frozen=True)
class Landmark:
    """A landmark to draw: its category fixes its look, `drawn_as` (a key of SHAPES) what it shows."""

    category: str
    drawn_as: str


def shape_of(landmark: Landmark) -> Shape:
    """The drawing function of the landmark's label.

    Raises HgldError for a label without one.
    """
    if landmark.drawn_as not in SHAPES:
        raise HgldError(
            f"no drawing for {landmark.drawn_as!r} ({landmark.category}){suggest(landmark.drawn_as, SHAPES)}; "
            f"drawn_as must be one of GLDv2's 78 hierarchical labels"
        )
    return SHAPES[landmark.drawn_as]


def draw(landmark: Landmark, view: int, size: int = 96) -> Image.Image:
    """One picture of a landmark, `size` × `size` RGB; equal arguments give equal bytes.

    Shape, palette, surroundings and angle depend on the category alone; crop, light, weather, noise and clutter
    also on `view`. Raises HgldError for a label without a drawing.
    """
    shape, look = shape_of(landmark), look_of(landmark.category)
    v = seeded("view", landmark.category, view)
    light = scenery.LIGHTS[v.choices(list(scenery.LIGHT_WEIGHTS), list(scenery.LIGHT_WEIGHTS.values()))[0]]
    weather = v.choice(scenery.WEATHERS)
    side = size * OVERSAMPLING
    sheet = scenery.sky(light, side)
    turn = max(-1.0, min(1.0, look.angle + v.uniform(-TURN_JITTER, TURN_JITTER)))
    pen = Pen(ImageDraw.Draw(sheet), side / SHEET, turn)
    scenery.clouds(pen, light, v, v.randint(2, 5) if weather == "clouds" else v.randint(0, 1))
    place = seeded("place", landmark.category)
    scenery.backdrop(pen, look, light, place, built=shape.__module__ in BUILT_UP)
    shape(pen, look, seeded("shape", landmark.category))
    scenery.clutter(pen, look, v, FOREGROUNDS.get(landmark.drawn_as, "land"))
    return scenery.weathered(_cropped(sheet, v, size), light, weather, v)


def _cropped(sheet: Image.Image, v: Random, size: int) -> Image.Image:
    """A random crop of the sheet, slightly rotated, scaled down to `size` pixels."""
    side = float(sheet.width)
    part = v.uniform(SMALLEST_CROP, 1.0) * side
    left, top = (side - part) * v.random(), (side - part) * v.uniform(0.35, 0.9)
    rotated = sheet.rotate(v.gauss(0, 1.6), Image.Resampling.BILINEAR, center=(side / 2, side / 2))
    margin = 0.03 * part
    box = (left + margin, top + margin, left + part - margin, top + part - margin)
    return rotated.resize((size, size), Image.Resampling.LANCZOS, box=box)
