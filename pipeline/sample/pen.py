"""Drawing primitives on a 100 × 100 sheet: colours, polygons, ellipses, lines and arches."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL.ImageDraw import ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

SHEET = 100.0
GROUND = 80.0
"""The y coordinate of the ground; y grows downwards and 0 is the top of the sheet."""

INK_WIDTH = 0.55
DEEPEST_SIDE = 0.42
"""Width of a block's visible side at the steepest angle, as a fraction of the width of its front."""


def shade(colour: Colour, by: float) -> Colour:
    """The colour scaled channel by channel: darker for by < 1, lighter for by > 1."""
    red, green, blue = (min(255, max(0, round(channel * by))) for channel in colour)
    return red, green, blue


def mix(start: Colour, end: Colour, weight: float) -> Colour:
    """Linear interpolation from `start` (weight 0) to `end` (weight 1)."""
    red, green, blue = (round(a + (b - a) * weight) for a, b in zip(start, end, strict=True))
    return red, green, blue


@dataclass(frozen=True)
class Pen:
    """Draws on `ink` in sheet units; `turn` in [-1, 1] is the viewing angle."""

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
        """A filled polygon, by default with a darker outline, which makes the picture look drawn."""
        edge = shade(colour, 0.62) if outlined else None
        self.ink.polygon(self.points(points), fill=colour, outline=edge, width=self.width(INK_WIDTH))

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, outlined: bool = True) -> None:
        """A filled axis-aligned rectangle; the corners may be in any order."""
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
        self.ink.chord(corners, 180, 360, fill=colour, outline=shade(colour, 0.62), width=self.width(INK_WIDTH))

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
