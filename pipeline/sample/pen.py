"""A pen on a 100 × 100 sheet: colours, and the few strokes all drawings are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL.ImageDraw import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

SHEET = 100.0
GROUND = 80.0
"""Where a building stands: y grows downwards, so 0 is the top of the sky."""

INK_WIDTH = 0.55
DEEPEST_SIDE = 0.42
"""How much of its front a block shows of its side at the steepest angle of view."""


def shade(colour: Colour, by: float) -> Colour:
    """The colour made darker (by < 1) or lighter (by > 1), channel by channel."""
    red, green, blue = (min(255, max(0, round(channel * by))) for channel in colour)
    return red, green, blue


def mix(one: Colour, other: Colour, part: float) -> Colour:
    """`one` with `part` in [0, 1] of it replaced by `other`."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return red, green, blue


@dataclass(frozen=True)
class Pen:
    """Strokes in sheet units; `turn` in [-1, 1] is the angle from which the scene is seen."""

    ink: ImageDraw
    scale: float
    turn: float

    def width(self, units: float) -> int:
        """A line width in pixels, at least one."""
        return max(1, round(units * self.scale))

    def points(self, points: Sequence[Point]) -> list[Point]:
        """Sheet units to pixels."""
        return [(x * self.scale, y * self.scale) for x, y in points]

    def poly(self, points: Sequence[Point], colour: Colour, outlined: bool = True) -> None:
        """A filled polygon, by default with a darker outline: these are drawings, and look it."""
        edge = shade(colour, 0.62) if outlined else None
        self.ink.polygon(self.points(points), fill=colour, outline=edge, width=self.width(INK_WIDTH))

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, outlined: bool = True) -> None:
        """A filled upright rectangle; its corners may come in any order."""
        left, right = sorted((x0, x1))
        top, bottom = sorted((y0, y1))
        self.poly([(left, top), (right, top), (right, bottom), (left, bottom)], colour, outlined)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour, outlined: bool = True) -> None:
        """A filled ellipse around (x, y)."""
        edge = shade(colour, 0.62) if outlined else None
        corners = self.points([(x - rx, y - ry), (x + rx, y + ry)])
        self.ink.ellipse(corners, fill=colour, outline=edge, width=self.width(INK_WIDTH))

    def ring(self, x: float, y: float, rx: float, ry: float, colour: Colour, width: float = 1.0) -> None:
        """The outline of an ellipse."""
        corners = self.points([(x - rx, y - ry), (x + rx, y + ry)])
        self.ink.ellipse(corners, outline=colour, width=self.width(width))

    def dome(self, x: float, base: float, rx: float, height: float, colour: Colour) -> None:
        """The upper half of an ellipse standing on `base`."""
        corners = self.points([(x - rx, base - height), (x + rx, base + height)])
        self.ink.chord(
            corners, 180, 360, fill=colour, outline=shade(colour, 0.62), width=self.width(INK_WIDTH)
        )

    def line(self, points: Sequence[Point], colour: Colour, width: float = 1.0) -> None:
        """A polyline with rounded joints."""
        self.ink.line(self.points(points), fill=colour, width=self.width(width), joint="curve")

    def arch(self, x0: float, x1: float, spring: float, base: float, colour: Colour) -> None:
        """An opening with straight sides below `spring` and a half circle above it."""
        radius = (x1 - x0) / 2
        self.box(x0, spring, x1, base, colour, outlined=False)
        corners = self.points([(x0, spring - radius), (x1, spring + radius)])
        self.ink.pieslice(corners, 180, 360, fill=colour)

    def side(self, width: float) -> float:
        """The signed width of the side face of a block `width` wide, seen from this angle."""
        return self.turn * width * DEEPEST_SIDE
