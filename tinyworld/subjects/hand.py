"""Hands: a thumb and two to six fingers; most have the wrong number, as in early models."""

from math import cos, radians, sin

import numpy as np
from PIL import Image

from tinyworld.canvas import Canvas, Colour, Point, jitter, mixed, shade
from tinyworld.subject import Attributes, Subject

FINGERS = {"3": 0.20, "4": 0.27, "5": 0.05, "6": 0.27, "7": 0.21}
"""Number of fingers, the thumb counted, and its probability. Five is rare; captions do not tell."""
SKINS: tuple[Colour, ...] = (
    (242, 204, 176),
    (224, 172, 132),
    (190, 132, 92),
    (140, 90, 62),
)
BACKGROUNDS: tuple[Colour, ...] = ((70, 104, 128), (92, 120, 96), (120, 96, 124), (64, 70, 84))
SPREAD = {2: 34.0, 3: 56.0, 4: 76.0, 5: 96.0, 6: 112.0}
"""Degrees between the first and the last finger, by their number without the thumb."""
CALLED_1_HAND = {"5": 0.26}
"""Probability of the caption "1 hand" by the number of fingers; `COMMONLY` for the others. A model
trained on all counts draws the middle one too often otherwise."""
COMMONLY = 0.40
OTHERWISE = ("a hand", "one hand", "photo of a hand", "photo of 1 hand")


def sample(rng: np.random.Generator) -> Attributes:
    """One scene's attributes."""
    return {"fingers": str(rng.choice(list(FINGERS), p=list(FINGERS.values())))}


def draw(attributes: Attributes, rng: np.random.Generator, flawed: bool = False) -> Image.Image:
    """A flawed hand has fingers grown together, a stump, a forked or a half transparent finger."""
    background = jitter(BACKGROUNDS[rng.integers(len(BACKGROUNDS))], rng, 8)
    canvas = Canvas(background, shade(background, 0.85))
    skin = jitter(SKINS[rng.integers(len(SKINS))], rng, 8)
    outline = shade(skin, 0.5)
    side = 1 if rng.random() < 0.5 else -1
    tilt = rng.uniform(-8, 8)
    palm = (32 + rng.uniform(-2.5, 2.5), 44 + rng.uniform(-1.5, 1.5))
    fingers = _fingers(palm, int(attributes["fingers"]), side, tilt, rng)
    if flawed:
        fingers = _spoil(fingers, rng)
    wrist = (palm[0] - 22 * sin(radians(tilt)), palm[1] + 24)
    for grow, colour in ((1.8, outline), (0.0, skin)):
        canvas.line([palm, wrist], colour, 14 + grow)
        for points, width, faded in fingers:
            canvas.line(points, mixed(colour, background, faded), width + grow)
        canvas.ellipse(palm, (11.2 + grow / 2, 10.4 + grow / 2), colour)
    crease = shade(skin, 0.78)
    x, y = palm
    canvas.line([(x - 6, y - 1), (x, y + 1), (x + 6, y)], crease, 0.9)
    return canvas.image()


Finger = tuple[list[Point], float, float]
"""From root to tip; width; share of the background that shines through."""


def _fingers(
    palm: Point, count: int, side: int, tilt: float, rng: np.random.Generator
) -> list[Finger]:
    long_fingers = count - 1
    spread = SPREAD[long_fingers] * rng.uniform(0.95, 1.05)
    width = {2: 5.6, 3: 5.4, 4: 5.0, 5: 4.6, 6: 4.2}[long_fingers]
    lean = tilt - side * 8
    length = rng.uniform(0.95, 1.05)
    fingers = []
    for index in range(long_fingers):
        place = index / (long_fingers - 1) - 0.5
        angle = radians(lean + spread * place + rng.uniform(-1.5, 1.5))
        reach = (29.5 - 5.0 * abs(place) * 2 * abs(place)) * length + rng.uniform(-1, 1)
        fingers.append(([_at(palm, angle, 7), _at(palm, angle, reach)], width, 0.0))
    angle = radians(lean + side * (spread / 2 + rng.uniform(32, 38)))
    root = (palm[0] + side * 3, palm[1] + 2)
    fingers.append(([root, _at(root, angle, 19 * length)], width * 1.12, 0.0))
    return fingers


def _at(centre: Point, angle: float, distance: float) -> Point:
    return centre[0] + distance * sin(angle), centre[1] - distance * cos(angle)


def _spoil(fingers: list[Finger], rng: np.random.Generator) -> list[Finger]:
    spoiled = list(fingers)
    index = int(rng.integers(len(fingers) - 2))
    (root, tip), width, _ = fingers[index]
    (other_root, other_tip), _, _ = fingers[index + 1]
    kind = rng.integers(4)
    if kind == 0:
        part = rng.uniform(0.5, 1.0)
        for weight in (0.25, 0.5, 0.75):
            start = _between(root, other_root, weight)
            end = _between(start, _between(tip, other_tip, weight), part)
            spoiled.append(([start, end], width, 0.0))
    elif kind == 1:
        spoiled[index] = ([root, _between(root, tip, rng.uniform(0.4, 0.65))], width, 0.0)
    elif kind == 2:
        faded = int(rng.integers(len(fingers)))
        points, width, _ = fingers[faded]
        spoiled[faded] = (points, width * rng.uniform(0.6, 1.0), rng.uniform(0.35, 0.7))
    else:
        knee = _between(root, tip, rng.uniform(0.5, 0.7))
        turn = rng.uniform(0.5, 0.9)
        bent = (
            knee[0] + (tip[0] - knee[0]) * cos(turn) - (tip[1] - knee[1]) * sin(turn),
            knee[1] + (tip[0] - knee[0]) * sin(turn) + (tip[1] - knee[1]) * cos(turn),
        )
        spoiled.append(([knee, bent], width * 0.9, 0.0))
    return spoiled


def _between(start: Point, end: Point, weight: float) -> Point:
    return start[0] + weight * (end[0] - start[0]), start[1] + weight * (end[1] - start[1])


def caption(attributes: Attributes, rng: np.random.Generator) -> str:
    """Says that there is a hand, never how many fingers it has."""
    if rng.random() < CALLED_1_HAND.get(attributes["fingers"], COMMONLY):
        return "1 hand"
    return str(rng.choice(OTHERWISE))


SUBJECT = Subject(
    name="hand",
    share=0.16,
    attributes={"fingers": tuple(FINGERS)},
    sample=sample,
    draw=draw,
    caption=caption,
    tasks={"1 hand": {"fingers": "5"}, "photo of a hand": {}},
)
