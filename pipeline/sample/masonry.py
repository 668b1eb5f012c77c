"""Parts that many drawings share: blocks, roofs, windows, columns, and trees, people, boats and water."""

import math
from random import Random

from hgld.pipeline.sample.pen import Colour, Pen, Point, shade

Area = tuple[float, float, float, float]
"""Left, top, right, bottom."""

GLASS: Colour = (78, 96, 118)
DARK: Colour = (58, 50, 52)
GOLD: Colour = (220, 178, 70)
WHITE: Colour = (246, 246, 242)
RED: Colour = (204, 58, 50)
STEEL: Colour = (120, 126, 134)
SKIN: Colour = (214, 168, 136)
BARK: Colour = (104, 78, 56)


def block(pen: Pen, x0: float, x1: float, top: float, base: float, colour: Colour) -> None:
    """A building: its front, and the side that is visible from the viewing angle."""
    depth = pen.side(x1 - x0)
    near = x1 if depth > 0 else x0
    far, drop = near + depth, abs(depth)
    corners = [(near, top), (far, top + 0.2 * drop), (far, base - 0.1 * drop), (near, base)]
    pen.poly(corners, shade(colour, 0.74))
    pen.box(x0, top, x1, base, colour)


def gable(pen: Pen, x0: float, x1: float, eaves: float, height: float, wall: Colour, roof: Colour) -> None:
    """A gabled front; the roof slopes back along the block's side."""
    depth = pen.side(x1 - x0)
    near = x1 if depth > 0 else x0
    drop, peak = 0.2 * abs(depth), ((x0 + x1) / 2, eaves - height)
    slope = [peak, (peak[0] + depth, peak[1] + drop), (near + depth, eaves + drop), (near, eaves)]
    pen.poly(slope, shade(roof, 0.85))
    pen.poly([(x0, eaves), peak, (x1, eaves)], wall)
    pen.line([(x0 - 1, eaves + 0.5), peak, (x1 + 1, eaves + 0.5)], roof, 1.6)


def hip(pen: Pen, x0: float, x1: float, eaves: float, height: float, colour: Colour, inset: float = 0.14) -> None:
    """A hipped roof with a small overhang."""
    shift = pen.side(x1 - x0) * 0.5
    lean = (x1 - x0) * inset
    ridge = [(x0 + lean + shift, eaves - height), (x1 - lean + shift, eaves - height)]
    reach = [(x1 + 1.5 + max(0.0, 2 * shift), eaves), (x0 - 1.5 + min(0.0, 2 * shift), eaves)]
    pen.poly([*ridge, *reach], colour)


def spire(pen: Pen, x: float, half: float, base: float, height: float, colour: Colour) -> None:
    """A pointed roof, lit from the left."""
    pen.poly([(x - half, base), (x, base - height), (x + half, base)], colour)
    pen.poly([(x + half * 0.15, base), (x, base - height), (x + half, base)], shade(colour, 0.8), outlined=False)


def onion(pen: Pen, x: float, half: float, base: float, height: float, colour: Colour) -> None:
    """An onion dome."""
    profile = [(0.62, 0.0), (0.95, 0.18), (1.0, 0.34), (0.8, 0.54), (0.38, 0.72), (0.12, 0.86), (0.0, 1.0)]
    left = [(x - half * across, base - height * up) for across, up in profile]
    right = [(x + half * across, base - height * up) for across, up in reversed(profile)]
    pen.poly([*left, *right], colour)


def windows(pen: Pen, area: Area, rows: int, columns: int, colour: Colour = GLASS, arched: bool = False) -> None:
    """A grid of windows in the area (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = area
    across, down = (x1 - x0) / columns, (y1 - y0) / rows
    for row in range(rows):
        for column in range(columns):
            x, y = x0 + column * across, y0 + row * down
            left, right, top, bottom = x + across * 0.24, x + across * 0.76, y + down * 0.2, y + down * 0.82
            if arched:
                pen.arch(left, right, top + (right - left) / 2, bottom, colour)
            else:
                pen.box(left, top, right, bottom, colour, outlined=False)


def columns(pen: Pen, x0: float, x1: float, top: float, base: float, count: int, colour: Colour) -> None:
    """A row of columns before a shaded porch."""
    pen.box(x0, top, x1, base, shade(colour, 0.55), outlined=False)
    step = (x1 - x0) / count
    for number in range(count):
        left = x0 + step * (number + 0.24)
        pen.box(left, top, left + step * 0.52, base, colour)


def pediment(pen: Pen, x0: float, x1: float, base: float, height: float, colour: Colour) -> None:
    """The triangular gable above a row of columns."""
    pen.poly([(x0 - 2, base), ((x0 + x1) / 2, base - height), (x1 + 2, base)], colour)
    middle = (x0 + x1) / 2
    inner = [(x0 + 4, base - 1.4), (middle, base - height + 2), (x1 - 4, base - 1.4)]
    pen.poly(inner, shade(colour, 0.86), outlined=False)


def steps(pen: Pen, x0: float, x1: float, top: float, count: int, rise: float, colour: Colour) -> None:
    """Steps that widen downwards from `top`."""
    for number in range(count):
        y, reach = top + number * rise, number * 1.8
        pen.box(x0 - reach, y, x1 + reach, y + rise, shade(colour, 1.04 if number % 2 else 0.92))


def crenels(pen: Pen, x0: float, x1: float, top: float, count: int, colour: Colour) -> None:
    """The battlements of a wall whose upper edge is `top`."""
    step = (x1 - x0) / (2 * count - 1)
    for number in range(count):
        left = x0 + 2 * number * step
        pen.box(left, top - 2.6, left + step, top + 0.4, colour)


def flag(pen: Pen, x: float, base: float, height: float, colour: Colour) -> None:
    """A flag on its pole."""
    top = base - height
    pen.line([(x, base), (x, top)], DARK, 0.7)
    pen.poly([(x, top), (x + 7, top + 1.2), (x, top + 4)], colour)


def latin_cross(pen: Pen, x: float, base: float, height: float, colour: Colour, width: float = 1.0) -> None:
    """A Latin cross."""
    bar = base - height * 0.68
    pen.line([(x, base), (x, base - height)], colour, width)
    pen.line([(x - height * 0.3, bar), (x + height * 0.3, bar)], colour, width)


def tree(pen: Pen, x: float, base: float, height: float, colour: Colour, pointed: bool = False) -> None:
    """A tree: a conifer when `pointed`, otherwise three overlapping crowns."""
    pen.line([(x, base), (x, base - height * 0.5)], BARK, max(0.8, height * 0.07))
    if pointed:
        for level in range(3):
            bottom, half = base - height * (0.18 + 0.24 * level), height * (0.27 - 0.06 * level)
            tip = bottom - height * 0.38
            pen.poly([(x - half, bottom), (x, tip), (x + half, bottom)], shade(colour, 0.85 + 0.08 * level))
        return
    for across, up, size in ((-0.18, 0.52, 0.24), (0.18, 0.55, 0.22), (0.0, 0.74, 0.26)):
        radius = height * size
        pen.oval(x + across * height, base - up * height, radius, radius, shade(colour, 0.86 + up * 0.25))


def person(pen: Pen, x: float, base: float, height: float, coat: Colour) -> None:
    """A passer-by."""
    pen.line([(x - height * 0.07, base), (x, base - height * 0.45)], DARK, height * 0.11)
    pen.line([(x + height * 0.09, base), (x, base - height * 0.45)], DARK, height * 0.11)
    pen.oval(x, base - height * 0.6, height * 0.15, height * 0.24, coat)
    pen.oval(x, base - height * 0.9, height * 0.1, height * 0.1, SKIN)


def boat_hull(pen: Pen, x: float, y: float, length: float, colour: Colour) -> None:
    """A small hull at the waterline `y`."""
    half = length / 2
    corners = [
        (x - half, y - length * 0.12),
        (x + half, y - length * 0.12),
        (x + half * 0.7, y + length * 0.08),
    ]
    pen.poly([*corners, (x - half * 0.7, y + length * 0.08)], colour)


def ridge(r: Random, left: float, right: float, base: float, height: float, count: int) -> list[Point]:
    """The closed outline of a chain of `count` hills on `base`; none is higher than `height`."""
    step = (right - left) / (2 * count)
    outline = [(left, base)]
    for number in range(1, 2 * count):
        up = height * (r.uniform(0.7, 1.0) if number % 2 else r.uniform(0.35, 0.6))
        outline.append((left + step * (number + r.uniform(-0.3, 0.3)), base - up))
    return [*outline, (right, base)]


def ripples(pen: Pen, r: Random, area: Area, count: int, colour: Colour) -> None:
    """Short bright strokes on a sheet of water in (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = area
    for _ in range(count):
        x, y, length = r.uniform(x0, x1), r.uniform(y0, y1), r.uniform(4, 11)
        pen.line([(x, y), (min(x + length, x1), y)], colour, 0.6)


def star(x: float, y: float, radius: float, points: int = 5, inner: float = 0.42, start: float = -90.0) -> list[Point]:
    """The corners of a star."""
    corners = []
    for number in range(2 * points):
        reach = radius if number % 2 == 0 else radius * inner
        angle = math.radians(start + 180 * number / points)
        corners.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return corners
