"""Drawings of buildings and squares of a town, of villages and cities."""

from random import Random

from hgld.pipeline.sample import masonry as m
from hgld.pipeline.sample.look import Look
from hgld.pipeline.sample.pen import GROUND, Pen, mix, shade


def house(pen: Pen, look: Look, r: Random) -> None:
    """A dwelling with a gable or a hipped roof, a chimney, a fence."""
    half, eaves = r.uniform(15, 20), r.uniform(56, 61)
    m.block(pen, 50 - half, 50 + half, eaves, GROUND, look.wall)
    chimney = 50 + r.choice((-1, 1)) * half * 0.55
    pen.box(chimney - 2, eaves - 17, chimney + 2, eaves - 4, (156, 84, 66))
    if r.random() < 0.6:
        m.gable(pen, 50 - half, 50 + half, eaves, r.uniform(11, 16), look.wall, look.roof)
        pen.box(47.5, eaves - 5, 52.5, eaves, m.GLASS)
    else:
        m.hip(pen, 50 - half, 50 + half, eaves, r.uniform(9, 13), look.roof, 0.22)
    for x in (50 - half * 0.6, 50 + half * 0.6):
        pen.box(x - 3.4, eaves + 5, x + 3.4, eaves + 12, look.trim)
        pen.box(x - 2.4, eaves + 6, x + 2.4, eaves + 11, m.GLASS)
    pen.box(47, GROUND - 11, 53, GROUND, shade(look.trim, 0.6))
    for x in range(6, 96, 4):
        if not 44 < x < 56:
            pen.box(x, GROUND + 1, x + 1.6, GROUND + 6, mix(look.trim, m.WHITE, 0.5))


def hotel(pen: Pen, look: Look, r: Random) -> None:
    """Many storeys of balconies, a sign on the roof, an awning over the entrance."""
    half, top, rows = r.uniform(19, 26), r.uniform(26, 36), r.randint(5, 7)
    m.block(pen, 50 - half, 50 + half, top, GROUND, look.wall)
    columns, down = r.randint(5, 7), (GROUND - 10 - top) / rows
    m.windows(pen, (50 - half, top + 1, 50 + half, GROUND - 10), rows, columns)
    for row in range(rows):
        y = top + (row + 1) * down
        for column in range(columns):
            x = 50 - half + (column + 0.5) * 2 * half / columns
            pen.box(x - half * 0.7 / columns, y - down * 0.3, x + half * 0.7 / columns, y, shade(look.trim, 0.95))
    sign = r.uniform(11, 15)
    pen.box(50 - sign, top - 8, 50 + sign, top - 2, shade(look.roof, 0.8))
    for number in range(4):
        pen.poly(m.star(50 + (number - 1.5) * 5, top - 5, 2), m.GOLD, outlined=False)
    pen.poly([(40, GROUND - 9), (60, GROUND - 9), (64, GROUND - 5), (36, GROUND - 5)], m.RED)
    pen.box(46, GROUND - 5, 54, GROUND, m.GLASS)


def hospital(pen: Pen, look: Look, r: Random) -> None:
    """A plain block with wings and a red cross on a white sign."""
    half, top = r.uniform(15, 19), r.uniform(36, 42)
    wall = mix(look.wall, m.WHITE, 0.4)
    for left, right in ((8, 50 - half), (50 + half, 92)):
        pen.box(left, top + 14, right, GROUND, shade(wall, 0.94))
        m.windows(pen, (left, top + 15, right, GROUND), 3, 5)
    m.block(pen, 50 - half, 50 + half, top, GROUND, wall)
    m.windows(pen, (50 - half, top + 14, 50 + half, GROUND - 7), 3, r.randint(5, 7))
    pen.box(43, top - 1, 57, top + 12, m.WHITE)
    pen.box(48.2, top + 1, 51.8, top + 10, m.RED, outlined=False)
    pen.box(45.5, top + 3.8, 54.5, top + 7.4, m.RED, outlined=False)
    pen.box(40, GROUND - 7, 60, GROUND - 5, look.trim)
    pen.box(45, GROUND - 5, 55, GROUND, m.GLASS)


def school(pen: Pen, look: Look, r: Random) -> None:
    """A long building with a clock over the entrance, a flag, a playground."""
    left, top, rows = r.uniform(10, 15), r.uniform(52, 57), r.randint(2, 3)
    right = 100 - left
    m.block(pen, left, right, top, GROUND, look.wall)
    m.windows(pen, (left, top + 1, right, GROUND), rows, r.randint(9, 11))
    m.hip(pen, left, right, top, 6, look.roof, 0.05)
    m.block(pen, 41, 59, top - 8, GROUND, shade(look.wall, 1.06))
    m.gable(pen, 41, 59, top - 8, 8, look.wall, look.roof)
    pen.oval(50, top - 4, 4, 4, m.WHITE)
    pen.line([(50, top - 7), (50, top - 4), (52, top - 3)], m.DARK, 0.7)
    pen.box(46, GROUND - 10, 54, GROUND, shade(look.trim, 0.7))
    m.flag(pen, 20, GROUND + 4, r.uniform(34, 42), look.trim)
    for number in range(4):
        pen.box(
            62 + number * 6,
            GROUND + 4,
            67 + number * 6,
            GROUND + 8,
            (look.roof, m.GOLD, look.water, m.RED)[number],
        )


def library(pen: Pen, look: Look, r: Random) -> None:
    """Tall arched windows with shelves of books behind them, an open book above the door."""
    half, top = r.uniform(22, 28), r.uniform(44, 50)
    m.block(pen, 50 - half, 50 + half, top, GROUND - 4, look.wall)
    pen.box(50 - half - 1.5, top - 2.5, 50 + half + 1.5, top, shade(look.wall, 1.08))
    bays = r.choice((4, 6))
    wide = 2 * half / bays
    for bay in range(bays):
        x = 50 - half + bay * wide
        pen.arch(x + wide * 0.18, x + wide * 0.82, top + 10, GROUND - 8, m.DARK)
        for shelf in range(4):
            y = top + 10 + shelf * 4.4
            for book in range(4):
                bx = x + wide * (0.24 + 0.14 * book)
                pen.box(
                    bx,
                    y,
                    bx + wide * 0.1,
                    y + 3.4,
                    r.choice((m.RED, m.GOLD, look.water, look.leaf)),
                    outlined=False,
                )
    pen.poly([(41, top - 3), (50, top - 6), (50, top - 14), (41, top - 11)], m.WHITE)
    pen.poly([(59, top - 3), (50, top - 6), (50, top - 14), (59, top - 11)], shade(m.WHITE, 0.9))
    pen.box(46, GROUND - 15, 54, GROUND - 4, shade(look.trim, 0.55))
    m.steps(pen, 42, 58, GROUND - 4, 2, 2, look.stone)


def museum(pen: Pen, look: Look, r: Random) -> None:
    """A temple front with columns above broad steps, flanked by banners."""
    half, top, wing = r.uniform(17, 22), r.uniform(46, 51), r.uniform(12, 16)
    pen.box(50 - half - wing, top + 4, 50 + half + wing, GROUND - 5, shade(look.wall, 0.95))
    m.block(pen, 50 - half, 50 + half, top, GROUND - 5, look.wall)
    m.columns(pen, 50 - half, 50 + half, top + 3, GROUND - 5, r.randint(5, 8), shade(look.wall, 1.1))
    m.pediment(pen, 50 - half, 50 + half, top, r.uniform(8, 12), shade(look.wall, 1.04))
    for x in (50 - half - wing / 2, 50 + half + wing / 2):
        pen.box(x - 3, top + 8, x + 3, GROUND - 9, r.choice((look.trim, look.roof, m.RED)))
        pen.oval(x, top + 14, 1.8, 1.8, m.GOLD)
    m.steps(pen, 50 - half + 3, 50 + half - 3, GROUND - 5, 3, 2, look.stone)


def theatre(pen: Pen, look: Look, r: Random) -> None:
    """A front with a lit canopy, red curtains in the arches, a mask above."""
    half, top = r.uniform(20, 25), r.uniform(42, 48)
    m.block(pen, 50 - half * 0.7, 50 + half * 0.7, top - 12, GROUND, shade(look.wall, 0.85))
    m.block(pen, 50 - half, 50 + half, top, GROUND, look.wall)
    m.hip(pen, 50 - half, 50 + half, top, 5, look.roof, 0.1)
    bays = r.choice((3, 5))
    for bay in range(bays):
        wide = 2 * half / bays
        x = 50 - half + bay * wide
        pen.arch(x + wide * 0.15, x + wide * 0.85, top + 12, GROUND - 13, m.DARK)
        pen.poly(
            [(x + wide * 0.15, top + 8), (x + wide * 0.5, top + 9), (x + wide * 0.15, GROUND - 13)],
            (170, 34, 44),
        )
        pen.poly(
            [(x + wide * 0.85, top + 8), (x + wide * 0.5, top + 9), (x + wide * 0.85, GROUND - 13)],
            (150, 28, 40),
        )
    pen.box(50 - half - 3, GROUND - 13, 50 + half + 3, GROUND - 9, m.GOLD)
    for number in range(9):
        pen.oval(50 + (number - 4) * half * 0.24, GROUND - 11, 0.9, 0.9, m.WHITE, outlined=False)
    pen.box(50 - half * 0.8, GROUND - 8, 50 + half * 0.8, GROUND, m.DARK)
    pen.oval(50, top - 7, 4.6, 5.4, m.WHITE)
    pen.oval(48.2, top - 8, 0.9, 0.9, m.DARK)
    pen.oval(51.8, top - 8, 0.9, 0.9, m.DARK)
    pen.line([(47.4, top - 5), (50, top - 3.6), (52.6, top - 5)], m.DARK, 0.9)


def government_building(pen: Pen, look: Look, r: Random) -> None:
    """A columned front below a large dome or a town-hall turret, with flags."""
    half, top = r.uniform(30, 36), r.uniform(54, 58)
    pen.box(50 - half, top, 50 + half, GROUND, look.wall)
    m.windows(pen, (50 - half, top + 1, 50 + half, GROUND), 2, r.randint(10, 13))
    pen.box(50 - half - 1, top - 2, 50 + half + 1, top, shade(look.wall, 1.08))
    pen.box(38, top - 4, 62, GROUND, shade(look.wall, 1.05))
    m.columns(pen, 39, 61, top, GROUND - 2, 6, shade(look.wall, 1.12))
    m.pediment(pen, 38, 62, top - 4, 6, look.wall)
    drum = top - 9
    pen.box(42, drum - 6, 58, drum + 1, look.wall)
    m.windows(pen, (42, drum - 6, 58, drum + 1), 1, 6, arched=True)
    pen.dome(50, drum - 6, 9.5, r.uniform(10, 14), look.roof)
    pen.box(48.4, drum - 23, 51.6, drum - 17, look.wall)
    m.flag(pen, 50, drum - 22, 8, m.RED)
    for x in (50 - half + 4, 50 + half - 6):
        m.flag(pen, x, top, 12, look.trim)


def square(pen: Pen, look: Look, r: Random) -> None:
    """A paved square with a column in its centre, lined by buildings."""
    walls = (look.wall, look.trim, look.stone, mix(look.wall, look.roof, 0.4))
    for number in range(7):
        x, top = number * 14.4, 44 + r.uniform(-4, 4)
        colour = r.choice(walls)
        pen.box(x, top, x + 14.4, 68, colour)
        m.windows(pen, (x, top + 1, x + 14.4, 66), 3, 3)
        m.hip(pen, x + 1.5, x + 12.9, top, 4, look.roof, 0.1)
    paving = mix(look.stone, (200, 190, 176), 0.5)
    pen.poly([(0, 68), (100, 68), (100, 100), (0, 100)], paving)
    vanish = 50 + 40 * pen.turn
    for x in range(-140, 260, 22):
        pen.line([(x, 100), (vanish + (x - vanish) * 0.28, 68)], shade(paving, 0.78), 0.7)
    for y in (71, 75, 81, 89):
        pen.line([(0, y), (100, y)], shade(paving, 0.78), 0.7)
    m.steps(pen, 45, 55, 76, 2, 2.4, look.stone)
    pen.box(48, r.uniform(34, 42), 52, 76, shade(look.stone, 1.15))
    pen.oval(50, 38, 2.6, 3.2, (92, 128, 112))
    for _ in range(9):
        pen.oval(r.uniform(8, 92), r.uniform(80, 96), 1.3, 0.8, (104, 108, 120))


def city(pen: Pen, look: Look, r: Random) -> None:
    """A skyline of buildings of different heights behind a river."""
    for layer, tone in ((0, 0.8), (1, 1.0)):
        x = -2.0
        while x < 100:
            wide, up = r.uniform(6, 12), r.uniform(12, 42 - 12 * layer)
            colour = shade(mix(look.wall, r.choice((look.roof, look.stone, look.trim)), 0.45), tone)
            pen.box(x, 74 - up, x + wide, 76, colour)
            m.windows(
                pen,
                (x, 75 - up, x + wide, 75),
                max(2, int(up / 4)),
                3,
                mix(m.GLASS, m.GOLD, r.choice((0, 0.6))),
            )
            x += wide + r.uniform(-1, 1.5)
    pen.box(0, 76, 100, 100, look.water)
    m.ripples(pen, r, (0, 79, 96, 98), 22, shade(look.water, 1.2))


def village(pen: Pen, look: Look, r: Random) -> None:
    """A cluster of small gabled houses around a steeple, below hills."""
    pen.poly([(0, 62), (30, 50), (60, 56), (100, 46), (100, 100), (0, 100)], look.leaf)
    steeple = r.uniform(38, 62)
    pen.box(steeple - 2.4, 42, steeple + 2.4, 66, m.WHITE)
    m.spire(pen, steeple, 3.2, 42, 10, look.roof)
    for row, y in enumerate((64, 73, 84)):
        for number in range(6 - row):
            x = 8 + (number + 0.5 * (row % 2)) * 88 / (6 - row) + r.uniform(-2.5, 2.5)
            half, up = r.uniform(4.5, 6) + row, r.uniform(5, 7) + row
            wall = mix(look.wall, r.choice((m.WHITE, look.trim)), 0.5)
            pen.box(x - half, y - up, x + half, y, wall)
            pen.poly([(x - half - 1, y - up), (x, y - up - half * 0.9), (x + half + 1, y - up)], look.roof)
            m.windows(pen, (x - half, y - up + 1, x + half, y), 1, 2)


def settlement(pen: Pen, look: Look, r: Random) -> None:
    """Scattered roofs and fields along roads, seen from the air."""
    pen.box(0, 36, 100, 100, mix(look.ground, look.leaf, 0.4), outlined=False)
    for _ in range(7):
        x, y, wide = r.uniform(0, 80), r.uniform(38, 88), r.uniform(14, 26)
        field = mix(look.leaf, (206, 186, 104), r.uniform(0, 0.8))
        pen.poly([(x, y), (x + wide, y - 2), (x + wide + 4, y + 8), (x + 3, y + 10)], field)
    bend = r.uniform(30, 70)
    pen.line([(0, 60), (bend, 66), (100, 52)], (206, 200, 190), 2.6)
    pen.line([(bend, 66), (bend + pen.turn * 20, 100)], (206, 200, 190), 3)
    pen.line([(bend, 66), (bend - pen.turn * 12, 36)], (206, 200, 190), 1.8)
    for _ in range(26):
        x, y = r.gauss(bend, 20), r.uniform(42, 94)
        size = 1.6 + (y - 36) * 0.035
        pen.poly([(x - size, y), (x, y - size * 0.8), (x + size, y), (x, y + size * 0.8)], look.roof)
        pen.poly([(x - size, y), (x, y + size * 0.8), (x, y + size * 1.6), (x - size, y + size * 0.8)], look.wall)
