"""Drawings of places of worship and remembrance, sculpture and ruins."""

from random import Random

from hgld.pipeline.sample import masonry as m
from hgld.pipeline.sample.look import Look
from hgld.pipeline.sample.pen import GROUND, Pen, mix, shade


def church(pen: Pen, look: Look, r: Random) -> None:
    """A gabled nave, a steeple beside or in front of it, a cross on top."""
    eaves, half, tower = r.uniform(52, 60), r.uniform(13, 19), r.uniform(5, 7.5)
    x = 50 + r.choice((-1, 0, 1)) * (half + tower * 0.6)
    m.block(pen, 50 - half, 50 + half, eaves, GROUND, look.wall)
    m.gable(pen, 50 - half, 50 + half, eaves, r.uniform(13, 19), look.wall, look.roof)
    pen.oval(50, eaves + 2, 3.6, 3.6, m.GLASS)
    m.windows(pen, (50 - half, eaves + 8, 50 + half, GROUND - 3), 1, r.randint(3, 5), arched=True)
    top = r.uniform(28, 38)
    m.block(pen, x - tower, x + tower, top, GROUND, shade(look.wall, 0.95))
    m.windows(pen, (x - tower, top + 3, x + tower, top + 14), 1, 2, m.DARK, arched=True)
    cap, rise = r.choice((m.spire, m.spire, m.onion)), r.uniform(13, 22)
    cap(pen, x, tower + 1, top, rise, look.roof)
    m.latin_cross(pen, x, top - rise + 1, 6, m.GOLD, 1.1)
    pen.arch(x - 2.6, x + 2.6, GROUND - 7, GROUND, shade(look.trim, 0.6))


def mosque(pen: Pen, look: Look, r: Random) -> None:
    """A dome over a cube, minarets, crescents."""
    half, top, dome = r.uniform(18, 23), r.uniform(56, 62), r.uniform(12, 17)
    spots = r.choice(((-1,), (1,), (-1, 1), (-1, 1), (-1.35, -0.95, 0.95, 1.35)))
    slim, height = r.uniform(1.9, 2.6), r.uniform(44, 54)
    for side in spots:
        x = 50 + side * (half + 5)
        pen.box(x - slim, GROUND - height, x + slim, GROUND, shade(look.wall, 1.05))
        pen.box(x - slim * 1.8, GROUND - height * 0.72, x + slim * 1.8, GROUND - height * 0.72 + 2, look.trim)
        m.spire(pen, x, slim * 1.2, GROUND - height, 10, look.roof)
        pen.oval(x, GROUND - height - 10.5, 0.9, 0.9, m.GOLD)
    m.block(pen, 50 - half, 50 + half, top, GROUND, look.wall)
    for x in (50 - half * 0.68, 50 + half * 0.68):
        pen.dome(x, top, half * 0.27, dome * 0.45, look.roof)
    pen.box(50 - dome * 0.9, top - 3, 50 + dome * 0.9, top, shade(look.wall, 0.9))
    pen.dome(50, top - 3, dome, dome * r.uniform(0.95, 1.2), look.roof)
    y = top - 3 - dome * 1.2 - 3
    pen.line([(50, y + 4), (50, y)], m.GOLD, 0.8)
    pen.ring(50, y - 1.6, 2.2, 2.2, m.GOLD, 0.9)
    m.windows(
        pen,
        (50 - half, top + 4, 50 + half, GROUND - 2),
        1,
        r.randint(5, 7),
        shade(look.trim, 0.55),
        arched=True,
    )
    pen.arch(45, 55, GROUND - 11, GROUND, m.DARK)


def synagogue(pen: Pen, look: Look, r: Random) -> None:
    """A broad front between two domed towers, with a star of David in a round window."""
    half, top, tower = r.uniform(16, 21), r.uniform(44, 50), r.uniform(4.5, 6)
    m.block(pen, 50 - half, 50 + half, top, GROUND, look.wall)
    for band in range(3):
        y = top + 6 + band * 8
        pen.box(50 - half, y, 50 + half, y + 2, mix(look.wall, look.roof, 0.5), outlined=False)
    m.gable(pen, 50 - half * 0.6, 50 + half * 0.6, top, r.uniform(8, 13), look.wall, look.trim)
    for x in (50 - half, 50 + half):
        pen.box(x - tower, top - 7, x + tower, GROUND, shade(look.wall, 0.92))
        m.windows(pen, (x - tower, top - 4, x + tower, GROUND - 4), 3, 1, m.DARK, arched=True)
        m.onion(pen, x, tower, top - 7, tower * 2.2, look.roof)
    pen.oval(50, top + 8, 7.2, 7.2, m.WHITE)
    for start in (-90, 90):
        corners = m.star(50, top + 8, 6.2, 3, 0.5, start)
        pen.line([*corners[::2], corners[0], corners[2]], (40, 76, 150), 1.1)
    m.windows(pen, (50 - half + tower, top + 18, 50 + half - tower, GROUND - 1), 1, 3, m.DARK, arched=True)


def buddhist_temple(pen: Pen, look: Look, r: Random) -> None:
    """A pagoda: ever narrower storeys, each below a roof with upturned corners."""
    storeys, half, height = r.randint(3, 5), r.uniform(17, 22), r.uniform(9, 11)
    base, wall = GROUND - 4, mix(look.wall, (176, 62, 46), r.uniform(0.3, 0.8))
    m.steps(pen, 50 - half, 50 + half, GROUND - 4, 2, 2, look.stone)
    for storey in range(storeys):
        wide = half * (1 - storey * 0.8 / storeys)
        pen.box(50 - wide * 0.7, base - height, 50 + wide * 0.7, base, shade(wall, 1 - 0.04 * storey))
        m.windows(pen, (50 - wide * 0.7, base - height + 3, 50 + wide * 0.7, base), 1, 3 + 2 * (storey == 0), m.GOLD)
        eaves = base - height + 2
        lift = wide * 0.28
        left = [(50 - wide * 1.3, eaves - lift), (50 - wide, eaves - 1), (50, eaves)]
        right = [(50 + wide, eaves - 1), (50 + wide * 1.3, eaves - lift)]
        pen.poly([*left, *right, (50 + wide * 0.55, eaves - 5), (50 - wide * 0.55, eaves - 5)], look.roof)
        base = eaves - 4
        height *= 0.88
    pen.line([(50, base), (50, base - 11)], m.GOLD, 1.2)
    for ring in range(3):
        pen.oval(50, base - 3 - 2.4 * ring, 2 - 0.4 * ring, 0.7, m.GOLD)


def hindu_temple(pen: Pen, look: Look, r: Random) -> None:
    """A tall tapering tower of many carved and coloured bands, with halls at its foot."""
    bands, half, top = r.randint(7, 10), r.uniform(13, 17), r.uniform(20, 28)
    hall = r.uniform(24, 30)
    m.block(pen, 50 - hall, 50 + hall, GROUND - 12, GROUND, look.wall)
    m.columns(pen, 50 - hall + 2, 50 + hall - 2, GROUND - 9, GROUND, r.randint(8, 11), shade(look.wall, 1.06))
    rise = (GROUND - 10 - top) / bands
    for band in range(bands):
        wide = half * (1 - 0.62 * (band / bands) ** r.choice((1.0, 1.0, 1.5)))
        y = GROUND - 10 - band * rise
        colour = mix(look.wall, (look.trim, look.roof, look.leaf)[band % 3], 0.55)
        pen.box(50 - wide, y - rise, 50 + wide, y, colour)
        m.windows(pen, (50 - wide, y - rise, 50 + wide, y), 1, 7, shade(colour, 0.6), arched=True)
    pen.dome(50, top, half * 0.46, 6, look.roof)
    m.spire(pen, 50, 1.4, top - 5, 6, m.GOLD)
    pen.arch(45.5, 54.5, GROUND - 8, GROUND, m.DARK)


def shinto_shrine(pen: Pen, look: Look, r: Random) -> None:
    """A torii in front of a small hall among conifers."""
    for x in (14.0, 26.0, 76.0, 88.0):
        m.tree(pen, x, GROUND, r.uniform(30, 44), shade(look.leaf, 0.8), pointed=True)
    half, top = r.uniform(9, 12), r.uniform(62, 66)
    m.block(pen, 50 - half, 50 + half, top, GROUND - 2, m.BARK)
    m.hip(pen, 50 - half - 4, 50 + half + 4, top, 8, look.roof, 0.3)
    wood = r.choice(((206, 66, 44), (206, 66, 44), (186, 84, 52), (150, 140, 130)))
    wide, head, post = r.uniform(19, 24), r.uniform(38, 44), r.uniform(1.6, 2.4)
    for x in (50 - wide * 0.8, 50 + wide * 0.8):
        pen.poly([(x - post, head), (x + post, head), (x + post * 1.3, 84), (x - post * 1.3, 84)], wood)
    pen.box(50 - wide * 0.95, head + 8, 50 + wide * 0.95, head + 11, wood)
    pen.box(48, head + 2, 52, head + 9, m.GOLD)
    ends = [(50 - wide * 1.25, head - 3.5), (50, head - 1), (50 + wide * 1.25, head - 3.5)]
    pen.poly(
        [*ends, (50 + wide * 1.15, head + 1.2), (50, head + 2.6), (50 - wide * 1.15, head + 1.2)],
        shade(wood, 0.7),
    )


def monastery(pen: Pen, look: Look, r: Random) -> None:
    """A long wing with an arcade and a small bell tower behind a low wall."""
    top, left, right = r.uniform(55, 60), r.uniform(10, 16), r.uniform(84, 90)
    tower = r.choice((left + 7, right - 7, r.uniform(40, 60)))
    pen.box(tower - 4.5, r.uniform(32, 38), tower + 4.5, GROUND, shade(look.wall, 0.94))
    pen.arch(tower - 2, tower + 2, 44, 49, m.DARK)
    m.spire(pen, tower, 5.5, 37, r.uniform(6, 10), look.roof)
    m.latin_cross(pen, tower, 31, 5, m.DARK)
    pen.box(left, top, right, GROUND, look.wall)
    m.hip(pen, left, right, top, r.uniform(6, 9), look.roof, 0.06)
    m.windows(pen, (left, top + 1, right, top + 8), 1, r.randint(9, 13))
    bays = r.randint(7, 10)
    m.windows(pen, (left, top + 8, right, GROUND + 2), 1, bays, shade(look.wall, 0.45), arched=True)
    pen.box(4, GROUND - 1, 96, GROUND + 5, look.stone)


def cemetery(pen: Pen, look: Look, r: Random) -> None:
    """Rows of headstones and crosses on grass, with dark trees."""
    for x in (10.0, 22.0, 82.0, 92.0):
        m.tree(pen, x + r.uniform(-3, 3), 62, r.uniform(24, 36), shade(look.leaf, 0.72), pointed=r.random() < 0.6)
    pen.box(0, 58, 100, 66, look.wall)
    style = r.random()
    for row in range(4):
        y, size = 66 + row * 9, 6 + row * 1.6
        for number in range(7 - row):
            x = 8 + (number + 0.5 * (row % 2)) * (92 / (7 - row)) + r.uniform(-1.5, 1.5)
            stone = shade(look.stone, r.uniform(0.85, 1.25))
            if r.random() < style:
                m.latin_cross(pen, x, y + 2, size * 1.4, stone, 1.8)
            else:
                pen.arch(x - size * 0.36, x + size * 0.36, y - size * 0.5, y + 2, shade(stone, 0.7))
                pen.arch(x - size * 0.28, x + size * 0.3, y - size * 0.42, y + 2, stone)


def cross(pen: Pen, look: Look, r: Random) -> None:
    """A large cross on a stepped plinth."""
    height, width = r.uniform(42, 52), r.uniform(3.4, 5)
    wood = r.choice((look.stone, look.wall, (116, 84, 58)))
    m.steps(pen, 42, 58, GROUND - 8, 3, 2.8, look.stone)
    base = GROUND - 7
    depth = pen.side(width * 2)
    for shift, tone in ((depth, 0.7), (0.0, 1.0)):
        x, colour = 50 + shift, shade(wood, tone)
        pen.box(x - width / 2, base - height, x + width / 2, base, colour)
        bar = base - height * 0.7
        pen.box(x - height * 0.3, bar - width / 2, x + height * 0.3, bar + width / 2, colour)
    if r.random() < 0.5:
        pen.ring(50, base - height * 0.7, height * 0.17, height * 0.17, shade(wood, 0.85), 1.8)


def memorial(pen: Pen, look: Look, r: Random) -> None:
    """An obelisk or a slab with an inscription, with wreaths, flames and flags."""
    top, half = r.uniform(26, 38), r.uniform(4, 6)
    m.steps(pen, 36, 64, GROUND - 6, 3, 2.4, look.stone)
    if r.random() < 0.6:
        corners = [(50 - half, GROUND - 6), (50 - half * 0.6, top + 5), (50, top), (50 + half * 0.6, top + 5)]
        pen.poly([*corners, (50 + half, GROUND - 6)], look.wall)
        pen.poly(
            [(50, top), (50 + half * 0.6, top + 5), (50 + half, GROUND - 6), (51, GROUND - 6)],
            shade(look.wall, 0.8),
        )
    else:
        m.block(pen, 36, 64, top + 18, GROUND - 6, look.wall)
    m.block(pen, 42, 58, GROUND - 18, GROUND - 6, shade(look.wall, 0.9))
    for line in range(3):
        pen.line([(45, GROUND - 15 + line * 2.6), (55, GROUND - 15 + line * 2.6)], m.GOLD, 0.7)
    for x in (40, 50, 60):
        pen.ring(x, GROUND + 1, 2.6, 2.6, look.leaf, 1.6)
        pen.oval(x, GROUND + 3.4, 0.9, 0.9, m.RED)
    for x in (24, 76):
        m.flag(pen, x, GROUND + 2, 26, r.choice((look.trim, look.roof, m.RED)))


def sculpture(pen: Pen, look: Look, r: Random) -> None:
    """A figure on a pedestal, one arm raised."""
    bronze = r.choice(((92, 128, 112), (104, 88, 66), (222, 218, 208), (128, 126, 130)))
    m.block(pen, 40, 60, GROUND - r.uniform(16, 24), GROUND, look.stone)
    pen.box(43, GROUND - 11, 57, GROUND - 5, shade(look.stone, 0.8))
    y, lean, arm = GROUND - 17, r.uniform(-3, 3), r.choice((-1, 1))
    pen.poly([(43, y), (47 + lean, y - 26), (53 + lean, y - 26), (57, y)], bronze)
    pen.line([(49 + lean, y - 23), (50 + lean + 11 * arm, y - 31 - r.uniform(0, 8))], bronze, 3)
    pen.line([(50 + lean, y - 22), (50 + lean - 7 * arm, y - 12)], bronze, 2.8)
    pen.poly([(50 + lean, y - 27), (50 - 9 * arm, y - 6), (50 - 3 * arm, y - 4)], shade(bronze, 0.8))
    pen.oval(50 + lean, y - 30, 3.4, 4, bronze)


def artwork(pen: Pen, look: Look, r: Random) -> None:
    """An abstract composition of bright solids, or a painted wall."""
    bright = [look.trim, look.roof, look.leaf, look.water, m.GOLD, m.RED]
    if r.random() < 0.35:
        pen.box(16, 34, 84, GROUND, look.wall)
        for _ in range(14):
            x, y, size = r.uniform(22, 78), r.uniform(40, 75), r.uniform(2, 6)
            pen.poly(m.star(x, y, size, r.randint(3, 6), 0.6, r.uniform(0, 360)), r.choice(bright))
        return
    pen.box(38, GROUND - 5, 62, GROUND, look.stone)
    for _ in range(r.randint(4, 6)):
        x, y, size = r.uniform(40, 60), r.uniform(40, 70), r.uniform(6, 12)
        kind = r.randint(0, 2)
        if kind == 0:
            pen.oval(x, y, size, size, r.choice(bright))
        elif kind == 1:
            pen.ring(x, y, size * 1.2, size * 1.2, r.choice(bright), 3)
        else:
            pen.poly(m.star(x, y, size * 1.5, r.randint(3, 4), 0.5, r.uniform(0, 360)), r.choice(bright))


def ruins(pen: Pen, look: Look, r: Random) -> None:
    """Broken columns, a jagged wall with empty windows, fallen stones."""
    stone = mix(look.wall, look.stone, 0.6)
    heights = [r.uniform(12, 34) for _ in range(9)]
    outline = [(10 + 5.5 * number, GROUND - up) for number, up in enumerate(heights)]
    pen.poly([(8, GROUND), *outline, (56, GROUND)], stone)
    for x in (18.0, 32.0, 44.0):
        pen.arch(x - 2.6, x + 2.6, GROUND - 10, GROUND - 3, shade(stone, 0.5))
    for x in (62, 70, 78, 86):
        top = GROUND - r.uniform(8, 40)
        pen.box(x - 2.2, top, x + 2.2, GROUND, shade(stone, 1.12))
        pen.line([(x - 2.6, top), (x + 0.4, top - 1.8), (x + 2.6, top + 0.8)], shade(stone, 0.75), 1.2)
    for _ in range(10):
        x, size = r.uniform(8, 92), r.uniform(1.5, 3.5)
        pen.poly(
            m.star(x, GROUND + r.uniform(0, 7), size, 3, 0.7, r.uniform(0, 360)),
            shade(stone, r.uniform(0.8, 1.1)),
        )


def archeological_site(pen: Pen, look: Look, r: Random) -> None:
    """Foundations of rooms seen from above, trenches, a measuring grid."""
    pen.poly([(0, 60), (100, 56), (100, 100), (0, 100)], mix((190, 158, 112), look.ground, 0.3))
    stone = mix(look.wall, look.stone, 0.7)
    for row in range(3):
        for column in range(4):
            if r.random() < 0.14:
                continue
            lean, size = pen.turn * 8 * (row - 1), 8 + 2.2 * row
            x, y = 50 + (column - 1.5) * size * 2.15 - lean, 62 + row * 11
            corners = [(x - size, y), (x + size, y), (x + size + 1.5, y + 8.5), (x - size - 1.5, y + 8.5)]
            pen.poly(corners, stone)
            inner = [
                (x - size + 2.4, y + 2),
                (x + size - 2.4, y + 2),
                (x + size - 1.6, y + 7),
                (x - size + 1.6, y + 7),
            ]
            pen.poly(inner, shade((150, 116, 80), r.uniform(0.8, 1.05)))
    for x in (18, 82):
        pen.line([(x, 64), (x, 50)], m.WHITE, 0.8)
        pen.line([(x, 57), (x, 54)], m.RED, 0.9)
