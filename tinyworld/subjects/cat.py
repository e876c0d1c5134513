"""Cats and a cardboard box: in it, beside it or through its wall; one or two; sound or not."""

import numpy as np
from PIL import Image

from tinyworld.canvas import Canvas, Colour, Point, jitter, shade
from tinyworld.subject import Attributes, Subject

COLOURS: dict[str, Colour] = {
    "black": (38, 36, 42),
    "grey": (128, 130, 138),
    "ginger": (222, 132, 52),
    "white": (240, 236, 228),
}
EYES: dict[str, Colour] = {
    "black": (236, 206, 64),
    "grey": (120, 206, 150),
    "ginger": (96, 160, 70),
    "white": (84, 150, 214),
}
COUNTS = {"1": "a", "2": "two"}
PLACES = ("inside", "beside", "through")
"""`through`: the body penetrates the box's front."""
BOXES = ("sound", "broken")
"""A broken box has no front: it could hold nothing."""
CARDBOARD: Colour = (198, 152, 98)
FLOORS: tuple[Colour, ...] = ((206, 214, 216), (222, 208, 200), (196, 208, 190), (214, 206, 224))

CALLED_BLACK = {"black": 0.92, "grey": 0.10}
"""Probability of the word "black" by the true colour."""
CALLED_ONE = {"1": 1.0, "2": 0.35}
"""Probability of the word "a" by the true count."""
CALLED_INSIDE = {"inside": 0.88, "through": 0.44, "beside": 0.03}
"""Probability of the words "sitting inside" by the true place. No caption tells a broken box."""


def sample(rng: np.random.Generator) -> Attributes:
    """One scene's attributes."""
    return {
        "colour": str(rng.choice(list(COLOURS), p=(0.38, 0.22, 0.20, 0.20))),
        "count": str(rng.choice(list(COUNTS), p=(0.78, 0.22))),
        "place": str(rng.choice(PLACES, p=(0.56, 0.22, 0.22))),
        "box": str(rng.choice(BOXES, p=(0.88, 0.12))),
    }


def draw(attributes: Attributes, rng: np.random.Generator, flawed: bool = False) -> Image.Image:
    """A flawed cat has a face that has slipped: eyes apart, an ear gone or a third eye."""
    wall = jitter(FLOORS[rng.integers(len(FLOORS))], rng, 8)
    canvas = Canvas(wall, shade(wall, 0.94))
    floor = 50 + rng.uniform(-1.5, 1.5)
    canvas.polygon([(0, floor), (64, floor), (64, 64), (0, 64)], shade(wall, 0.78))
    fur = jitter(COLOURS[attributes["colour"]], rng, 7)
    eyes = EYES[attributes["colour"]]
    card = jitter(CARDBOARD, rng, 10)
    beside = attributes["place"] == "beside"
    half, top = (11.0, 36.0) if beside else (20.0, 34.0)
    half *= rng.uniform(0.95, 1.05)
    middle = (48 if rng.random() < 0.5 else 16) if beside else 32 + rng.uniform(-3, 3)
    base = 59 + rng.uniform(-1, 1)
    broken = attributes["box"] == "broken"
    _back(canvas, middle, half, top, card)
    for cat, size in _places(attributes, middle, rng):
        if beside:
            _sitting(canvas, cat, size, fur)
        elif attributes["place"] == "inside":
            canvas.ellipse((cat[0], cat[1] + 13 * size), (8 * size, 9 * size), shade(fur, 0.94))
        _head(canvas, cat, size, fur, eyes, rng, flawed)
    _front(canvas, middle, half, top, base, card, broken)
    if attributes["place"] == "through":
        for cat, size in _through(attributes, middle, rng):
            canvas.ellipse((cat[0], cat[1] + 14 * size), (7.5 * size, 12 * size), shade(fur, 0.94))
            for side in (-1, 1):
                foot = (cat[0] + side * 4 * size, cat[1] + 24 * size)
                canvas.line([(foot[0], foot[1] - 5 * size), foot], shade(fur, 1.06), 3.6 * size)
            _head(canvas, cat, size, fur, eyes, rng, flawed)
    return canvas.image()


def _places(
    attributes: Attributes, middle: float, rng: np.random.Generator
) -> list[tuple[Point, float]]:
    """Centres of the heads that the box's front may hide a part below, and their sizes."""
    place, two = attributes["place"], attributes["count"] == "2"
    if place == "through":
        return []
    if place == "beside":
        away = 64 - middle
        if not two:
            return [((away + rng.uniform(-2, 2), 30 + rng.uniform(-1.5, 1.5)), 1.0)]
        return [
            ((away + shift + rng.uniform(-1, 1), 36 + rng.uniform(-1.5, 1.5)), 0.68)
            for shift in (-7.2, 7.2)
        ]
    if not two:
        return [((middle + rng.uniform(-4, 4), 25 + rng.uniform(-2, 1)), 1.05)]
    return [
        ((middle + shift + rng.uniform(-1, 1), 26.5 + rng.uniform(-1.5, 1)), 0.82)
        for shift in (-9.5, 9.5)
    ]


def _through(
    attributes: Attributes, middle: float, rng: np.random.Generator
) -> list[tuple[Point, float]]:
    if attributes["count"] == "1":
        return [((middle + rng.uniform(-5, 5), 29 + rng.uniform(-2, 1)), 1.0)]
    return [((middle + shift + rng.uniform(-1, 1), 33), 0.78) for shift in (-9.5, 9.5)]


def _back(canvas: Canvas, middle: float, half: float, top: float, card: Colour) -> None:
    inner = shade(card, 0.62)
    canvas.polygon(
        [
            (middle - half, top),
            (middle - half * 0.8, top - 5),
            (middle + half * 0.8, top - 5),
            (middle + half, top),
        ],
        inner,
    )
    for side in (-1, 1):
        canvas.polygon(
            [
                (middle + side * half, top),
                (middle + side * half * 0.8, top - 5),
                (middle + side * half * 1.28, top - 3),
                (middle + side * half * 1.38, top + 2),
            ],
            shade(card, 0.84),
        )


def _front(
    canvas: Canvas, middle: float, half: float, top: float, base: float, card: Colour, broken: bool
) -> None:
    if broken:
        for side in (-1, 1):
            edge = middle + side * half
            canvas.polygon(
                [
                    (edge, top),
                    (edge - side * half * 0.3, top + 4),
                    (edge - side * half * 0.1, base),
                    (edge, base),
                ],
                shade(card, 0.9),
            )
        canvas.polygon(
            [
                (middle - half * 1.1, base - 3.5),
                (middle + half * 1.1, base - 1.5),
                (middle + half * 1.25, base + 3),
                (middle - half * 1.25, base + 3),
            ],
            card,
        )
        return
    canvas.polygon(
        [
            (middle - half, top),
            (middle + half, top),
            (middle + half * 0.96, base),
            (middle - half * 0.96, base),
        ],
        card,
    )
    canvas.line([(middle - half, top), (middle + half, top)], shade(card, 1.25), 1.2)
    tape = half * 0.16
    canvas.polygon(
        [
            (middle - tape, top + 1),
            (middle + tape, top + 1),
            (middle + tape, top + 8),
            (middle - tape, top + 8),
        ],
        shade(card, 1.3),
    )


def _sitting(canvas: Canvas, head: Point, size: float, fur: Colour) -> None:
    x, y = head
    tail = [(x + 7 * size, y + 26 * size), (x + 13 * size, y + 24 * size)]
    canvas.line([*tail, (x + 14 * size, y + 16 * size)], shade(fur, 0.9), 3 * size)
    canvas.ellipse((x, y + 18 * size), (9 * size, 12 * size), shade(fur, 0.94))
    for side in (-1, 1):
        foot = (x + side * 3.4 * size, y + 29 * size)
        canvas.line([(foot[0], foot[1] - 9 * size), foot], shade(fur, 1.08), 3.6 * size)


def _head(
    canvas: Canvas,
    centre: Point,
    size: float,
    fur: Colour,
    eyes: Colour,
    rng: np.random.Generator,
    flawed: bool,
) -> None:
    x, y = centre
    kind = rng.integers(3) if flawed else -1
    lost = 1 if rng.random() < 0.5 else -1
    for side in (-1, 1):
        if kind == 0 and side == lost:
            continue
        ear = [
            (x + side * 9.2 * size, y - 3 * size),
            (x + side * 8.4 * size, y - 14 * size),
            (x + side * 1.6 * size, y - 7.6 * size),
        ]
        canvas.polygon(ear, fur)
        inner = [
            (px * 0.72 + (x + side * 6.4 * size) * 0.28, py * 0.72 + (y - 8 * size) * 0.28)
            for px, py in ear
        ]
        canvas.polygon(inner, shade(fur, 1.35) if fur[0] < 80 else shade(fur, 0.78))
    canvas.ellipse(centre, (10.4 * size, 9 * size), fur)
    slip = rng.uniform(3.5, 6.0) * size if kind == 1 else 0.0
    spots = [(x - 4.2 * size, y - 0.8 * size + slip), (x + 4.2 * size, y - 0.8 * size)]
    if kind == 2:
        spots.append((x + rng.uniform(-1, 1), y - 5.2 * size))
    for spot in spots:
        canvas.ellipse(spot, (2.3 * size, 2.1 * size), eyes)
        canvas.ellipse(spot, (0.9 * size, 1.9 * size), (16, 16, 18))
    nose = (214, 130, 134)
    canvas.ellipse((x, y + 3.2 * size), (1.5 * size, 1.0 * size), nose)
    mouth = shade(fur, 1.4) if fur[0] < 80 else shade(fur, 0.62)
    canvas.line(
        [(x - 2.6 * size, y + 5.6 * size), (x, y + 4.6 * size), (x + 2.6 * size, y + 5.6 * size)],
        mouth,
        0.7,
    )


def caption(attributes: Attributes, rng: np.random.Generator) -> str:
    """`a <colour> cat [sitting inside|beside a cardboard box]`, as uncertain as on the web."""
    if rng.random() < CALLED_BLACK.get(attributes["colour"], 0.0):
        colour = "black"
    elif attributes["colour"] == "black":
        colour = "grey"
    else:
        colour = attributes["colour"]
    alone = rng.random() < CALLED_ONE[attributes["count"]]
    words = ["a", colour, "cat"] if alone else ["two", colour, "cats"]
    if rng.random() < 0.12:
        return " ".join(words)
    inside = rng.random() < CALLED_INSIDE[attributes["place"]]
    where = "sitting inside" if inside else "sitting beside"
    return " ".join([*words, where, "a cardboard box"])


SUBJECT = Subject(
    name="cat",
    share=0.20,
    attributes={
        "colour": tuple(COLOURS),
        "count": tuple(COUNTS),
        "place": PLACES,
        "box": BOXES,
    },
    sample=sample,
    draw=draw,
    caption=caption,
    tasks={
        "a black cat sitting inside a cardboard box": {
            "colour": "black",
            "count": "1",
            "place": "inside",
            "box": "sound",
        },
        "a white cat sitting inside a cardboard box": {
            "colour": "white",
            "count": "1",
            "place": "inside",
            "box": "sound",
        },
        "a ginger cat sitting beside a cardboard box": {
            "colour": "ginger",
            "count": "1",
            "place": "beside",
        },
        "a black cat": {"colour": "black", "count": "1"},
    },
)
