"""Drawings of water and coasts."""

import math
from random import Random

from hgld.pipeline.sample import masonry as m
from hgld.pipeline.sample.look import Look
from hgld.pipeline.sample.pen import Colour, Pen, Point, mix, shade

FOAM: Colour = (234, 244, 248)
SAND: Colour = (232, 208, 156)


def lake(pen: Pen, look: Look, r: Random) -> None:
    """Still water within a shore, hills behind."""
    hills = m.ridge(r, -6, 106, 58, r.uniform(16, 28), r.randint(2, 4))
    pen.poly(hills, mix(look.leaf, (120, 140, 150), 0.35))
    pen.box(0, 57, 100, 100, look.leaf, outlined=False)
    wide, y = r.uniform(44, 56), r.uniform(74, 78)
    pen.oval(50 + 6 * pen.turn, y, wide, 16, SAND)
    pen.oval(50 + 6 * pen.turn, y, wide - 2, 14.6, look.water)
    for number in range(6):
        x = 18 + number * 12 + r.uniform(-4, 4)
        pen.line([(x, y - 8 + number % 3 * 7), (x + 12, y - 8 + number % 3 * 7)], shade(look.water, 1.2), 0.8)
    for x in (r.uniform(2, 14), r.uniform(86, 98), r.uniform(20, 80)):
        m.tree(pen, x, 64, r.uniform(9, 15), shade(look.leaf, 0.8), pointed=r.random() < 0.5)
    for x in range(8, 34, 3):
        pen.line([(x, 96), (x + r.uniform(-2, 2), 86)], shade(look.leaf, 0.7), 0.8)


def river(pen: Pen, look: Look, r: Random) -> None:
    """A winding river that narrows towards the hills."""
    pen.poly(m.ridge(r, -6, 106, 54, r.uniform(12, 22), 3), mix(look.leaf, (130, 150, 160), 0.4))
    pen.box(0, 53, 100, 100, look.leaf, outlined=False)
    swing, vanish, turns = r.uniform(10, 20) * r.choice((-1, 1)), 50 + 14 * pen.turn, r.uniform(1.2, 1.9)
    left: list[Point] = []
    right: list[Point] = []
    for step in range(16):
        part = step / 15
        x = vanish + (50 - vanish) * part + swing * math.sin(part * math.pi * turns * 1.6) * (0.3 + 0.7 * part)
        wide = 1.2 + 21 * part**1.6
        y = 53 + 48 * part**1.2
        left.append((x - wide, y))
        right.append((x + wide, y))
    pen.poly([*left, *reversed(right)], look.water)
    for number in range(3, 15, 2):
        (x0, y), (x1, _) = left[number], right[number]
        pen.line([(x0 + (x1 - x0) * 0.3, y), (x0 + (x1 - x0) * 0.7, y + 1)], shade(look.water, 1.22), 0.8)
    for number in range(9):
        side, (x, y) = number % 2, (left, right)[number % 2][3 + number]
        m.tree(pen, x + (9 if side else -9) + r.uniform(-4, 4), y, 6 + number * 1.6, shade(look.leaf, 0.82))


def waterfall(pen: Pen, look: Look, r: Random) -> None:
    """White water over a rock face into a pool."""
    rock, top = mix(look.stone, (96, 92, 90), 0.3), r.uniform(20, 30)
    pen.poly([(0, top + 4), (26, top - 4), (70, top), (100, top - 6), (100, 100), (0, 100)], rock)
    for _ in range(11):
        x, y = r.uniform(0, 94), r.uniform(top + 6, 74)
        pen.line(
            [(x, y), (x + r.uniform(4, 9), y + r.uniform(-2, 4)), (x + 8, y + r.uniform(6, 14))],
            shade(rock, 0.72),
            0.9,
        )
    for x in (6, 16, 84, 94):
        m.tree(pen, x, top + 4, r.uniform(12, 18), look.leaf, pointed=r.random() < 0.5)
    falls = r.randint(1, 2)
    for number in range(falls):
        x, wide = 50 + (number - (falls - 1) / 2) * 26 + r.uniform(-6, 6), r.uniform(5, 9)
        ledge = r.uniform(0.4, 0.6) * (82 - top) + top
        spread = wide * r.uniform(1.0, 1.6)
        edge = [(x - wide, top - 2), (x - wide, ledge), (x - spread, ledge + 3), (x - spread, 84)]
        pen.poly([*edge, (x + spread, 84), (x + spread, ledge + 3), (x + wide, ledge), (x + wide, top - 2)], FOAM)
        for streak in range(5):
            sx = x - wide + wide * (streak + 0.5) / 2.5
            pen.line([(sx, top), (sx, 82)], mix(look.water, FOAM, 0.4), 0.8)
    pen.oval(50, 90, 48, 11, look.water)
    for _ in range(12):
        pen.oval(50 + r.uniform(-24, 24), 82 + r.uniform(-2, 3), 4, 2.2, FOAM, outlined=False)


def beach(pen: Pen, look: Look, r: Random) -> None:
    """Sand, surf and sea; parasols, palms, towels."""
    sea, lean = r.uniform(48, 54), 16 * pen.turn
    pen.box(0, sea, 100, 100, look.water, outlined=False)
    m.ripples(pen, r, (0, sea + 2, 94, sea + 14), 9, shade(look.water, 1.2))
    shore = [(x, 70 + lean * (x - 50) / 50 + 2.4 * math.sin(x / 9)) for x in range(0, 104, 4)]
    pen.poly([*shore, (100, 100), (0, 100)], SAND, outlined=False)
    pen.line(shore, FOAM, 2.4)
    pen.line([(x, y - 6) for x, y in shore], FOAM, 0.9)
    for _ in range(r.randint(2, 5)):
        x, y, colour = r.uniform(10, 90), r.uniform(82, 92), r.choice((m.RED, m.GOLD, look.trim, look.roof))
        pen.line([(x, y + 5), (x, y - 6)], m.BARK, 0.8)
        pen.dome(x, y - 5, 7, 5.5, colour)
        pen.poly([(x + 5, y + 4), (x + 12, y + 3), (x + 14, y + 6), (x + 7, y + 7)], r.choice((m.WHITE, look.trim)))
    if r.random() < 0.6:
        x = r.choice((9, 91))
        inward = 1 if x < 50 else -1
        pen.line([(x, 98), (x + 3 * inward, 66), (x + 9 * inward, 40)], m.BARK, 2.4)
        for angle in range(150, 400, 38):
            dx, dy = 15 * math.cos(math.radians(angle)), 12 * math.sin(math.radians(angle))
            tip = (x + 9 * inward + dx, 40 + dy + 4)
            pen.poly([(x + 9 * inward, 39), (x + 9 * inward + dx * 0.5, 37 + dy * 0.7), tip], look.leaf)


def ocean_area(pen: Pen, look: Look, r: Random) -> None:
    """Waves up to the horizon, a distant sail, gulls."""
    horizon = r.uniform(40, 50)
    pen.box(0, horizon, 100, 100, look.water, outlined=False)
    for row in range(8):
        y, size = horizon + 3 + row * row * 0.75 + row * 1.4, 2.5 + row * 1.7
        wave = [(x, y - abs(math.sin((x + row * 7) / size)) * size * 0.36) for x in range(0, 102, 2)]
        pen.line(wave, shade(look.water, 1.26 if row % 2 else 0.82), 0.5 + row * 0.14)
    x = r.uniform(20, 80)
    if r.random() < 0.6:
        pen.poly([(x, horizon - 7), (x + 4, horizon - 0.5), (x, horizon - 0.5)], m.WHITE)
        m.boat_hull(pen, x, horizon, 8, m.DARK)
    for _ in range(r.randint(1, 4)):
        gx, gy = r.uniform(10, 90), r.uniform(10, 34)
        pen.line(
            [(gx - 4, gy - 1.5), (gx - 2, gy - 2.4), (gx, gy), (gx + 2, gy - 2.4), (gx + 4, gy - 1.5)],
            m.DARK,
            0.8,
        )


def island(pen: Pen, look: Look, r: Random) -> None:
    """Land surrounded by water."""
    pen.box(0, 52, 100, 100, look.water, outlined=False)
    m.ripples(pen, r, (0, 55, 94, 98), 22, shade(look.water, 1.22))
    x, half, up = 50 + r.uniform(-8, 8), r.uniform(26, 36), r.uniform(12, 26)
    pen.oval(x, 71, half, 6.5, SAND)
    hill = [
        (x - half + 4, 70),
        (x - half * 0.5, 70 - up * 0.7),
        (x - half * 0.1, 70 - up),
        (x + half * 0.4, 70 - up * 0.55),
    ]
    pen.poly([*hill, (x + half - 4, 70)], mix(look.leaf, look.stone, r.choice((0, 0.3, 0.7))))
    for _ in range(r.randint(2, 6)):
        m.tree(
            pen,
            x + r.uniform(-half, half) * 0.7,
            71,
            r.uniform(8, 14),
            shade(look.leaf, 0.82),
            pointed=r.random() < 0.3,
        )
    if r.random() < 0.5:
        m.block(pen, x + 4, x + 11, 64, 71, look.wall)
        m.gable(pen, x + 4, x + 11, 64, 4, look.wall, look.roof)
    m.boat_hull(pen, r.choice((14, 86)), 86, 9, look.trim)


def wetland(pen: Pen, look: Look, r: Random) -> None:
    """Pools between reeds and rushes, a heron."""
    pen.box(0, 54, 100, 100, mix(look.leaf, (132, 130, 84), 0.4), outlined=False)
    for _ in range(8):
        x, y = r.uniform(6, 94), r.uniform(60, 94)
        pen.oval(x, y, r.uniform(10, 22) * (y / 90), r.uniform(2.4, 4.6) * (y / 90), look.water)
    for _ in range(46):
        x, y = r.uniform(0, 100), r.uniform(62, 100)
        up = (y - 44) * r.uniform(0.28, 0.46)
        tip = (x + r.uniform(-2.5, 2.5), y - up)
        pen.line([(x, y), tip], shade(look.leaf, r.uniform(0.6, 0.95)), 0.8)
        if r.random() < 0.5:
            pen.line([tip, (tip[0], tip[1] + up * 0.25)], (110, 72, 44), 1.7)
    x = r.uniform(28, 72)
    pen.line([(x, 84), (x, 74)], m.DARK, 0.6)
    pen.oval(x, 72, 4.6, 2.6, (214, 220, 226))
    pen.line([(x + 3, 71), (x + 5.5, 66), (x + 4.5, 62), (x + 8, 62.4)], (214, 220, 226), 1.3)
