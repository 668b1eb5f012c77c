"""The surroundings of a landmark: ground and backdrop are its own; light, weather and clutter vary by picture."""

from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image

from hgld.pipeline.sample import masonry as m
from hgld.pipeline.sample.look import Look
from hgld.pipeline.sample.pen import GROUND, SHEET, Colour, Pen, mix, shade


@dataclass(frozen=True)
class Light:
    """A time of day: the sky's colours from top to horizon, and the factors applied to all colours."""

    zenith: Colour
    horizon: Colour
    tint: tuple[float, float, float]


LIGHTS = {
    "noon": Light((96, 160, 216), (206, 228, 238), (1.0, 1.0, 1.0)),
    "haze": Light((150, 186, 208), (232, 234, 226), (1.0, 0.99, 0.96)),
    "overcast": Light((158, 166, 176), (214, 216, 218), (0.9, 0.92, 0.94)),
    "evening": Light((110, 122, 176), (250, 186, 130), (1.06, 0.9, 0.78)),
    "dawn": Light((140, 160, 206), (250, 212, 206), (1.02, 0.93, 0.95)),
    "night": Light((22, 28, 62), (66, 76, 122), (0.52, 0.56, 0.78)),
}
LIGHT_WEIGHTS = {"noon": 8, "haze": 5, "overcast": 5, "evening": 3, "dawn": 2, "night": 1.5}
COATS: tuple[Colour, ...] = (
    (196, 66, 60), (64, 96, 160), (228, 186, 74), (90, 132, 90), (110, 84, 130), (60, 60, 66),
)  # fmt: skip
WEATHERS = ("clear", "clear", "clear", "clouds", "clouds", "rain", "snow", "fog")


def sky(light: Light, side: int) -> Image.Image:
    """A square sheet of `side` pixels with a vertical gradient from zenith to horizon."""
    column = Image.new("RGB", (1, 2))
    column.putpixel((0, 0), light.zenith)
    column.putpixel((0, 1), light.horizon)
    return column.resize((side, side), Image.Resampling.BILINEAR)


def backdrop(pen: Pen, look: Look, light: Light, r: Random, built: bool) -> None:
    """The ground and what is behind the landmark: hills or woods, or, if `built`, sometimes a town."""
    if built and r.random() < 0.5:
        x = -3.0
        while x < SHEET:
            wide, up = r.uniform(7, 14), r.uniform(8, 22)
            pen.box(
                x,
                GROUND - 6 - up,
                x + wide,
                GROUND,
                mix(r.choice((look.stone, look.wall, look.roof)), light.horizon, 0.62),
            )
            x += wide
    elif r.random() < 0.6:
        pen.poly(
            m.ridge(r, -8, 108, GROUND, r.uniform(12, 26), r.randint(2, 4)),
            mix(look.leaf, light.horizon, 0.55),
        )
    else:
        for number in range(9):
            x = number * 12 + r.uniform(-4, 4)
            m.tree(
                pen,
                x,
                GROUND - 3,
                r.uniform(14, 24),
                mix(look.leaf, light.horizon, 0.35),
                pointed=r.random() < 0.4,
            )
    pen.box(0, GROUND - 4, SHEET, SHEET, look.ground, outlined=False)
    pen.line([(0, GROUND - 4), (SHEET, GROUND - 4)], shade(look.ground, 0.7), 0.5)


def clouds(pen: Pen, light: Light, r: Random, count: int) -> None:
    """Clouds of three puffs, or the sun when there are none."""
    if not count:
        pen.oval(
            r.uniform(8, 92),
            r.uniform(8, 22),
            4.6,
            4.6,
            mix((252, 236, 160), light.horizon, 0.2),
            outlined=False,
        )
    for _ in range(count):
        x, y, size = r.uniform(4, 96), r.uniform(6, 30), r.uniform(4, 8)
        white = mix((250, 250, 252), light.zenith, 0.15)
        for across, up, part in ((-1.1, 0.2, 0.7), (1.1, 0.25, 0.65), (0, 0, 1)):
            pen.oval(x + across * size, y + up * size, size * part * 1.3, size * part * 0.8, white, outlined=False)


def clutter(pen: Pen, look: Look, r: Random, foreground: str) -> None:
    """Objects in front of the landmark; `foreground` is "land", "water" or "indoors"."""
    if foreground == "water":
        for _ in range(r.choice((0, 0, 1, 2))):
            sail(pen, r.uniform(8, 92), r.uniform(86, 96), r.uniform(7, 12), r.choice(COATS))
        if r.random() < 0.4:
            birds(pen, r)
        return
    for _ in range(r.choice((0, 0, 1, 2, 3, 5))):
        m.person(pen, r.uniform(6, 94), r.uniform(86, 97), r.uniform(9, 15), r.choice(COATS))
    if foreground == "indoors":
        return
    kind, x = r.randint(0, 9), r.choice((r.uniform(2, 20), r.uniform(80, 98)))
    if kind < 2:
        tall, leaf = r.uniform(30, 52), shade(look.leaf, r.uniform(0.7, 1.1))
        m.tree(pen, x, r.uniform(90, 99), tall, leaf, pointed=kind == 0)
    elif kind == 2:
        pen.line([(x, 99), (x, 46), (x + (9 if x < 50 else -9), 44)], m.DARK, 1.3)
    elif kind == 3:
        car(pen, r.uniform(14, 86), r.choice(COATS))
    elif kind == 4:
        birds(pen, r)


def car(pen: Pen, x: float, colour: Colour) -> None:
    """A parked car."""
    pen.dome(x, 90, 6.5, 5.5, shade(colour, 1.1))
    pen.box(x - 10, 89, x + 10, 94, colour)
    for wheel in (x - 6, x + 6):
        pen.oval(wheel, 94.5, 2, 2, m.DARK)


def sail(pen: Pen, x: float, y: float, length: float, colour: Colour) -> None:
    """A small sailing boat."""
    pen.line([(x, y), (x, y - length * 1.5)], m.BARK, 0.7)
    pen.poly([(x + 0.6, y - length * 1.4), (x + length * 0.45, y - 2), (x + 0.6, y - 2)], m.WHITE)
    m.boat_hull(pen, x, y, length, colour)


def birds(pen: Pen, r: Random) -> None:
    """A few birds in the sky."""
    for _ in range(r.randint(2, 5)):
        x, y = r.uniform(5, 95), r.uniform(6, 40)
        pen.line([(x - 2.6, y - 1), (x, y), (x + 2.6, y - 1)], m.DARK, 0.7)


def weathered(picture: Image.Image, light: Light, weather: str, r: Random) -> Image.Image:
    """The picture with its light and weather, and a random exposure, colour cast and noise."""
    values = np.asarray(picture, dtype=np.float32)
    side = values.shape[0]
    grain = np.random.Generator(np.random.PCG64(r.getrandbits(32)))
    cast = [tint * r.uniform(0.94, 1.06) for tint in light.tint]
    values = values * (np.array(cast, dtype=np.float32) * np.float32(r.uniform(0.86, 1.12)))
    if weather == "fog":
        values = values + (np.float32(216) - values) * np.float32(r.uniform(0.2, 0.45))
    if weather in ("rain", "snow"):
        spots = int(side * side * 0.012)
        rows, columns = grain.integers(0, side - 4, spots), grain.integers(0, side - 2, spots)
        length, glow = (3, 34) if weather == "rain" else (1, 170)
        for step in range(length):
            values[rows + step, columns + step // 3] += np.float32(glow)
    noise = grain.integers(-128, 129, values.shape).astype(np.float32) * np.float32(r.uniform(0.02, 0.09))
    return Image.fromarray(np.clip(np.rint(values + noise), 0, 255).astype(np.uint8))
