"""Drawings of castles, palaces, towers and other tall or walled landmarks."""

import math
from random import Random

from hgld.pipeline.sample import masonry as m
from hgld.pipeline.sample.look import Look
from hgld.pipeline.sample.pen import GROUND, Pen, mix, shade


def castle(pen: Pen, look: Look, r: Random) -> None:
    """Crenellated walls between towers, a gate, often on a hill."""
    stone, lift = mix(look.wall, look.stone, 0.6), r.choice((0, 0, 8, 14))
    base = GROUND - lift
    if lift:
        slope = [
            (-2, GROUND + 4),
            (8, GROUND - lift * 0.3),
            (18, base - 1),
            (82, base - 1),
            (92, GROUND - lift * 0.3),
        ]
        pen.poly([*slope, (102, GROUND + 4)], look.leaf)
    wall, left, right = r.uniform(18, 24), r.uniform(18, 24), r.uniform(76, 82)
    pen.box(left, base - wall, right, base, stone)
    m.crenels(pen, left, right, base - wall, 9, stone)
    keep = r.uniform(38, 62)
    m.block(pen, keep - 9, keep + 9, base - wall - r.uniform(10, 16), base, shade(stone, 0.94))
    m.crenels(pen, keep - 9, keep + 9, base - wall - 12, 4, shade(stone, 0.94))
    pointed = r.random() < 0.55
    for x in (left, right):
        top, half = base - wall - r.uniform(4, 13), r.uniform(5, 7)
        pen.box(x - half, top, x + half, base, shade(stone, 1.05))
        pen.arch(x - 1, x + 1, top + 6, top + 10, m.DARK)
        if pointed:
            m.spire(pen, x, half + 1.5, top, r.uniform(10, 15), look.roof)
        else:
            m.crenels(pen, x - half - 0.8, x + half + 0.8, top, 3, shade(stone, 1.05))
    pen.arch(45, 55, base - 8, base, m.DARK)
    m.flag(pen, keep, base - wall - 12, 11, r.choice((look.trim, m.RED)))


def palace(pen: Pen, look: Look, r: Random) -> None:
    """A wide symmetrical front with wings, many windows and a raised centre."""
    left, top = r.uniform(6, 12), r.uniform(52, 57)
    right, rows = 100 - left, r.randint(2, 3)
    pen.box(left, top, right, GROUND, look.wall)
    m.hip(pen, left, right, top, 7, look.roof, 0.05)
    m.windows(pen, (left + 8, top + 2, right - 8, GROUND), rows, r.randint(12, 15))
    for x in (left + 4, right - 4):
        pen.box(x - 6, top - 4, x + 6, GROUND, shade(look.wall, 1.05))
        m.windows(pen, (x - 6, top - 1, x + 6, GROUND), rows, 2)
        m.hip(pen, x - 6, x + 6, top - 4, 7, look.roof, 0.3)
    pen.box(40, top - 5, 60, GROUND, shade(look.wall, 1.07))
    m.windows(pen, (40, top - 2, 60, GROUND - 8), rows, 4, arched=True)
    if r.random() < 0.5:
        pen.dome(50, top - 5, 9, 11, look.roof)
        m.flag(pen, 50, top - 15, 8, look.trim)
    else:
        m.pediment(pen, 40, 60, top - 5, 8, look.wall)
    pen.arch(47, 53, GROUND - 6, GROUND, m.DARK)
    for x in range(10, 95, 10):
        pen.oval(x, GROUND + 5, 3, 2, look.leaf)


def gate(pen: Pen, look: Look, r: Random) -> None:
    """A free-standing gate with one or three arches below an attic."""
    half, top = r.uniform(20, 26), r.uniform(36, 44)
    stone = mix(look.wall, look.stone, 0.3)
    m.block(pen, 50 - half, 50 + half, top, GROUND, stone)
    pen.box(50 - half - 2, top + 8, 50 + half + 2, top + 10.5, shade(stone, 1.08))
    pen.box(50 - half - 2, top - 2, 50 + half + 2, top, shade(stone, 1.08))
    pen.box(50 - half * 0.5, top + 2, 50 + half * 0.5, top + 6, shade(stone, 0.84))
    wide = r.uniform(6.5, 9)
    through = (184, 200, 206)
    pen.arch(50 - wide, 50 + wide, GROUND - 20, GROUND, through)
    if r.random() < 0.6:
        for x in (50 - half * 0.72, 50 + half * 0.72):
            pen.arch(x - 3.4, x + 3.4, GROUND - 15, GROUND, through)
    crown = r.randint(0, 2)
    if crown == 0:
        for x in (44, 50, 56):
            m.spire(pen, x, 2.6, top - 2, 7, (92, 128, 112))
    elif crown == 1:
        m.hip(pen, 50 - half, 50 + half, top - 2, 9, look.roof, 0.2)


def tower(pen: Pen, look: Look, r: Random) -> None:
    """A single tall shaft: a clock tower, a masonry tower or a broadcasting tower."""
    kind, half, top = r.randint(0, 2), r.uniform(5.5, 8), r.uniform(20, 28)
    if kind == 2:
        concrete, knob = mix(look.wall, (190, 190, 190), 0.6), r.uniform(28, 36)
        pen.poly([(45, GROUND), (48.6, 12), (51.4, 12), (55, GROUND)], concrete)
        pen.oval(50, knob, half * 1.5, 4, shade(concrete, 0.9))
        pen.oval(50, knob - 3, half * 1.1, 2.6, m.GLASS)
        pen.line([(50, 14), (50, 3)], m.RED, 1.0)
        return
    m.block(pen, 50 - half, 50 + half, top, GROUND, look.wall)
    for floor in range(4):
        y = top + 16 + floor * 9
        pen.line([(50 - half, y), (50 + half, y)], shade(look.wall, 0.75), 0.8)
        pen.arch(49, 51, y + 3, y + 6, m.DARK)
    if kind == 0:
        pen.oval(50, top + 8, half * 0.7, half * 0.7, m.WHITE)
        pen.line([(50, top + 4.5), (50, top + 8), (52.6, top + 9)], m.DARK, 0.8)
        m.spire(pen, 50, half + 1.5, top, r.uniform(10, 16), look.roof)
    else:
        m.crenels(pen, 50 - half - 1.5, 50 + half + 1.5, top, 4, look.wall)
        m.windows(pen, (50 - half, top + 3, 50 + half, top + 12), 1, 2, m.DARK, arched=True)


def skyscraper(pen: Pen, look: Look, r: Random) -> None:
    """A glass high-rise among lower buildings."""
    glass = mix(look.water, look.wall, r.uniform(0.1, 0.5))
    for number in range(7):
        x, up = 4 + number * 14, r.uniform(14, 34)
        pen.box(x, GROUND - up, x + 11, GROUND, shade(mix(look.wall, (150, 160, 170), 0.6), r.uniform(0.75, 1.0)))
        m.windows(pen, (x, GROUND - up + 2, x + 11, GROUND), 5, 3)
    half, top = r.uniform(7, 10), r.uniform(12, 22)
    m.block(pen, 50 - half, 50 + half, top + 12, GROUND, glass)
    setback = half * r.uniform(0.6, 1.0)
    m.block(pen, 50 - setback, 50 + setback, top, top + 12, shade(glass, 1.06))
    m.windows(pen, (50 - half, top + 12, 50 + half, GROUND), 14, 5, shade(glass, 0.66))
    m.windows(pen, (50 - setback, top + 1, 50 + setback, top + 12), 3, 4, shade(glass, 0.66))
    crown = r.randint(0, 2)
    if crown == 0:
        m.spire(pen, 50, setback, top, 12, look.roof)
    elif crown == 1:
        pen.line([(50, top), (50, top - 10)], m.DARK, 1.0)
    else:
        pen.poly([(50 - setback, top), (50 - setback, top - 7), (50 + setback, top)], shade(glass, 0.9))


def lighthouse(pen: Pen, look: Look, r: Random) -> None:
    """A striped tapering tower with a lantern, on rocks by the sea."""
    pen.box(0, 66, 100, 100, look.water, outlined=False)
    m.ripples(pen, r, (0, 69, 100, 97), 14, shade(look.water, 1.25))
    pen.poly([(18, 92), (26, 79), (40, 75), (62, 76), (78, 82), (86, 93)], look.stone)
    foot, head, top = r.uniform(6, 8.5), r.uniform(3.4, 5), r.uniform(26, 34)
    light, dark = m.WHITE, r.choice((m.RED, look.roof, m.DARK, look.trim))
    bands = r.choice((1, 4, 5, 6))
    for band in range(bands):
        high, low = band / bands, (band + 1) / bands
        a, b = head + (foot - head) * high, head + (foot - head) * low
        y0, y1 = top + (77 - top) * high, top + (77 - top) * low
        pen.poly([(50 - a, y0), (50 + a, y0), (50 + b, y1), (50 - b, y1)], dark if band % 2 else light)
    if bands == 1:
        shadow = [(50 + head * 0.4, top), (50 + head, top), (50 + foot, 77), (50 + foot * 0.4, 77)]
        pen.poly(shadow, shade(light, 0.75), outlined=False)
    pen.box(50 - head - 2, top - 1.5, 50 + head + 2, top + 0.5, m.DARK)
    pen.box(50 - head * 0.75, top - 7, 50 + head * 0.75, top - 1.5, (252, 228, 130))
    pen.dome(50, top - 7, head, 4, dark if bands > 1 else look.roof)
    if r.random() < 0.5:
        m.block(pen, 58, 70, 68, 79, look.wall)
        m.gable(pen, 58, 70, 68, 5, look.wall, look.roof)


def windmill(pen: Pen, look: Look, r: Random) -> None:
    """A tapering body with a cap and four sails."""
    foot, head, top = r.uniform(10, 13), r.uniform(6, 8), r.uniform(42, 47)
    pen.poly([(50 - head, top), (50 + head, top), (50 + foot, GROUND), (50 - foot, GROUND)], look.wall)
    pen.poly(
        [(50 + head * 0.4, top), (50 + head, top), (50 + foot, GROUND), (50 + foot * 0.4, GROUND)],
        shade(look.wall, 0.8),
    )
    pen.dome(50, top, head + 1, 9, look.roof)
    pen.arch(47.5, 52.5, GROUND - 7, GROUND, m.DARK)
    for y in (top + 8, top + 17):
        pen.box(48.4, y, 51.6, y + 3.6, m.GLASS)
    reach, start, hub = r.uniform(24, 29), r.uniform(0, 90), (50 + 3 * pen.turn, top - 3)
    for quarter in range(4):
        angle = math.radians(start + 90 * quarter)
        ahead, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
        tip = (hub[0] + reach * ahead[0], hub[1] + reach * ahead[1])
        root = (hub[0] + 5 * ahead[0], hub[1] + 5 * ahead[1])
        sail = [
            root,
            tip,
            (tip[0] + 5 * across[0], tip[1] + 5 * across[1]),
            (root[0] + 5 * across[0], root[1] + 5 * across[1]),
        ]
        pen.poly(sail, mix(look.trim, m.WHITE, 0.5))
        pen.line([hub, tip], m.BARK, 1.3)
    pen.oval(hub[0], hub[1], 1.6, 1.6, m.DARK)


def pyramid(pen: Pen, look: Look, r: Random) -> None:
    """A smooth or a stepped pyramid in the sand, sometimes with a smaller one."""
    sand = mix((222, 190, 130), look.stone, 0.25)
    half, height = r.uniform(30, 38), r.uniform(34, 44)
    if r.random() < 0.6:
        x = r.choice((16, 84))
        m.spire(pen, x, 15, GROUND, 18, shade(sand, 0.92))
    if r.random() < 0.3:
        levels = r.randint(5, 7)
        for level in range(levels):
            wide, y = half * (1 - level / (levels + 1)), GROUND - height * level / levels
            m.block(pen, 50 - wide, 50 + wide, y - height / levels, y, shade(sand, 1 - 0.02 * level))
        return
    edge = 50 + pen.turn * half * 0.7
    pen.poly([(50 - half, GROUND), (50, GROUND - height), (edge, GROUND + 3)], shade(sand, 1.06))
    pen.poly([(edge, GROUND + 3), (50, GROUND - height), (50 + half, GROUND)], shade(sand, 0.72))
    for course in range(1, 9):
        up = course / 9
        a, b, c = 50 - half * (1 - up), edge + (50 - edge) * up, 50 + half * (1 - up)
        y = GROUND - height * up
        pen.line([(a, y), (b, y + 3 * (1 - up)), (c, y)], shade(sand, 0.62), 0.4)


def aqueduct(pen: Pen, look: Look, r: Random) -> None:
    """Two or three tiers of arches across a valley."""
    stone, tiers = mix(look.wall, look.stone, 0.5), r.randint(2, 3)
    y, base, slant = r.uniform(38, 44), 84.0, pen.turn * 5
    heights = [(base - y) * fraction for fraction in ((0.36, 0.64) if tiers == 2 else (0.2, 0.36, 0.44))]
    bays = r.randint(5, 7)
    pen.poly(
        [(0, y - 3 - slant), (100, y - 3 + slant), (100, y + 1 + slant), (0, y + 1 - slant)],
        shade(stone, 0.85),
    )
    for tier, height in enumerate(heights):
        pen.poly([(0, y - slant), (100, y + slant), (100, y + height), (0, y + height)], stone)
        count = bays * (2 if tier == 0 and tiers == 3 else 1)
        for bay in range(count):
            x, wide = 100 * bay / count, 100 / count
            radius = wide * 0.36
            drop = slant * (2 * (x + wide / 2) / 100 - 1)
            pen.arch(x + wide * 0.14, x + wide * 0.86, y + drop + radius + 2, y + height, (190, 206, 208))
        y += height
    pen.poly([(0, 88), (30, 84), (70, 84), (100, 88), (100, 100), (0, 100)], look.leaf)


def observatory(pen: Pen, look: Look, r: Random) -> None:
    """White domes with open slits, on a hill."""
    pen.poly([(0, 88), (20, GROUND - 2), (80, GROUND - 2), (100, 88), (100, 100), (0, 100)], look.leaf)
    for x, size in ((50, r.uniform(14, 18)), (r.choice((20, 80)), r.uniform(7, 10))):
        base, metal = GROUND - 1, mix(look.wall, (225, 228, 232), 0.7)
        pen.box(x - size, base - size * 0.8, x + size, base, look.wall)
        m.windows(pen, (x - size, base - size * 0.6, x + size, base), 1, 5)
        top = base - size * 0.8
        pen.dome(x, top, size * 1.05, size * 1.1, metal)
        slit = x + pen.turn * size * 0.4
        corners = [
            (slit - size * 0.16, top - 1),
            (slit - size * 0.08, top - size * 1.03),
            (slit + size * 0.12, top - size),
        ]
        pen.poly([*corners, (slit + size * 0.2, top - 1)], m.DARK)
        pen.line(
            [(slit, top - size * 0.5), (slit + size * 0.5 * (1 if pen.turn > 0 else -1), top - size * 1.2)],
            look.roof,
            2,
        )


def prison(pen: Pen, look: Look, r: Random) -> None:
    """A high blank wall with barbed wire, watchtowers, barred cells behind."""
    concrete = mix(look.wall, (150, 150, 148), 0.55)
    pen.box(24, 42, 76, 66, shade(concrete, 0.9))
    m.windows(pen, (25, 43, 75, 64), 3, 9, m.DARK)
    for x in range(27, 76, 3):
        pen.line([(x, 43), (x, 64)], shade(concrete, 0.8), 0.4)
    wall = r.uniform(60, 64)
    pen.box(6, wall, 94, GROUND + 2, concrete)
    for x in range(8, 94, 4):
        pen.ring(x, wall - 1.4, 1.8, 1.8, (110, 114, 120), 0.5)
    for x in (10, 90):
        pen.box(x - 3.5, wall - 18, x + 3.5, GROUND + 2, shade(concrete, 0.95))
        pen.box(x - 6, wall - 25, x + 6, wall - 17, m.GLASS)
        m.hip(pen, x - 7, x + 7, wall - 25, 4, look.roof, 0.2)
    pen.box(44, GROUND - 8, 56, GROUND + 2, shade(look.trim, 0.6))
