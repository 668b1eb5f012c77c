"""Drawings of leisure: sports, baths, amusement, markets, restaurants and shops."""

import math
from random import Random

from hgld.pipeline.sample import masonry as m
from hgld.pipeline.sample.look import Look
from hgld.pipeline.sample.pen import GROUND, Pen, mix, shade


def sports_venue(pen: Pen, look: Look, r: Random) -> None:
    """Stands around a green pitch, floodlights at the corners."""
    for x in (10, 90):
        pen.line([(x, 78), (x, 28)], (110, 114, 120), 1.4)
        pen.box(x - 6, 22, x + 6, 30, (250, 246, 214))
    tilt = r.uniform(0.36, 0.46)
    pen.oval(50, 66, 44, 44 * tilt, look.wall)
    seats = r.choice((look.roof, look.trim, look.water, m.RED))
    pen.oval(50, 66.5, 39, 39 * tilt, seats)
    for ring in (35, 31):
        pen.ring(50, 67, ring, ring * tilt, shade(seats, 0.7), 0.8)
    pen.oval(50, 68, 27, 27 * tilt, (86, 156, 78))
    if r.random() < 0.4:
        pen.ring(50, 68, 25, 25 * tilt, (196, 96, 66), 3)
    pen.line([(50, 68 - 24 * tilt), (50, 68 + 24 * tilt)], m.WHITE, 0.8)
    pen.ring(50, 68, 6, 6 * tilt, m.WHITE, 0.8)


def swimming_pool(pen: Pen, look: Look, r: Random) -> None:
    """A turquoise basin with lanes, a springboard, parasols."""
    pen.box(0, 58, 100, 100, mix(look.stone, (226, 220, 206), 0.6), outlined=False)
    slant = pen.turn * 10
    corners = [(22 + slant, 64), (78 + slant, 64), (96, 94), (4, 94)]
    pen.poly(corners, (70, 188, 206))
    for lane in range(1, 6):
        part = lane / 6
        pen.line([(22 + slant + 56 * part, 64), (4 + 92 * part, 94)], r.choice((m.WHITE, m.RED)), 0.9)
    x = r.choice((12, 86))
    pen.line([(x, 66), (x, 44)], (120, 124, 130), 1.8)
    pen.line([(x - 2, 46), (x + (12 if x < 50 else -12), 45)], m.WHITE, 1.6)
    for spot in range(4):
        where = 24 + spot * 17
        pen.line([(where, 62), (where, 52)], m.BARK, 0.8)
        pen.dome(where, 54, 6, 4, r.choice((m.RED, m.GOLD, look.trim, look.leaf)))


def bath(pen: Pen, look: Look, r: Random) -> None:
    """A steaming basin enclosed by a colonnade."""
    m.columns(pen, 8, 92, 42, 64, r.randint(8, 11), shade(look.wall, 1.06))
    pen.box(6, 36, 94, 43, look.wall)
    m.hip(pen, 8, 92, 36, 5, look.roof, 0.04)
    stone = mix(look.stone, look.wall, 0.4)
    pen.box(0, 64, 100, 100, stone, outlined=False)
    pen.poly([(16, 69), (84, 69), (96, 96), (4, 96)], shade(stone, 1.15))
    pen.poly([(19, 71), (81, 71), (92, 94), (8, 94)], mix((92, 170, 150), look.water, 0.3))
    m.ripples(pen, r, (16, 75, 80, 92), 10, (190, 226, 216))
    for x in (28, 48, 68):
        curl = [(x, 72), (x + 3, 66), (x - 2, 60), (x + 3, 54), (x, 48)]
        pen.line(curl, (236, 240, 240), 1.8)


def amusement_park(pen: Pen, look: Look, r: Random) -> None:
    """A Ferris wheel, a roller coaster, striped tents."""
    bright = (m.RED, m.GOLD, look.trim, look.water, look.leaf, look.roof)
    track = [(float(x), 62 - 16 * math.sin(x / r.choice((9, 11))) - 6) for x in range(0, 104, 4)]
    for x, y in track[::2]:
        pen.line([(x, y), (x, GROUND)], mix(m.STEEL, m.WHITE, 0.4), 0.6)
    pen.line(track, m.RED, 1.5)
    x, y, radius = r.uniform(36, 64), 47.0, r.uniform(22, 26)
    for foot in (-13, 13):
        pen.line([(x, y), (x + foot, GROUND)], m.STEEL, 1.8)
    pen.ring(x, y, radius, radius, look.roof, 1.2)
    pen.ring(x, y, radius * 0.86, radius * 0.86, look.roof, 0.7)
    cabins = r.randint(9, 12)
    for number in range(cabins):
        angle = math.radians(360 * number / cabins + 9)
        cx, cy = x + radius * math.cos(angle), y + radius * math.sin(angle)
        pen.line([(x, y), (cx, cy)], m.STEEL, 0.6)
        pen.oval(cx, cy + 1.6, 2.7, 2.5, bright[number % len(bright)])
    for tent in (12, 88):
        for stripe in range(4):
            a = tent - 9 + stripe * 4.5
            pen.box(a, GROUND - 10, a + 4.5, GROUND, m.RED if stripe % 2 else m.WHITE)
        m.spire(pen, tent, 10.5, GROUND - 10, 11, r.choice(bright))
        m.flag(pen, tent, GROUND - 20, 7, m.GOLD)


def festival(pen: Pen, look: Look, r: Random) -> None:
    """A stage with lights and bunting, fireworks, a crowd."""
    bright = (m.RED, m.GOLD, (236, 120, 180), (110, 200, 230), look.trim)
    for _ in range(r.randint(3, 5)):
        x, y, size, colour = r.uniform(12, 88), r.uniform(8, 28), r.uniform(6, 11), r.choice(bright)
        for ray in range(10):
            angle = math.radians(36 * ray)
            dx, dy = math.cos(angle), math.sin(angle)
            pen.line([(x + dx * size * 0.4, y + dy * size * 0.4), (x + dx * size, y + dy * size)], colour, 1.0)
    pen.box(18, 40, 82, 74, m.DARK)
    for beam in range(5):
        x = 24 + beam * 13
        pen.poly(
            [(x, 42), (x - 5 + 8 * pen.turn, 70), (x + 6 + 8 * pen.turn, 70)],
            mix(r.choice(bright), m.DARK, 0.35),
            outlined=False,
        )
    pen.box(14, 70, 86, 77, look.roof)
    pen.box(16, 36, 84, 41, m.STEEL)
    for row in range(2):
        for number in range(12):
            x, y = 2 + number * 8.6, 32 + row * 3 + 3 * math.sin(number)
            pen.poly([(x, y), (x + 5, y), (x + 2.5, y + 5)], bright[(number + row) % 5])
    for row in range(3):
        for number in range(15):
            x, y = number * 7 + row * 3 - 2, 84 + row * 6
            pen.oval(x, y, 2.4, 2.8, mix(m.SKIN, m.DARK, r.uniform(0.1, 0.7)))
            pen.dome(x, y + 8, 3.6, 5.6, r.choice((*bright, look.wall)))


def zoo(pen: Pen, look: Look, r: Random) -> None:
    """A giraffe or an elephant behind a fence, palms, a keeper's hut."""
    for x in (8, 90):
        m.tree(pen, x, GROUND, r.uniform(26, 36), look.leaf)
    facing = r.choice((-1, 1))
    if r.random() < 0.5:
        coat = (226, 180, 92)
        for leg in (-9, -5, 6, 10):
            pen.line([(50 + leg, 62), (50 + leg, 83)], shade(coat, 0.9), 2)
        pen.oval(50, 60, 13, 7, coat)
        pen.poly(
            [(50 + facing * 6, 58), (50 + facing * 12, 58), (50 + facing * 19, 26), (50 + facing * 15, 25)],
            coat,
        )
        pen.oval(50 + facing * 19, 25, 5, 2.8, coat)
        for _ in range(14):
            pen.oval(50 + r.uniform(-10, 10), 60 + r.uniform(-4.5, 4.5), 1.4, 1.1, (150, 96, 48), outlined=False)
    else:
        coat = (146, 144, 150)
        for leg in (-13, -6, 6, 12):
            pen.box(50 + leg - 2.4, 64, 50 + leg + 2.4, 83, shade(coat, 0.9))
        pen.oval(50, 58, 19, 12, coat)
        head = 50 + facing * 20
        pen.oval(head, 52, 8, 8, coat)
        pen.line([(head + facing * 5, 55), (head + facing * 10, 66), (head + facing * 8, 76)], coat, 3.4)
        pen.oval(head - facing * 5, 51, 5, 7, shade(coat, 0.82))
    pen.line([(0, 76), (100, 76)], m.BARK, 1.1)
    pen.line([(0, 83), (100, 83)], m.BARK, 1.1)
    for x in range(2, 100, 7):
        pen.line([(x, 72), (x, 87)], m.BARK, 1.3)
    m.block(pen, 74, 84, 62, 74, look.wall)
    m.gable(pen, 74, 84, 62, 6, look.wall, look.roof)


def market(pen: Pen, look: Look, r: Random) -> None:
    """Rows of stalls with striped canopies and heaps of fruit."""
    pen.box(-1, 36, 101, 64, look.wall)
    m.hip(pen, 0, 100, 36, 5, look.roof, 0.02)
    m.windows(pen, (0, 37, 100, 51), 1, 12, shade(look.wall, 0.6))
    for row, (y, count) in enumerate(((62, 5), (74, 4), (88, 3))):
        wide = 100 / count
        for number in range(count):
            x, awning = (
                number * wide + wide * 0.06 + pen.turn * 3 * row,
                r.choice((m.RED, look.roof, look.leaf, look.water)),
            )
            span = wide * 0.86
            pen.box(x + 1, y, x + span - 1, y + 9, shade(m.BARK, 1.2))
            for fruit in range(5):
                heap = r.choice(((226, 130, 40), (196, 52, 46), (120, 168, 60), m.GOLD))
                pen.oval(x + span * (0.14 + 0.18 * fruit), y + 1, span * 0.1, 1.8, heap, outlined=False)
            for stripe in range(6):
                a = x + span * stripe / 6
                colour = awning if stripe % 2 else m.WHITE
                lean = span * 0.06
                pen.poly(
                    [(a + lean, y - 10), (a + span / 6 + lean, y - 10), (a + span / 6, y - 4), (a, y - 4)],
                    colour,
                )


def restaurant(pen: Pen, look: Look, r: Random) -> None:
    """A low house with a striped awning, tables and parasols in front."""
    half, top = r.uniform(20, 26), r.uniform(54, 59)
    m.block(pen, 50 - half, 50 + half, top, GROUND, look.wall)
    pen.box(50 - half * 0.6, top - 7, 50 + half * 0.6, top - 1, shade(look.trim, 0.7))
    pen.oval(50, top - 4, 2.4, 2.4, m.WHITE)
    pen.line([(45, top - 6), (45, top - 2)], m.WHITE, 0.9)
    pen.line([(55, top - 6), (55, top - 2)], m.WHITE, 0.9)
    stripes = 10
    for number in range(stripes):
        x, wide = 50 - half + 2 * half * number / stripes, 2 * half / stripes
        colour = look.roof if number % 2 else m.WHITE
        pen.poly([(x, top + 3), (x + wide, top + 3), (x + wide, top + 9), (x, top + 9)], colour)
    m.windows(pen, (50 - half, top + 9, 50 + half, GROUND - 1), 1, 4, (240, 210, 130))
    for x in (20, 42, 64, 84):
        pen.line([(x, GROUND - 5), (x, GROUND + 9)], m.BARK, 0.9)
        m.spire(pen, x, 8, GROUND - 2, 6, r.choice((m.RED, look.trim, look.leaf)))
        pen.oval(x, GROUND + 5, 5, 1.4, m.WHITE)


def shopping(pen: Pen, look: Look, r: Random) -> None:
    """A wide glass front with coloured signs, parked cars."""
    left, top = r.uniform(6, 12), r.uniform(48, 54)
    right = 100 - left
    m.block(pen, left, right, top, GROUND, mix(look.wall, (220, 224, 228), 0.4))
    m.windows(pen, (left + 1, top + 14, right - 1, GROUND), 2, r.randint(9, 12), (150, 196, 214))
    for number in range(5):
        x = left + 5 + number * (right - left - 8) / 5
        colour = (m.RED, look.trim, m.GOLD, look.water, look.leaf)[(number + r.randint(0, 4)) % 5]
        pen.box(x, top + 4, x + 11, top + 11, colour)
        pen.line([(x + 2, top + 7.5), (x + 9, top + 7.5)], m.WHITE, 1.3)
    pen.dome(50, top, 13, r.uniform(8, 12), (170, 208, 222))
    for x in (43, 50, 57):
        pen.line([(x, top), (50, top - 10)], m.WHITE, 0.5)
    for x in (14, 34, 62, 84):
        pen.oval(x, GROUND + 5, 6, 3.2, r.choice((m.RED, look.trim, look.roof, look.water)))
        for wheel in (x - 3, x + 3):
            pen.oval(wheel, GROUND + 8, 1.4, 1.4, m.DARK)
