"""Drawings of landforms, trees, fields, gardens and parks."""

import math
from random import Random

from hgld.pipeline.sample import masonry as m
from hgld.pipeline.sample.look import Look
from hgld.pipeline.sample.pen import Colour, Pen, mix, shade

SNOW: Colour = (244, 248, 252)


def peaks(pen: Pen, look: Look, r: Random, base: float, height: float, snowy: bool) -> None:
    """Mountains in front of a distant ridge; the middle one is the highest."""
    rock = mix(look.stone, (108, 118, 140), 0.3)
    pen.poly(m.ridge(r, -8, 108, base, height * 0.62, 4), mix(rock, (180, 196, 214), 0.55))
    tops = [
        (50 + r.uniform(-14, 14), height),
        (r.uniform(8, 22), height * 0.66),
        (r.uniform(78, 94), height * 0.7),
    ]
    for x, up in reversed(tops):
        half, edge = up * r.uniform(0.75, 1.0), x + pen.turn * up * 0.25
        pen.poly([(x - half, base), (x, base - up), (x + half, base)], rock)
        pen.poly([(edge, base), (x, base - up), (x + half, base)], shade(rock, 0.76), outlined=False)
        if snowy:
            part = r.uniform(0.26, 0.4)
            y = base - up * (1 - part)
            teeth = [(x + half * part * k / 3, y + (2.5 if k % 2 else -2.5)) for k in range(3, -4, -1)]
            pen.poly([(x, base - up), *teeth], SNOW, outlined=False)


def mountain(pen: Pen, look: Look, r: Random) -> None:
    """High ridges, mostly with snow, conifers at their foot."""
    peaks(pen, look, r, 80, r.uniform(50, 60), r.random() < 0.8)
    pen.poly([(0, 78), (30, 74), (70, 79), (100, 74), (100, 100), (0, 100)], look.leaf)
    for _ in range(r.randint(5, 12)):
        m.tree(pen, r.uniform(2, 98), r.uniform(80, 96), r.uniform(8, 14), shade(look.leaf, 0.78), pointed=True)


def volcano(pen: Pen, look: Look, r: Random) -> None:
    """A single wide cone with a crater, smoke, sometimes lava."""
    rock, x = mix(look.stone, (92, 74, 72), 0.5), 50 + r.uniform(-8, 8)
    top, half, mouth = r.uniform(34, 42), r.uniform(44, 54), r.uniform(6, 10)
    for puff in range(r.randint(4, 7)):
        size = 5 + puff * 1.5
        pen.oval(
            x + puff * 4 * pen.turn,
            top - 3 - puff * 5,
            size,
            size * 0.75,
            mix((196, 190, 190), m.DARK, 0.1 * puff),
        )
    left = [(x - half, 82), (x - half * 0.45, 64), (x - mouth, top)]
    right = [(x + mouth, top), (x + half * 0.45, 64), (x + half, 82)]
    pen.poly([*left, (x - mouth * 0.4, top + 2.5), (x + mouth * 0.3, top + 1.6), *right], rock)
    shadow = [(x + mouth * 0.3, top + 2), *right, (x + half * 0.2, 82)]
    pen.poly(shadow, shade(rock, 0.76), outlined=False)
    if r.random() < 0.45:
        for lean in (-0.5, 0.2, 0.6):
            path = [
                (x + mouth * lean, top + 1),
                (x + mouth * lean * 2.2, top + 14),
                (x + mouth * lean * 2.6, top + r.uniform(22, 36)),
            ]
            pen.line(path, (236, 96, 40), 2.2)
    elif r.random() < 0.6:
        cap = [(x - mouth * 1.9, top + 12), (x - mouth, top), (x + mouth, top), (x + mouth * 1.9, top + 12)]
        pen.poly([*cap, (x + mouth * 0.6, top + 8), (x - mouth * 0.3, top + 13)], SNOW, outlined=False)
    pen.poly([(0, 82), (40, 79), (100, 83), (100, 100), (0, 100)], look.leaf)


def cliff(pen: Pen, look: Look, r: Random) -> None:
    """A sheer face above the sea or a plain."""
    rock, sign = (
        mix(look.stone, r.choice(((230, 226, 212), (186, 120, 86), look.stone)), 0.6),
        r.choice((-1, 1)),
    )
    low = look.water if r.random() < 0.7 else look.leaf
    pen.box(0, 72, 100, 100, low, outlined=False)
    top, edge = r.uniform(26, 34), 50 + sign * r.uniform(-4, 10)
    outer = 100.0 if sign < 0 else 0.0
    face = [
        (outer, top - 4),
        (edge, top),
        (edge + sign * 3, top + 16),
        (edge + sign * 1, top + 30),
        (edge + sign * 8, 84),
    ]
    pen.poly([*face, (outer, 92)], rock)
    for layer in range(6):
        y = top + 7 + layer * 8
        pen.line(
            [(outer, y - 3), ((outer + edge) / 2, y + r.uniform(-2, 2)), (edge + sign * 2, y)],
            shade(rock, 0.8),
            0.8,
        )
    for crack in range(5):
        x = outer + (edge - outer) * (crack + 0.5) / 5
        pen.line([(x, top), (x + r.uniform(-3, 3), top + 22), (x + r.uniform(-4, 4), 82)], shade(rock, 0.68), 0.8)
    pen.poly(
        [(outer, top - 8), (edge - sign * 4, top - 3), (edge, top), (edge - sign * 2, top + 2), (outer, top)],
        look.leaf,
    )
    for number in range(4):
        x = edge + sign * (10 + number * 4)
        pen.poly(m.star(x, 84 + r.uniform(-2, 4), r.uniform(2, 4.5), 3, 0.7, r.uniform(0, 90)), shade(rock, 0.85))


def cave(pen: Pen, look: Look, r: Random) -> None:
    """The dark mouth of a cave, with dripstones."""
    rock = mix(look.stone, (120, 104, 92), 0.3)
    pen.box(0, 0, 100, 100, rock, outlined=False)
    for _ in range(16):
        x, y = r.uniform(0, 96), r.uniform(0, 96)
        pen.line([(x, y), (x + r.uniform(-9, 9), y + r.uniform(3, 10))], shade(rock, r.choice((0.8, 1.15))), 1.2)
    mouth = []
    for step in range(16):
        angle = math.radians(180 + 180 * step / 15)
        reach = 34 * r.uniform(0.88, 1.1)
        mouth.append((50 + reach * math.cos(angle) + 5 * pen.turn, 62 + reach * 1.15 * math.sin(angle)))
    pen.poly([*mouth, (86, 88), (14, 88)], shade(rock, 0.5))
    pen.poly(
        [(50 + (x - 50) * 0.66, 66 + (y - 62) * 0.7) for x, y in mouth] + [(74, 88), (26, 88)],
        (30, 26, 34),
        outlined=False,
    )
    for number in range(r.randint(6, 9)):
        x = 26 + number * 6.5
        ceiling = 62 - 39 * math.sqrt(max(0.0, 1 - ((x - 50) / 34) ** 2))
        pen.poly([(x - 2, ceiling + 1), (x + 2, ceiling + 1), (x, ceiling + r.uniform(8, 20))], shade(rock, 0.85))
    for x in (30, 40, 64, 72):
        m.spire(pen, x, 2.6, 88, r.uniform(5, 14), shade(rock, 0.8))
    pen.poly([(0, 90), (30, 86), (74, 87), (100, 92), (100, 100), (0, 100)], shade(rock, 1.1))


def stone(pen: Pen, look: Look, r: Random) -> None:
    """A large boulder, or standing stones."""
    rock = mix(look.stone, look.wall, 0.25)
    if r.random() < 0.35:
        for number in range(5):
            x, up = 16.0 + number * 17, r.uniform(18, 32)
            pen.poly(
                [(x - 4.5, 82), (x - 3.6, 82 - up), (x + 3, 80 - up), (x + 5, 82)],
                shade(rock, r.uniform(0.85, 1.1)),
            )
            if number % 2:
                pen.box(x - 5, 81 - up, x + 16, 85.5 - up, rock)
        return
    size, corners = r.uniform(22, 28), []
    for step in range(11):
        angle = math.radians(180 + 18 * step)
        reach = size * r.uniform(0.85, 1.12)
        corners.append((50 + reach * 1.1 * math.cos(angle), 80 + reach * 1.35 * math.sin(angle)))
    pen.poly([*corners, (50 + size * 0.8, 85), (50 - size * 0.8, 85)], rock)
    pen.poly(
        [corners[6], corners[8], (50 + size * 0.7, 84), (50 + 4 * pen.turn, 84)],
        shade(rock, 0.8),
        outlined=False,
    )
    for _ in range(6):
        x, y = 50 + r.uniform(-0.6, 0.6) * size, r.uniform(60, 78)
        pen.line([(x, y), (x + r.uniform(-5, 5), y + r.uniform(3, 8))], shade(rock, 0.65), 0.8)
    for x in (24, 34, 68, 78):
        pen.oval(x, 86, 5, 2.6, look.leaf)


def tree(pen: Pen, look: Look, r: Random) -> None:
    """An old tree with a broad crown and a thick trunk."""
    height, lean = r.uniform(28, 38), 4 * pen.turn
    pen.poly([(42, 84), (46, 60), (47 + lean, 44), (54 + lean, 44), (55, 60), (60, 84)], m.BARK)
    for sign in (-1, 1):
        pen.line([(50 + lean, 54), (50 + sign * 14 + lean, 40)], m.BARK, 2.6)
    for _ in range(r.randint(9, 13)):
        angle, reach = r.uniform(0, 2 * math.pi), r.uniform(0.2, 1.0)
        x, y = (
            50 + lean + height * 0.75 * reach * math.cos(angle),
            34 + height * 0.42 * reach * math.sin(angle),
        )
        pen.oval(x, y, height * 0.3, height * 0.26, shade(look.leaf, r.uniform(0.8, 1.18)))
    for x in (36, 46, 56, 66):
        pen.line([(x, 86), (x + (x - 50) * 0.3, 82)], m.BARK, 1.6)


def trail(pen: Pen, look: Look, r: Random) -> None:
    """A narrow footpath through woods, a signpost."""
    pen.box(0, 56, 100, 100, look.leaf, outlined=False)
    for number in range(11):
        x = number * 10 + r.uniform(-3, 3)
        m.tree(pen, x, 60, r.uniform(16, 26), shade(look.leaf, r.uniform(0.65, 0.85)), pointed=r.random() < 0.7)
    swing, left, right = r.uniform(8, 14) * r.choice((-1, 1)), [], []
    for step in range(13):
        part = step / 12
        x, wide = 50 + 10 * pen.turn * (1 - part) + swing * math.sin(part * 6), 0.9 + 7 * part
        left.append((x - wide, 58 + 43 * part))
        right.append((x + wide, 58 + 43 * part))
    pen.poly([*left, *reversed(right)], (206, 176, 126))
    for sign in (-1, 1):
        m.tree(
            pen,
            50 + sign * r.uniform(34, 42),
            90,
            r.uniform(42, 56),
            shade(look.leaf, 0.75),
            pointed=r.random() < 0.6,
        )
    x = 50 + 20 * r.choice((-1, 1))
    pen.line([(x, 88), (x, 66)], m.BARK, 1.5)
    pen.poly([(x - 7, 67), (x + 6, 67), (x + 9, 69.4), (x + 6, 72), (x - 7, 72)], (214, 178, 104))


def agricultural_land(pen: Pen, look: Look, r: Random) -> None:
    """Furrows and patches of crops, a barn."""
    pen.poly(m.ridge(r, -4, 104, 56, 10, 2), mix(look.leaf, (150, 170, 150), 0.4))
    vanish = 50 + 40 * pen.turn
    crops = (look.leaf, (214, 188, 88), (172, 132, 84), (150, 170, 80), (196, 170, 110))
    for number in range(-9, 11):
        colour = crops[(number + r.randint(0, 1)) % len(crops)]
        near = 50 + number * 20
        far = vanish + number * 5.2
        pen.poly([(far, 55), (far + 5.2, 55), (near + 20, 100), (near, 100)], colour)
        for furrow in (0.3, 0.6):
            pen.line([(far + 5.2 * furrow, 55), (near + 20 * furrow, 100)], shade(colour, 0.82), 0.7)
    x = r.uniform(16, 84)
    m.block(pen, x - 8, x + 8, 48, 57, r.choice((m.RED, look.wall)))
    m.gable(pen, x - 8, x + 8, 48, 6, look.wall, look.roof)
    pen.box(x + 11, 42, x + 15, 57, look.stone)
    pen.dome(x + 13, 42, 2.2, 3, look.roof)
    for _ in range(r.randint(2, 5)):
        pen.oval(r.uniform(10, 90), r.uniform(68, 92), 4, 3, (226, 196, 104))


def garden(pen: Pen, look: Look, r: Random) -> None:
    """Flower beds in a pattern between gravel paths, clipped hedges, a small pavilion."""
    pen.box(0, 56, 100, 100, (222, 206, 172), outlined=False)
    m.windows(pen, (0, 48, 100, 58), 1, 16, shade(look.leaf, 0.7), arched=True)
    m.block(pen, 42, 58, 42, 56, look.wall)
    m.hip(pen, 42, 58, 42, 8, look.roof, 0.3)
    blooms = [(226, 80, 110), (244, 200, 70), (180, 110, 200), (240, 240, 240), (236, 120, 60)]
    colours = r.sample(blooms, 3)
    for row in range(3):
        y0, y1 = 59 + row * 13, 70 + row * 13
        for sign in (-1, 1):
            inner, outer = 5 + row * 3, 30 + row * 9
            centre = 50 + 10 * pen.turn * (1 - row / 2)
            bed = [
                (centre + sign * inner, y0),
                (centre + sign * outer, y0),
                (centre + sign * (outer + 7), y1),
                (centre + sign * (inner + 2), y1),
            ]
            pen.poly(bed, look.leaf)
            for _ in range(14):
                x = centre + sign * r.uniform(inner + 2, outer + 1)
                pen.oval(
                    x,
                    r.uniform(y0 + 1.5, y1 - 1.5),
                    1.4 + row * 0.3,
                    1.1 + row * 0.3,
                    colours[row % 3],
                    outlined=False,
                )
            m.spire(pen, centre + sign * (inner - 0.5), 2.4 + row * 0.5, y1, 9 + row * 3, shade(look.leaf, 0.8))


def parks(pen: Pen, look: Look, r: Random) -> None:
    """A lawn with broad trees, a path, a bench, a lamp."""
    pen.box(0, 60, 100, 100, mix(look.leaf, (150, 190, 100), 0.5), outlined=False)
    for number in range(8):
        m.tree(pen, number * 14 + r.uniform(-4, 4), 63, r.uniform(15, 24), shade(look.leaf, r.uniform(0.8, 1.0)))
    lean = 24 * pen.turn
    pen.poly([(48 + lean, 62), (52 + lean, 62), (72, 100), (34, 100)], (222, 204, 164))
    for x, y in ((r.uniform(6, 20), 84), (r.uniform(80, 94), 78)):
        m.tree(pen, x, y, r.uniform(36, 48), shade(look.leaf, 0.95))
    side = r.choice((-1, 1))
    bench = 50 + side * 27
    pen.box(bench - 8, 82, bench + 8, 84, m.BARK)
    pen.box(bench - 8, 77, bench + 8, 79.5, m.BARK)
    for x in (bench - 6, bench + 6):
        pen.line([(x, 77), (x, 89)], m.DARK, 1.0)
    lamp = 50 - side * 20
    pen.line([(lamp, 90), (lamp, 60)], m.DARK, 1.1)
    pen.oval(lamp, 58, 2.4, 2.8, (252, 240, 190))
    if r.random() < 0.4:
        pen.oval(50 + side * 20, 70, 12, 3.2, look.water)
