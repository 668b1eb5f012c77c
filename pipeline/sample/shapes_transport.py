"""Drawings of transport: canals, harbours, ships, railways, airports, cable cars, tunnels, roads and stairs."""

import itertools
import math
from random import Random

from hgld.pipeline.sample import masonry as m
from hgld.pipeline.sample.look import Look
from hgld.pipeline.sample.pen import GROUND, Colour, Pen, mix, shade

ASPHALT: Colour = (98, 98, 102)


def canal(pen: Pen, look: Look, r: Random) -> None:
    """A straight waterway between quays and rows of narrow fronts, with a small arched bridge."""
    vanish = 50 + 14 * pen.turn
    for sign in (-1, 1):
        for number in range(5):
            near, far = 50 * (0.78**number), 50 * (0.78 ** (number + 1))
            x0, x1 = 50 + sign * near, vanish + sign * far
            up = near * 0.9 + r.uniform(-3, 5)
            wall = mix(look.wall, r.choice((look.roof, look.trim, look.stone)), 0.5)
            pen.box(x0, 64 - up, x1, 66 + near * 0.2, wall)
            m.windows(pen, (min(x0, x1), 66 - up, max(x0, x1), 64), 3, 2)
            pen.poly([(x0, 64 - up), ((x0 + x1) / 2, 58 - up), (x1, 64 - up)], look.roof)
    pen.poly([(0, 76), (vanish - 10, 62), (vanish + 10, 62), (100, 76), (100, 100), (0, 100)], look.stone)
    pen.poly([(vanish - 7, 62), (vanish + 7, 62), (84, 100), (16, 100)], look.water)
    m.ripples(pen, r, (34, 72, 62, 97), 12, shade(look.water, 1.2))
    pen.line(
        [(vanish - 14, 66), (vanish - 6, 62), (vanish + 6, 62), (vanish + 14, 66)],
        shade(look.stone, 0.7),
        2.6,
    )
    m.boat_hull(pen, 50 + r.uniform(-10, 10), 86, 15, r.choice((look.trim, look.roof, m.RED)))


def harbor(pen: Pen, look: Look, r: Random) -> None:
    """A quay with cranes and sheds, boats and masts before it."""
    pen.box(0, 66, 100, 100, look.water, outlined=False)
    pen.box(0, 62, 100, 69, look.stone)
    for number in range(3):
        x, colour = 14 + number * 30 + r.uniform(-5, 5), r.choice((look.trim, m.RED, look.roof, m.STEEL))
        if r.random() < 0.65:
            for leg in (x - 5, x + 5):
                pen.line([(leg, 63), (x, 40)], colour, 1.4)
            pen.line([(x - 8, 42), (x + 17, 26)], colour, 1.8)
            pen.line([(x + 17, 26), (x + 17, 44)], m.DARK, 0.5)
        else:
            m.block(pen, x - 9, x + 9, 52, 62, mix(look.wall, colour, 0.4))
            m.hip(pen, x - 9, x + 9, 52, 5, look.roof)
    for number in range(9):
        pen.box(4 + number * 10.5, 58, 13 + number * 10.5, 62, r.choice((m.RED, look.trim, look.water, m.GOLD)))
    for number in range(6):
        x, y, length = 10 + number * 16 + r.uniform(-3, 3), r.uniform(74, 92), r.uniform(10, 15)
        pen.line([(x, y), (x, y - length * 1.7)], m.BARK, 0.8)
        pen.poly([(x + 0.6, y - length * 1.6), (x + length * 0.4, y - 3), (x + 0.6, y - 3)], m.WHITE)
        m.boat_hull(pen, x, y, length, r.choice((m.WHITE, look.trim, m.RED, look.roof)))
    m.ripples(pen, r, (0, 72, 92, 98), 10, shade(look.water, 1.2))


def boat(pen: Pen, look: Look, r: Random) -> None:
    """A large ship: a sailing ship or a steamer."""
    pen.box(0, 70, 100, 100, look.water, outlined=False)
    hull, facing = r.choice((m.DARK, look.roof, look.trim, (70, 84, 110))), r.choice((-1, 1))
    if r.random() < 0.5:
        for number, x in enumerate((30, 50, 70)):
            tall = (30, 22, 32)[number]
            pen.line([(x, 74), (x, tall)], m.BARK, 1.3)
            for sail in range(3):
                y, wide = tall + 4 + sail * 11, 6.5 + sail * 1.4
                pen.poly(
                    [(x - wide, y), (x + wide, y), (x + wide + 1.6, y + 9), (x - wide + 1.6, y + 9)],
                    (244, 236, 214),
                )
        pen.line([(50 + facing * 36, 70), (50 + facing * 48, 60)], m.BARK, 1.2)
    else:
        for deck in range(3):
            pen.box(26 + deck * 5, 68 - 6 * deck, 76 - deck * 5, 62 - 6 * deck, m.WHITE)
            m.windows(pen, (26 + deck * 5, 62 - 6 * deck, 76 - deck * 5, 68 - 6 * deck), 1, 11 - deck)
        for x in (44, 56):
            pen.box(x - 2.6, 36, x + 2.6, 50, m.RED)
            pen.box(x - 2.6, 36, x + 2.6, 39, m.DARK)
    pen.poly(
        [(12, 68), (50 + facing * 42, 66), (50 - facing * 40, 67), (88, 68), (78, 82), (22, 82)],
        hull,
    )
    pen.poly([(14, 76), (86, 76), (80, 82), (20, 82)], shade(m.RED, 0.8))
    pen.box(0, 81, 100, 100, look.water, outlined=False)
    m.ripples(pen, r, (0, 82, 92, 98), 16, shade(look.water, 1.25))


def rail_transportation(pen: Pen, look: Look, r: Random) -> None:
    """A train on its track below the overhead line, or before a platform roof."""
    for x in (12, 44, 76):
        pen.line([(x, GROUND), (x, 36)], m.STEEL, 1.2)
        pen.line([(x, 38), (x + 9, 38)], m.STEEL, 0.8)
    pen.line([(0, 40), (100, 40)], m.DARK, 0.5)
    body, stripe = r.choice((look.roof, look.trim, m.RED, look.water)), r.choice((m.WHITE, m.GOLD, look.wall))
    top = r.uniform(54, 58)
    if r.random() < 0.4:
        pen.box(12, top + 6, 44, 74, body)
        pen.box(32, top - 3, 46, 74, shade(body, 0.9))
        pen.box(16, top - 5, 20, top + 6, m.DARK)
        for puff in range(5):
            pen.oval(19 + puff * 5, top - 8 - puff * 4, 3 + puff, 2.6 + puff * 0.8, (226, 226, 226), outlined=False)
        left = 49.0
    else:
        pen.poly([(4, 74), (12, top), (46, top), (46, 74)], body)
        pen.poly([(9, top + 8), (13, top + 2), (20, top + 2), (20, top + 8)], m.GLASS)
        m.windows(pen, (22, top + 1, 46, top + 10), 1, 5)
        left = 48.0
    for start in (left, left + 27):
        pen.box(start, top, start + 25, 74, shade(body, 1.05))
        m.windows(pen, (start, top + 1, start + 25, top + 10), 1, 5)
        pen.box(start, top + 12, start + 25, top + 14, stripe, outlined=False)
    for x in range(10, 104, 9):
        pen.oval(x, 75, 3, 3, m.DARK)
    pen.box(0, 78, 100, 79.4, m.STEEL)
    for x in range(0, 100, 5):
        pen.box(x, 80, x + 2.6, 82.4, m.BARK, outlined=False)


def air_transportation(pen: Pen, look: Look, r: Random) -> None:
    """A runway, a control tower, an aeroplane taking off."""
    pen.poly([(0, 76), (100, 72), (100, 92), (0, 96)], ASPHALT)
    for x in range(4, 100, 14):
        pen.line([(x, 86 - x * 0.04), (x + 7, 85.7 - x * 0.04)], m.WHITE, 1.4)
    x = r.choice((14, 86))
    pen.box(x - 3, 46, x + 3, 76, look.wall)
    pen.poly([(x - 8, 36), (x + 8, 36), (x + 5, 46), (x - 5, 46)], m.GLASS)
    m.hip(pen, x - 8, x + 8, 36, 3, look.roof)
    tilt, y, stripe = r.uniform(-0.35, 0.05), r.uniform(46, 60), r.choice((look.trim, look.roof, m.RED))

    def at(along: float, up: float) -> tuple[float, float]:
        return 50 + along * math.cos(tilt) - up * math.sin(tilt), y + along * math.sin(tilt) + up * math.cos(tilt)

    pen.poly([at(-30, -1), at(-36, -15), at(-29, -15), at(-20, -3)], stripe)
    pen.poly([at(-33, -1), at(-20, -4), at(24, -4), at(32, 0), at(28, 3.4), at(-20, 4)], m.WHITE)
    pen.poly([at(-2, 1), at(8, 1), at(-12, 17), at(-18, 17)], (206, 210, 216))
    for number in range(11):
        wx, wy = at(-18 + 3.6 * number, -1)
        pen.oval(wx, wy, 0.9, 0.9, m.GLASS, outlined=False)
    pen.oval(*at(-4, 8), 3, 2, stripe)


def cable_transportation(pen: Pen, look: Look, r: Random) -> None:
    """Cabins on a cable between pylons above steep ground."""
    lean = r.choice((-1, 1))
    y0, y1 = (62, 22) if lean > 0 else (22, 62)
    pen.poly(
        [
            (0, y0 + 20),
            (35, (y0 * 2 + y1) / 3 + 26),
            (70, (y0 + y1 * 2) / 3 + 18),
            (100, y1 + 22),
            (100, 100),
            (0, 100),
        ],
        look.leaf,
    )
    pen.line([(0, y0), (100, y1)], m.DARK, 0.9)
    pen.line([(0, y0 + 3), (100, y1 + 3)], m.DARK, 0.6)
    for x in (26, 78):
        y = y0 + (y1 - y0) * x / 100
        pen.line([(x - 5, y + 46), (x, y), (x + 5, y + 46)], m.STEEL, 1.6)
        pen.line([(x - 5, y), (x + 5, y)], m.STEEL, 2)
    for x in (12, 50, 92) if r.random() < 0.5 else (40, 62):
        y, size = y0 + (y1 - y0) * x / 100, r.uniform(6, 7.5)
        pen.line([(x, y), (x, y + 8)], m.DARK, 0.8)
        pen.box(x - size, y + 8, x + size, y + 8 + size * 1.7, r.choice((m.RED, look.trim, look.roof, m.GOLD)))
        m.windows(pen, (x - size, y + 8, x + size, y + 8 + size), 1, 3)


def underground_infrastructure(pen: Pen, look: Look, r: Random) -> None:
    """A vaulted tunnel with lamps, a platform and receding rails."""
    tiles, vanish = mix(look.wall, look.stone, 0.5), 50 + 12 * pen.turn
    pen.box(0, 0, 100, 100, shade(tiles, 0.5), outlined=False)
    for number in range(7):
        part = number / 7
        x, wide = 50 + (vanish - 50) * part, 58 * (1 - part) + 8 * part
        pen.arch(x - wide, x + wide, 48 + 6 * part, 100 - 36 * part, shade(tiles, 1.0 - 0.11 * number))
        pen.ring(x, 48 + 6 * part, wide, wide, shade(tiles, 0.6 if number % 2 else 0.8), 0.9)
    pen.poly([(vanish - 7, 64), (vanish + 1, 64), (46, 100), (-8, 100)], (206, 200, 190))
    pen.poly([(vanish + 1, 64), (vanish + 7, 64), (104, 100), (46, 100)], m.DARK)
    for offset in (2.2, 4.8):
        pen.line([(vanish + offset, 64), (46 + (offset - 1) * 10, 100)], m.STEEL, 1.2)
    pen.arch(vanish - 7, vanish + 7, 54, 64, m.DARK)
    for number in range(5):
        part = number / 5
        pen.oval(
            50 + (vanish - 50) * part,
            6 + 40 * part,
            4 * (1 - part) + 0.6,
            1.8 * (1 - part) + 0.4,
            (252, 236, 170),
        )


def road(pen: Pen, look: Look, r: Random) -> None:
    """A road that runs to the horizon, with a centre line and a sign."""
    pen.box(0, 60, 100, 100, look.ground, outlined=False)
    vanish, bend = 50 + 22 * pen.turn, r.uniform(-16, 16)
    left = [(vanish - 1.5, 60), (40 + bend, 76), (8, 100)]
    right = [(92, 100), (62 + bend, 76), (vanish + 1.5, 60)]
    pen.poly([*left, *right], ASPHALT)
    for (x0, y0), (x1, y1) in itertools.pairwise(left):
        pen.line([(x0, y0), (x1, y1)], m.WHITE, 0.9)
    middle = [(vanish, 60), (51 + bend, 76), (50, 100)]
    for (x0, y0), (x1, y1) in itertools.pairwise(middle):
        for dash in range(4):
            a, b = dash / 4, dash / 4 + 0.13
            pen.line(
                [(x0 + (x1 - x0) * a, y0 + (y1 - y0) * a), (x0 + (x1 - x0) * b, y0 + (y1 - y0) * b)],
                m.WHITE,
                1.6,
            )
    x = r.choice((12, 88))
    pen.line([(x, 84), (x, 60)], m.STEEL, 1.2)
    if r.random() < 0.5:
        pen.poly([(x - 7, 62), (x, 50), (x + 7, 62)], m.WHITE)
        pen.line([(x - 6, 61.4), (x, 51.4), (x + 6, 61.4), (x - 6, 61.4)], m.RED, 1.2)
    else:
        pen.box(x - 9, 50, x + 9, 60, (52, 96, 168))
        pen.line([(x - 6, 55), (x + 6, 55)], m.WHITE, 1.2)


def stairs(pen: Pen, look: Look, r: Random) -> None:
    """A long flight of steps between balustrades."""
    stone, count = mix(look.stone, look.wall, 0.5), r.randint(11, 15)
    top, shift = r.uniform(30, 38), 14 * pen.turn
    pen.box(30 + shift, top - 14, 70 + shift, top, look.wall)
    pen.arch(45 + shift, 55 + shift, top - 8, top, m.DARK)
    for number in range(count):
        part, after = number / count, (number + 1) / count
        y0, y1 = top + (98 - top) * part**1.25, top + (98 - top) * after**1.25
        wide, x = 15 + 23 * after, 50 + shift * (1 - after)
        pen.box(x - wide, y0, x + wide, y0 + (y1 - y0) * 0.5, shade(stone, 1.12))
        pen.box(x - wide, y0 + (y1 - y0) * 0.5, x + wide, y1, shade(stone, 0.7))
    for sign in (-1, 1):
        head, foot = (50 + shift + sign * 16, top - 3), (50 + sign * 41, 92)
        pen.poly([head, (head[0], top + 3), (foot[0], 100), foot], shade(stone, 0.9))
