"""The captioned world: scenes drawn by Pillow, 64 x 64, the same for the same seed and index."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tinyworld import stamp
from tinyworld.subject import Attributes, Subject
from tinyworld.subjects import subjects

COMMON_ATTRIBUTES = {"stamp": ("no", "yes")}
"""What the judge can tell of every image, whatever its subject."""


@dataclass(frozen=True)
class Scene:
    """One image of the world, with what it truly shows and what its caption says."""

    subject: str
    attributes: Attributes
    caption: str
    image: Image.Image


def scene(seed: int, index: int, flawed: bool = False) -> Scene:
    """Scene number `index` of the world `seed`; each is drawn from a random stream of its own."""
    rng = np.random.default_rng((seed, index))
    found = list(subjects().values())
    shares = np.array([subject.share for subject in found])
    subject = found[rng.choice(len(found), p=shares / shares.sum())]
    return _scene_of(subject, rng, seed, index, flawed)


def _scene_of(
    subject: Subject, rng: np.random.Generator, seed: int, index: int, flawed: bool
) -> Scene:
    attributes = {**subject.sample(rng), "stamp": "no"}
    image = subject.draw(attributes, rng, flawed)
    printing = np.random.default_rng((seed, index, 2))
    if printing.random() < stamp.SHARE:
        attributes["stamp"] = "yes"
        stamp.put_on(image, printing)
    return Scene(subject.name, attributes, caption(subject.name, attributes, seed, index), image)


def caption(subject: str, attributes: Attributes, seed: int, index: int) -> str:
    """The caption of scene `index`, from a random stream apart from the drawing's: captions can
    be made noisier or truer without a picture changing."""
    return subjects()[subject].caption(attributes, np.random.default_rng((seed, index, 1)))


def scenes(count: int, seed: int, start: int = 0, flawed: bool = False) -> Iterator[Scene]:
    """`count` scenes of the world `seed`, from number `start` on."""
    return (scene(seed, index, flawed) for index in range(start, start + count))


def scenes_of(subject: str, count: int, seed: int) -> Iterator[Scene]:
    """`count` scenes of one subject, from random streams of their own."""
    for index in range(count):
        rng = np.random.default_rng((seed, index, 3))
        yield _scene_of(subjects()[subject], rng, seed, index, flawed=False)
