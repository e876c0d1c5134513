"""A drawing surface in units of one final pixel, drawn large and reduced for smooth edges."""

from collections.abc import Iterable, Sequence
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

SIZE = 64
SCALE = 3

Colour = tuple[int, int, int]
Point = tuple[float, float]


def shade(colour: Colour, factor: float) -> Colour:
    """Darker for a factor below 1; above 1 mixed with white by the excess."""
    if factor <= 1:
        return _colour(channel * factor for channel in colour)
    return _colour(channel + (255 - channel) * min(factor - 1, 1) for channel in colour)


def mixed(colour: Colour, other: Colour, weight: float) -> Colour:
    """The colour, with `weight` of the other one in it."""
    pairs = zip(colour, other, strict=True)
    return _colour((1 - weight) * one + weight * two for one, two in pairs)


def jitter(colour: Colour, rng: np.random.Generator, amount: int = 10) -> Colour:
    """The colour moved by at most `amount` in each channel."""
    moved = np.clip(np.array(colour) + rng.integers(-amount, amount + 1, 3), 0, 255)
    return _colour(moved)


def _colour(channels: Iterable[float]) -> Colour:
    red, green, blue = (int(channel) for channel in channels)
    return red, green, blue


class Canvas:
    """Shapes on a square of 64 units; `image()` is the 64 x 64 RGB picture."""

    def __init__(self, background: Colour, towards: Colour) -> None:
        """A vertical gradient from `background` at the top to `towards` at the bottom."""
        weights = np.linspace(0, 1, SIZE * SCALE)[:, None, None]
        column = (1 - weights) * np.array(background) + weights * np.array(towards)
        pixels = np.broadcast_to(column, (SIZE * SCALE, SIZE * SCALE, 3)).astype(np.uint8)
        self._image = Image.fromarray(pixels)
        self._draw = ImageDraw.Draw(self._image)

    def ellipse(
        self, centre: Point, radii: Point, colour: Colour, angle: float = 0.0, corners: int = 20
    ) -> None:
        """A filled ellipse, turned by `angle` radians."""
        turn_x, turn_y = cos(angle), sin(angle)
        points = []
        for corner in range(corners):
            x = radii[0] * cos(2 * pi * corner / corners)
            y = radii[1] * sin(2 * pi * corner / corners)
            turned = x * turn_x - y * turn_y, x * turn_y + y * turn_x
            points.append((centre[0] + turned[0], centre[1] + turned[1]))
        self.polygon(points, colour)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """A line through the points, with rounded joints and ends."""
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._draw.line(scaled, fill=colour, width=max(1, round(width * SCALE)), joint="curve")
        radius = width * SCALE / 2
        for x, y in (scaled[0], scaled[-1]):
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def image(self) -> Image.Image:
        """The picture, reduced to 64 x 64."""
        return self._image.reduce(SCALE)
