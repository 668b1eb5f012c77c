"""Drawings of engineering works and industry, fountains among them."""

import math
from random import Random

from hgld.pipeline.sample import masonry as m
from hgld.pipeline.sample.look import Look
from hgld.pipeline.sample.pen import GROUND, Pen, mix, shade


def bridge(pen: Pen, look: Look, r: Random) -> None:
    """A suspension, arched or trussed bridge over water."""
    pen.box(0, 74, 100, 100, look.water, outlined=False)
    m.ripples(pen, r, (0, 78, 96, 98), 16, shade(look.water, 1.22))
    deck, kind = r.uniform(58, 64), r.randint(0, 2)
    iron = r.choice((look.roof, look.trim, m.STEEL, (186, 74, 54)))
    if kind == 0:
        left, right, top = r.uniform(22, 30), r.uniform(70, 78), r.uniform(24, 32)
        spans = ((-25, left, deck), (left, right, top), (right, 125, top))
        for x0, x1, _ in spans:
            for step in range(13):
                part = step / 12
                x, sag = x0 + (x1 - x0) * part, 4 * part * (1 - part)
                pen.line([(x, top + (deck - top - 3) * sag), (x, deck)], iron, 0.5)
            curve = [(x0 + (x1 - x0) * k / 20, top + (deck - top - 3) * 4 * k / 20 * (1 - k / 20)) for k in range(21)]
            pen.line(curve, iron, 1.2)
        for x in (left, right):
            pen.box(x - 2, top - 2, x + 2, 84, shade(iron, 0.9))
    elif kind == 1:
        stone, count = mix(look.wall, look.stone, 0.5), r.randint(3, 5)
        pen.box(0, deck, 100, 82, stone)
        wide = 100 / count
        for number in range(count):
            x = number * wide
            pen.dome(x + wide / 2, 84, wide * 0.42, min(18.0, wide * 0.62), shade(look.water, 0.75))
        pen.box(0, 82, 100, 86, look.water, outlined=False)
    else:
        pen.dome(50, deck, 42, r.uniform(20, 28), iron)
        rise = r.uniform(17, 22)
        pen.dome(50, deck, 38, rise, (196, 214, 220))
        for x in range(14, 90, 6):
            pen.line([(x, deck), (x, deck - rise * math.sqrt(max(0.0, 1 - ((x - 50) / 38) ** 2)))], iron, 0.8)
        for x in (8, 92):
            pen.box(x - 4, deck, x + 4, 86, look.stone)
    pen.box(-2, deck - 1.6, 102, deck + 2, shade(iron, 0.7) if kind != 1 else look.stone)


def dam(pen: Pen, look: Look, r: Random) -> None:
    """A concrete wall between slopes, with spillways and foam."""
    concrete = mix(look.stone, (198, 196, 190), 0.6)
    top = r.uniform(42, 48)
    pen.box(0, top - 6, 100, top + 4, look.water, outlined=False)
    bow = r.uniform(4, 9)
    crest = [(8 + 84 * k / 12, top + bow * 4 * k / 12 * (1 - k / 12)) for k in range(13)]
    pen.poly([*crest, (78, 88), (22, 88)], concrete)
    for number in range(1, 12):
        x, y = crest[number]
        pen.line([(x, y), (22 + 56 * number / 12, 88)], shade(concrete, 0.84), 0.5)
    for number in r.sample(range(3, 10), r.randint(2, 4)):
        x, y = crest[number]
        foot = 22 + 56 * number / 12
        pen.poly(
            [(x - 1.8, y + 3), (x + 1.8, y + 3), (foot + 3, 89), (foot - 3, 89)],
            (232, 242, 246),
            outlined=False,
        )
    pen.line(crest, shade(concrete, 0.7), 2.4)
    for sign in (-1, 1):
        slope = [(50 + sign * 50, 22), (50 + sign * 40, top - 8), (50 + sign * 26, 92), (50 + sign * 50, 100)]
        pen.poly(slope, mix(look.leaf, look.stone, 0.4))
    pen.poly([(20, 88), (80, 88), (90, 100), (10, 100)], look.water)
    for _ in range(8):
        pen.oval(r.uniform(30, 70), r.uniform(87, 91), 3.4, 1.6, (240, 246, 248), outlined=False)


def factory(pen: Pen, look: Look, r: Random) -> None:
    """Brick halls under a saw-tooth roof, smoking chimneys."""
    left, top = r.uniform(8, 14), r.uniform(58, 62)
    for x in r.sample((20.0, 34.0, 66.0, 80.0), r.randint(2, 3)):
        high = r.uniform(20, 32)
        pen.poly([(x - 3.2, top + 2), (x - 2, high), (x + 2, high), (x + 3.2, top + 2)], (168, 92, 72))
        pen.box(x - 2.3, high + 3, x + 2.3, high + 6, m.WHITE)
        for puff in range(4):
            size = 3 + puff * 1.2
            pen.oval(x + 4 * puff, high - 3 - 3 * puff, size, size * 0.7, (186, 184, 186), outlined=False)
    teeth = r.randint(4, 6)
    wide = (100 - 2 * left) / teeth
    for tooth in range(teeth):
        x = left + tooth * wide
        pen.poly([(x, top), (x, top - 9), (x + wide, top)], look.roof)
        pen.poly([(x + 0.6, top - 1), (x + 0.6, top - 7), (x + 3, top - 5.8), (x + 3, top - 1)], (176, 208, 222))
    pen.box(left, top, 100 - left, GROUND, mix(look.wall, (170, 92, 72), 0.4))
    m.windows(pen, (left, top + 2, 100 - left, GROUND - 3), 2, teeth * 3)
    pen.box(46, GROUND - 9, 56, GROUND, m.STEEL)


def power_plant(pen: Pen, look: Look, r: Random) -> None:
    """Cooling towers with steam, a generator hall, pylons with wires."""
    pen.box(46, 62, 92, GROUND, mix(look.wall, m.STEEL, 0.4))
    m.windows(pen, (46, 63, 92, 72), 1, 9)
    for x, high in ((84.0, 30.0),) if r.random() < 0.6 else ((72.0, 28.0), (84.0, 34.0)):
        for band in range(6):
            y = high + band * 6
            pen.box(x - 1.8, y, x + 1.8, y + 6, m.RED if band % 2 else m.WHITE)
    for x in ((20, 40), (18, 38, 58))[r.randint(0, 1)]:
        top, concrete = 40, mix(look.stone, (214, 212, 206), 0.7)
        for puff in range(5):
            size = 6 + puff * 1.4
            pen.oval(x + 3 * puff, top - 3 - 5 * puff, size, size * 0.66, (244, 246, 248), outlined=False)
        left = [(x - 10.5, GROUND), (x - 7.2, 62), (x - 6.2, 52), (x - 7, top)]
        pen.poly([*left, *((2 * x - a, b) for a, b in reversed(left))], concrete)
        pen.oval(x, top, 7, 1.7, shade(concrete, 0.7))
    x = 95.0
    pen.line([(x - 6, GROUND + 3), (x, 44), (x + 6, GROUND + 3)], m.STEEL, 0.9)
    for y in (50, 57):
        pen.line([(x - 8, y), (x + 8, y)], m.STEEL, 0.9)
        pen.line([(x - 8, y), (60, y + 12)], m.DARK, 0.4)


def mine(pen: Pen, look: Look, r: Random) -> None:
    """A headframe with its wheel, a winding house, spoil heaps, wagons."""
    pen.poly([(0, GROUND), (16, 56), (24, 53), (44, GROUND)], (96, 88, 84))
    pen.poly([(66, GROUND), (86, 60), (100, 66), (100, GROUND)], (112, 102, 94))
    iron, x, top = r.choice((m.RED, look.roof, m.STEEL, look.trim)), r.uniform(46, 54), r.uniform(26, 32)
    for foot in (-9, 9, 24):
        pen.line([(x + foot, GROUND), (x + foot * 0.34, top)], iron, 2)
    for level in range(4):
        y = top + 10 + level * 10
        reach = 3 + (y - top) * 0.12
        pen.line([(x - reach, y), (x + reach, y)], iron, 1.2)
        pen.line([(x - reach, y), (x + reach, y + 9)], iron, 0.8)
    for wheel in (x - 2, x + 5):
        pen.ring(wheel, top, 7, 7, m.DARK, 1.4)
        for spoke in range(3):
            angle = math.radians(60 * spoke + 15)
            dx, dy = 6.5 * math.cos(angle), 6.5 * math.sin(angle)
            pen.line([(wheel - dx, top - dy), (wheel + dx, top + dy)], m.DARK, 0.6)
    m.block(pen, 22, 40, 66, GROUND, look.wall)
    m.gable(pen, 22, 40, 66, 7, look.wall, look.roof)
    pen.line([(4, 90), (96, 86)], m.STEEL, 1.2)
    for wagon in (30, 44, 58):
        pen.poly([(wagon - 6, 80), (wagon + 6, 80), (wagon + 4, 87), (wagon - 4, 87)], m.BARK)
        pen.oval(wagon, 79, 4.6, 2, m.DARK)


def fountain(pen: Pen, look: Look, r: Random) -> None:
    """Stacked basins, jets of water."""
    stone, spray = mix(look.stone, look.wall, 0.5), (222, 238, 246)
    pen.oval(50, 82, r.uniform(32, 38), 9, stone)
    pen.oval(50, 81, 31, 7, look.water)
    tiers = r.randint(1, 3)
    y, half = 80.0, 17.0
    for _ in range(tiers):
        pen.poly([(47, y), (48, y - 12), (52, y - 12), (53, y)], stone)
        pen.poly(
            [
                (50 - half, y - 13),
                (50 + half, y - 13),
                (50 + half * 0.4, y - 8.5),
                (50 - half * 0.4, y - 8.5),
            ],
            stone,
        )
        for sign in (-1, 1):
            for reach in (0.94, 1.14):
                x = 50 + sign * half * reach
                pen.line([(50 + sign * half * 0.9, y - 13), (x, y - 9), (x + sign, y)], spray, 1.1)
        y, half = y - 12, half * 0.62
    top = y - r.uniform(13, 22)
    for sign in (-1, 1):
        pen.line([(50, y), (50 + sign * 2, top), (50 + sign * 6, top + 3), (50 + sign * 9, y - 1)], spray, 1.4)
        for spot in (20, 30):
            pen.line(
                [
                    (50 + sign * spot, 80),
                    (50 + sign * (spot - 4), 66),
                    (50 + sign * (spot - 12), 64),
                    (50 + sign * (spot - 18), 76),
                ],
                spray,
                1.0,
            )
    pen.line([(50, y), (50, top - 2)], spray, 2)
