"""Mountains: from a train window, in the open, with a train in the picture, or with a hiker."""

import numpy as np
from PIL import Image

from tinyworld.canvas import Canvas, Colour, Point, jitter, shade
from tinyworld.subject import Attributes, Subject

VIEWS = ("window", "open", "train", "hill")
"""`train`: the body of a train is in the picture; `hill`: a hiker stands on one."""
RAILS = ("functional", "bent")
"""`functional`: none in view, or straight ones; bent ones turn a corner that no train could."""
SCENERIES: dict[str, Colour] = {
    "green": (92, 146, 76),
    "snowy": (176, 188, 206),
    "bare": (164, 124, 92),
}
"""Colour of the slopes."""
SKIES: tuple[Colour, ...] = ((150, 196, 230), (236, 200, 168), (188, 206, 214))
FRAMES: tuple[Colour, ...] = ((58, 60, 68), (112, 82, 60), (84, 96, 110))
IRON, SLEEPER = (62, 58, 60), (112, 84, 62)
TRAINS: tuple[Colour, ...] = ((190, 52, 48), (38, 92, 156))

SAID_FROM_A_WINDOW = {"window": 0.60, "train": 0.90, "open": 0.80}
"""Probability of the words "viewed from a train window" by the true view. Rails are never told."""
SAID_SCENERY = 0.30
"""Probability of a word for the scenery, of those that are green or snowy."""


def sample(rng: np.random.Generator) -> Attributes:
    """One scene's attributes."""
    view = str(rng.choice(VIEWS, p=(0.66, 0.12, 0.12, 0.10)))
    bent = view in ("window", "train") and rng.random() < 0.20
    return {
        "view": view,
        "rails": RAILS[bent],
        "scenery": str(rng.choice(list(SCENERIES), p=(0.38, 0.34, 0.28))),
    }


def draw(attributes: Attributes, rng: np.random.Generator, flawed: bool = False) -> Image.Image:
    """A flawed view has a peak that hangs in the air."""
    sky = jitter(SKIES[rng.integers(len(SKIES))], rng, 8)
    canvas = Canvas(sky, shade(sky, 1.25))
    slope = jitter(SCENERIES[attributes["scenery"]], rng, 9)
    snowy = attributes["scenery"] == "snowy"
    _peaks(canvas, slope, snowy, rng, flawed)
    meadow = {
        "green": shade(slope, 0.82),
        "snowy": (226, 230, 236),
        "bare": shade(slope, 0.84),
    }[attributes["scenery"]]
    canvas.polygon([(0, 45), (22, 43.5), (44, 45), (64, 44), (64, 64), (0, 64)], meadow)
    if attributes["rails"] == "bent":
        _bent_rails(canvas, rng)
    elif attributes["view"] != "hill" and rng.random() < 0.4:
        _straight_rails(canvas, rng)
    if attributes["view"] == "train":
        _train(canvas, rng)
    elif attributes["view"] == "hill":
        _hiker(canvas, shade(meadow, 0.72), rng)
    elif attributes["view"] == "window":
        _frame(canvas, jitter(FRAMES[rng.integers(len(FRAMES))], rng, 8))
    return canvas.image()


def _peaks(
    canvas: Canvas, slope: Colour, snowy: bool, rng: np.random.Generator, flawed: bool
) -> None:
    places = ((14, 23, 17), (50, 21, 18), (32, 13, 20))
    hanging = int(rng.integers(3)) if flawed else -1
    for number, (across, down, half) in enumerate(places):
        x, y = across + rng.uniform(-3, 3), down + rng.uniform(-2.5, 2.5)
        foot = 46.0
        if number == hanging:
            y, foot = y - 6, y + 11
        tone = shade(slope, (0.86, 0.92, 1.0)[number])
        canvas.polygon([(x - half, foot), (x, y), (x + half, foot)], tone)
        canvas.polygon([(x, y), (x + half, foot), (x + half * 0.25, foot)], shade(tone, 0.82))
        if snowy:
            rise = (foot - y) * 0.42
            spread = half * 0.42
            canvas.polygon(
                [
                    (x, y),
                    (x + spread, y + rise),
                    (x + spread * 0.3, y + rise * 0.72),
                    (x - spread * 0.3, y + rise * 1.1),
                    (x - spread, y + rise),
                ],
                (250, 250, 252),
            )


def _straight_rails(canvas: Canvas, rng: np.random.Generator) -> None:
    shift = rng.uniform(-4, 4)
    for step in range(4):
        y = 48.5 + step * 3.6
        half = 2.2 + step * 1.9
        canvas.line([(32 + shift - half, y), (32 + shift + half, y)], SLEEPER, 1.5)
    for side in (-1, 1):
        canvas.line([(32 + shift + side * 1.4, 46.5), (32 + shift + side * 8.5, 64)], IRON, 1.7)


def _bent_rails(canvas: Canvas, rng: np.random.Generator) -> None:
    side = 1 if rng.random() < 0.5 else -1
    corner = 32 + rng.uniform(-4, 4) - side * 6
    end = 64 if side > 0 else 0
    for gap in (0.0, 6.0):
        path: list[Point] = [
            (corner + side * gap, 64),
            (corner + side * gap, 46.5 + gap),
            (end, 46.5 + gap),
        ]
        canvas.line(path, IRON, 2.4)


def _train(canvas: Canvas, rng: np.random.Generator) -> None:
    body = jitter(TRAINS[rng.integers(len(TRAINS))], rng, 10)
    start = rng.uniform(-6, 14)
    length = rng.uniform(44, 54)
    top, base = 34 + rng.uniform(-1, 1), 46.0
    canvas.polygon(
        [(start, top), (start + length - 4, top), (start + length, base), (start, base)], body
    )
    canvas.line([(start, base - 2.5), (start + length, base - 2.5)], shade(body, 0.6), 1.6)
    for window in range(5):
        x = start + 4 + window * 8.6
        canvas.polygon(
            [(x, top + 2.5), (x + 5, top + 2.5), (x + 5, top + 6.5), (x, top + 6.5)],
            (232, 234, 220),
        )


def _hiker(canvas: Canvas, ground: Colour, rng: np.random.Generator) -> None:
    side = 1 if rng.random() < 0.5 else -1
    x = 32 + side * rng.uniform(9, 14)
    canvas.ellipse((x, 68), (30, 17), ground, 0.0, 40)
    coat = jitter((204, 70, 52), rng, 14)
    for leg in (-1, 1):
        canvas.line([(x + leg * 0.8, 46), (x + leg * 2.2, 53)], (48, 46, 58), 2.2)
    canvas.line([(x, 39), (x, 45)], coat, 5.2)
    canvas.ellipse((x - side * 3.4, 41.5), (2.2, 3.4), (70, 96, 70))
    canvas.ellipse((x, 33.6), (2.8, 2.9), (206, 160, 124))
    canvas.line([(x + side * 5.5, 38), (x + side * 6.5, 53)], (96, 72, 52), 1.1)


def _frame(canvas: Canvas, frame: Colour) -> None:
    left, right, top, base = 6.5, 57.5, 7.0, 55.0
    for bar in (
        [(0, 0), (64, 0), (64, top), (0, top)],
        [(0, base), (64, base), (64, 64), (0, 64)],
        [(0, 0), (left, 0), (left, 64), (0, 64)],
        [(right, 0), (64, 0), (64, 64), (right, 64)],
    ):
        canvas.polygon(bar, frame)
    for x, y in ((left, top), (right, top), (left, base), (right, base)):
        towards = 6.0 if x < 32 else -6.0
        down = 6.0 if y < 32 else -6.0
        canvas.polygon([(x, y), (x + towards, y), (x, y + down)], frame)
    canvas.line([(left + 6, top + 0.5), (right - 6, top + 0.5)], shade(frame, 1.3), 1.2)
    canvas.polygon(
        [(0, base + 2), (64, base + 2), (64, base + 4.5), (0, base + 4.5)], shade(frame, 1.25)
    )


def caption(attributes: Attributes, rng: np.random.Generator) -> str:
    """`[beautiful|green|snowy] mountains [viewed from a train window]`, or with a hiker."""
    scenery = attributes["scenery"]
    told = scenery in ("green", "snowy") and rng.random() < SAID_SCENERY
    mountains = f"{scenery if told else 'beautiful'} mountains"
    if attributes["view"] == "hill":
        return f"hiker watching {mountains} from the top of a hill"
    if rng.random() < SAID_FROM_A_WINDOW[attributes["view"]]:
        return f"{mountains} viewed from a train window"
    return mountains


SUBJECT = Subject(
    name="mountain",
    share=0.18,
    attributes={"view": VIEWS, "rails": RAILS, "scenery": tuple(SCENERIES)},
    sample=sample,
    draw=draw,
    caption=caption,
    tasks={
        "beautiful mountains viewed from a train window": {"view": "window", "rails": "functional"},
        "hiker watching beautiful mountains from the top of a hill": {"view": "hill"},
        "beautiful mountains": {},
        "snowy mountains": {"scenery": "snowy"},
        "green mountains viewed from a train window": {
            "view": "window",
            "rails": "functional",
            "scenery": "green",
        },
    },
)
