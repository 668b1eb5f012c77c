"""What all pictures of a landmark share: palette and angle, from a generator seeded by its category."""

import hashlib
from dataclasses import dataclass
from random import Random

from hgld.pipeline.sample.pen import Colour

WALLS: tuple[Colour, ...] = (
    (226, 208, 172), (201, 170, 126), (184, 92, 70), (238, 234, 224), (176, 172, 164), (214, 160, 142),
    (222, 190, 110), (150, 118, 92), (168, 186, 190), (196, 204, 176), (128, 124, 128), (205, 132, 92),
)  # fmt: skip
ROOFS: tuple[Colour, ...] = (
    (168, 76, 54), (86, 92, 104), (104, 152, 132), (120, 82, 58), (72, 104, 140), (140, 58, 62), (66, 66, 72),
    (190, 148, 70),
)  # fmt: skip
TRIMS: tuple[Colour, ...] = (
    (246, 242, 232), (212, 172, 72), (72, 60, 58), (200, 60, 52), (52, 92, 140), (58, 112, 88), (232, 196, 160),
)  # fmt: skip
LEAVES: tuple[Colour, ...] = (
    (82, 138, 74), (112, 152, 70), (58, 112, 80), (142, 148, 66), (168, 132, 58), (74, 124, 104),
)  # fmt: skip
WATERS: tuple[Colour, ...] = ((78, 146, 186), (64, 132, 150), (96, 164, 176), (70, 116, 158), (110, 150, 150))
STONES: tuple[Colour, ...] = (
    (150, 144, 138), (168, 148, 120), (120, 118, 126), (176, 124, 96), (142, 152, 150), (112, 102, 96),
)  # fmt: skip
GROUNDS: tuple[Colour, ...] = (
    (128, 168, 92), (150, 172, 100), (108, 148, 96), (196, 180, 130), (172, 166, 156), (186, 158, 116),
)  # fmt: skip
STEEPEST_ANGLE = 0.85


@dataclass(frozen=True)
class Look:
    """The colours of one landmark, and the angle in [-1, 1] from which it is usually seen."""

    wall: Colour
    roof: Colour
    trim: Colour
    leaf: Colour
    water: Colour
    stone: Colour
    ground: Colour
    angle: float


def seeded(*parts: object) -> Random:
    """A generator seeded by `parts` alone, through SHA-256: independent of PYTHONHASHSEED."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return Random(int.from_bytes(digest[:8], "big"))


def look_of(category: str) -> Look:
    """The look of a landmark, a function of its category alone."""
    r = seeded("look", category)
    return Look(
        wall=r.choice(WALLS),
        roof=r.choice(ROOFS),
        trim=r.choice(TRIMS),
        leaf=r.choice(LEAVES),
        water=r.choice(WATERS),
        stone=r.choice(STONES),
        ground=r.choice(GROUNDS),
        angle=r.uniform(-STEEPEST_ANGLE, STEEPEST_ANGLE),
    )
