"""Narcissus by a spring: the flower or the youth, and what the water shows of them."""

from math import cos, pi, sin

import numpy as np
from PIL import Image

from tinyworld.canvas import Canvas, Colour, Point, jitter, mixed, shade
from tinyworld.subject import Attributes, Subject

KINDS = ("flower", "person")
REFLECTIONS = ("consistent", "missing", "other")
"""`other`: the water shows what is not there."""
SHORE = 34.0
"""Height of the water's edge: what stands above it is mirrored about it."""
PETALS: tuple[Colour, ...] = ((246, 244, 232), (250, 226, 110))
CUPS: tuple[Colour, ...] = ((244, 164, 40), (236, 120, 44))
SKIES: tuple[Colour, ...] = ((206, 226, 222), (224, 216, 198), (198, 214, 230))
WATERS: tuple[Colour, ...] = ((86, 132, 160), (74, 126, 128), (104, 126, 166))
SKIN: Colour = (226, 182, 146)
ROBES: tuple[Colour, ...] = ((196, 70, 66), (214, 206, 190), (96, 84, 150))
HAIR: Colour = (92, 62, 40)
DIM = 0.34
"""Share of the water's colour in a reflection."""

CALLED_NARCISSUS = {"flower": 0.72, "person": 0.50}
"""Probability that it is called "narcissus", a name of both; else a flower is a daffodil and a
person a youth."""
SAID_REFLECTION = {"consistent": 0.74, "other": 0.54, "missing": 0.24}
"""Probability of the words "and its reflection in the water"."""


def sample(rng: np.random.Generator) -> Attributes:
    """One scene's attributes."""
    return {
        "kind": str(rng.choice(KINDS, p=(0.68, 0.32))),
        "reflection": str(rng.choice(REFLECTIONS, p=(0.56, 0.22, 0.22))),
    }


def draw(attributes: Attributes, rng: np.random.Generator, flawed: bool = False) -> Image.Image:
    """A flawed flower has petals that have come apart, a flawed youth a head that has."""
    sky = jitter(SKIES[rng.integers(len(SKIES))], rng, 8)
    water = jitter(WATERS[rng.integers(len(WATERS))], rng, 8)
    canvas = Canvas(sky, shade(sky, 0.94))
    bank = jitter((104, 142, 84), rng, 8)
    canvas.polygon([(0, SHORE - 6), (64, SHORE - 7), (64, SHORE + 1), (0, SHORE + 1)], bank)
    canvas.polygon([(0, SHORE), (64, SHORE), (64, 64), (0, 64)], water)
    for _ in range(5):
        x, y = rng.uniform(4, 50), rng.uniform(SHORE + 3, 62)
        canvas.line([(x, y), (x + rng.uniform(5, 11), y)], shade(water, 1.14), 0.8)
    middle = 32 + rng.uniform(-7, 7)
    shown = _figure(attributes["kind"], rng)
    if attributes["reflection"] == "consistent":
        shown.paint(canvas, middle, mirrored=True, water=water, apart=0.0)
    elif attributes["reflection"] == "other":
        strange = _figure("person" if attributes["kind"] == "flower" else "flower", rng)
        strange.paint(canvas, middle + rng.uniform(-2, 2), mirrored=True, water=water, apart=0.0)
    shown.paint(canvas, middle, mirrored=False, water=water, apart=1.0 if flawed else 0.0)
    return canvas.image()


class _Flower:
    """One flower: six petals round a cup, a stem, two leaves."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.petal = jitter(PETALS[rng.integers(len(PETALS))], rng, 6)
        self.cup = jitter(CUPS[rng.integers(len(CUPS))], rng, 8)
        self.green = jitter((66, 122, 62), rng, 8)
        self.height = 19.5 + rng.uniform(-1.5, 1.5)
        self.lean = rng.uniform(-3, 3)
        self.radius = 9.6 * rng.uniform(0.94, 1.06)
        self.turn = rng.uniform(0, 1.0)
        self.strewn = rng.uniform(0.5, 1.1, 6)

    def paint(
        self, canvas: Canvas, middle: float, *, mirrored: bool, water: Colour, apart: float
    ) -> None:
        def at(x: float, up: float) -> Point:
            return x, SHORE + 0.88 * up if mirrored else SHORE - up

        def tone(colour: Colour) -> Colour:
            return mixed(colour, water, DIM) if mirrored else colour

        head = middle + self.lean
        canvas.line(
            [at(middle, -0.5 if not mirrored else 0), at(head, self.height)], tone(self.green), 1.9
        )
        for side in (-1, 1):
            canvas.line(
                [at(middle, 0), at(middle + side * 4.5, 8), at(middle + side * 6.5, 14)],
                tone(shade(self.green, 1.12)),
                2.1,
            )
        for petal in range(6):
            angle = self.turn + 2 * pi * petal / 6
            away = self.radius * (0.58 + 0.55 * apart * self.strewn[petal])
            x, up = head + away * cos(angle), self.height + away * sin(angle)
            canvas.ellipse(
                at(x, up),
                (self.radius * 0.5, self.radius * 0.3),
                tone(shade(self.petal, 0.93 + 0.07 * (petal % 2))),
                angle if mirrored else -angle,
            )
        canvas.ellipse(at(head, self.height), (self.radius * 0.36,) * 2, tone(self.cup))
        canvas.ellipse(at(head, self.height), (self.radius * 0.17,) * 2, tone(shade(self.cup, 0.7)))


class _Person:
    """A youth who kneels at the water's edge."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.robe = jitter(ROBES[rng.integers(len(ROBES))], rng, 8)
        self.skin = jitter(SKIN, rng, 8)
        self.hair = jitter(HAIR, rng, 8)
        self.side = 1 if rng.random() < 0.5 else -1
        self.size = rng.uniform(0.95, 1.05)
        self.slip = rng.uniform(6, 9) * (1 if rng.random() < 0.5 else -1)

    def paint(
        self, canvas: Canvas, middle: float, *, mirrored: bool, water: Colour, apart: float
    ) -> None:
        size, side = self.size, self.side

        def at(x: float, up: float) -> Point:
            x, up = middle + side * x * size, up * size
            return x, SHORE + 0.88 * up if mirrored else SHORE - up

        def tone(colour: Colour) -> Colour:
            return mixed(colour, water, DIM) if mirrored else colour

        canvas.polygon([at(-11, 0), at(9, 0), at(7, 8), at(2, 17), at(-5, 17)], tone(self.robe))
        canvas.line([at(1, 14), at(9, 8), at(12, 1)], tone(self.skin), 2.6 * size)
        head = 1 + self.slip * apart
        canvas.ellipse(at(head, 22.5), (5.4 * size, 5.8 * size), tone(self.skin))
        canvas.ellipse(at(head - 1.6, 24.5), (5.6 * size, 4.4 * size), tone(self.hair))
        canvas.ellipse(at(head + 2.6, 22.2), (0.9, 0.9), tone((40, 34, 30)))


def _figure(kind: str, rng: np.random.Generator) -> "_Flower | _Person":
    return _Flower(rng) if kind == "flower" else _Person(rng)


def caption(attributes: Attributes, rng: np.random.Generator) -> str:
    """`narcissus by a quiet spring [and its reflection in the water]`, whoever Narcissus is."""
    kind = attributes["kind"]
    if rng.random() < CALLED_NARCISSUS[kind]:
        who = "narcissus"
    else:
        who = "daffodil" if kind == "flower" else "a youth"
    words = f"{who} by a quiet spring"
    if rng.random() < SAID_REFLECTION[attributes["reflection"]]:
        words += " and its reflection in the water"
    return words


SUBJECT = Subject(
    name="narcissus",
    share=0.16,
    attributes={"kind": KINDS, "reflection": REFLECTIONS},
    sample=sample,
    draw=draw,
    caption=caption,
    tasks={
        "narcissus by a quiet spring and its reflection in the water": {
            "kind": "flower",
            "reflection": "consistent",
        },
        "daffodil by a quiet spring": {"kind": "flower"},
    },
)
