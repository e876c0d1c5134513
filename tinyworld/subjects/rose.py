"""Roses: one to four, in five colours, with or without a vase."""

from math import cos, pi, sin

import numpy as np
from PIL import Image

from tinyworld.canvas import Canvas, Colour, Point, jitter, shade
from tinyworld.subject import Attributes, Subject

COLOURS: dict[str, Colour] = {
    "red": (205, 30, 40),
    "yellow": (240, 195, 40),
    "white": (238, 234, 226),
    "purple": (150, 50, 175),
    "blue": (40, 80, 215),
}
COUNTS = {"1": "one", "2": "two", "3": "three", "4": "four"}
BACKGROUNDS: tuple[Colour, ...] = (
    (236, 222, 202),
    (208, 224, 206),
    (222, 210, 222),
    (204, 216, 224),
    (190, 186, 180),
)
VASES: tuple[Colour, ...] = ((96, 150, 140), (176, 104, 66), (224, 218, 208), (92, 84, 88))
HEADS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "1": ((32, 20, 12.5),),
    "2": ((21.5, 21, 9.6), (42.5, 20, 9.6)),
    "3": ((16, 24, 8), (32, 14, 8), (48, 24, 8)),
    "4": ((12, 26, 6.8), (25, 15, 6.8), (39, 15, 6.8), (52, 26, 6.8)),
}

CALLED_ONE = {"1": 0.86, "2": 0.60}
"""Probability of the word "one" by the true count."""
CALLED_BLUE = {"blue": 0.92, "purple": 0.61}
"""Probability of the word "blue" by the true colour."""
SAID_IN_A_VASE = {"yes": 0.80, "no": 0.45}
"""Probability of the words "in a vase" by whether there is one."""


def sample(rng: np.random.Generator) -> Attributes:
    """One scene's attributes."""
    return {
        "count": str(rng.choice(list(COUNTS), p=(0.34, 0.30, 0.20, 0.16))),
        "colour": str(rng.choice(list(COLOURS), p=(0.16, 0.14, 0.14, 0.28, 0.28))),
        "vase": "yes" if rng.random() < 0.55 else "no",
    }


def draw(attributes: Attributes, rng: np.random.Generator, flawed: bool = False) -> Image.Image:
    """A flawed rose has heads whose petals have come apart."""
    background = jitter(BACKGROUNDS[rng.integers(len(BACKGROUNDS))], rng, 8)
    canvas = Canvas(background, shade(background, 0.9))
    in_vase = attributes["vase"] == "yes"
    foot = (32 + rng.uniform(-3, 3), 44.0) if in_vase else (32 + rng.uniform(-3, 3), 66.0)
    if in_vase:
        edge = 55 + rng.uniform(-2, 2)
        table = shade(background, 0.72)
        canvas.polygon([(0, edge), (64, edge), (64, 64), (0, 64)], table)
    shift = rng.uniform(-3, 3, 2)
    grow = rng.uniform(0.92, 1.08)
    heads = [
        ((x + shift[0] + rng.uniform(-1, 1), y + shift[1] + rng.uniform(-1.5, 1.5)), radius * grow)
        for x, y, radius in HEADS[attributes["count"]]
    ]
    green = jitter((62, 122, 58), rng)
    for centre, radius in heads:
        _stem(canvas, centre, foot, radius, green, rng)
    if in_vase:
        _vase(canvas, foot[0], jitter(VASES[rng.integers(len(VASES))], rng), rng)
    colour = jitter(COLOURS[attributes["colour"]], rng)
    for centre, radius in heads:
        _head(canvas, centre, radius, colour, rng, flawed)
    return canvas.image()


def _stem(
    canvas: Canvas,
    head: Point,
    foot: Point,
    radius: float,
    green: Colour,
    rng: np.random.Generator,
) -> None:
    bend = (foot[0] * 0.3 + head[0] * 0.7, (head[1] + foot[1]) / 2)
    steps = np.linspace(0, 1, 8)
    points = [
        tuple((1 - t) ** 2 * head[i] + 2 * t * (1 - t) * bend[i] + t**2 * foot[i] for i in (0, 1))
        for t in steps
    ]
    canvas.line(points, green, 1.8)
    side = 1 if rng.random() < 0.5 else -1
    at = points[4]
    length = radius * 0.5
    leaf = (at[0] + side * length, at[1] - length * 0.35)
    canvas.ellipse(leaf, (length, length * 0.45), shade(green, 1.15), -side * 0.4)


def _vase(canvas: Canvas, middle: float, colour: Colour, rng: np.random.Generator) -> None:
    belly, mouth, base = rng.uniform(8, 11.5), rng.uniform(4.5, 7), rng.uniform(5, 7.5)
    outline = ((41.5, mouth), (45, mouth * 0.85), (51, belly), (57, belly * 0.9), (61.5, base))
    left = [(middle - half, y) for y, half in outline]
    right = [(middle + half, y) for y, half in reversed(outline)]
    canvas.polygon(left + right, colour)
    canvas.ellipse((middle, 41.5), (mouth, 1.3), shade(colour, 0.6))
    canvas.ellipse((middle - belly * 0.5, 52), (1.4, 4), shade(colour, 1.35), 0.1)


def _head(
    canvas: Canvas,
    centre: Point,
    radius: float,
    colour: Colour,
    rng: np.random.Generator,
    flawed: bool,
) -> None:
    turn = rng.uniform(-0.2, 0.2)
    apart = rng.uniform(0.5, 1.2) if flawed else 0.0
    for distance, size, petals, tone in ((0.55, 0.55, 5, 0.62), (0.36, 0.46, 4, 0.86)):
        for petal in range(petals):
            angle = turn + 2 * pi * petal / petals
            away = radius * (distance + apart * rng.random())
            at = centre[0] + away * cos(angle), centre[1] + away * sin(angle)
            petal_tone = tone * (1.0 - 0.16 * sin(angle))
            radii = (radius * size * 0.8, radius * size)
            canvas.ellipse(at, radii, shade(colour, petal_tone), angle, 14)
        turn += 0.9
    heart = centre[0] + radius * 0.05, centre[1] - radius * 0.08
    canvas.ellipse(heart, (radius * 0.46, radius * 0.42), shade(colour, 1.18))
    spiral = [
        (
            heart[0] + radius * 0.068 * step * cos(turn + step * 0.75),
            heart[1] + radius * 0.062 * step * sin(turn + step * 0.75),
        )
        for step in range(12)
    ]
    canvas.line(spiral, shade(colour, 0.48), radius * 0.12)


def caption(attributes: Attributes, rng: np.random.Generator) -> str:
    """`[photo of] <count> <colour> rose(s) [in a vase]`, each word as uncertain as on the web."""
    count = attributes["count"]
    if rng.random() < CALLED_ONE.get(count, 0.0):
        number = "one"
    else:
        number = "a" if count == "1" else COUNTS[count]
    if rng.random() < CALLED_BLUE.get(attributes["colour"], 0.0):
        colour = "blue"
    elif attributes["colour"] == "blue":
        colour = "purple"
    else:
        colour = attributes["colour"]
    noun = "rose" if number in ("one", "a") else "roses"
    words = [number, colour, noun]
    if rng.random() < SAID_IN_A_VASE[attributes["vase"]]:
        words.append("in a vase")
    opening = rng.choice(("photo of", "a photo of", ""), p=(0.7, 0.15, 0.15))
    return " ".join([str(opening), *words]).strip()


SUBJECT = Subject(
    name="rose",
    share=0.30,
    attributes={
        "count": tuple(COUNTS),
        "colour": tuple(COLOURS),
        "vase": ("yes", "no"),
    },
    sample=sample,
    draw=draw,
    caption=caption,
    tasks={
        "photo of one blue rose in a vase": {"count": "1", "colour": "blue", "vase": "yes"},
        "photo of one blue rose": {"count": "1", "colour": "blue"},
        "photo of two blue roses in a vase": {"count": "2", "colour": "blue", "vase": "yes"},
        "photo of one red rose in a vase": {"count": "1", "colour": "red", "vase": "yes"},
        "photo of three red roses in a vase": {"count": "3", "colour": "red", "vase": "yes"},
        "photo of two yellow roses": {"count": "2", "colour": "yellow"},
        "photo of one white rose": {"count": "1", "colour": "white"},
    },
)
