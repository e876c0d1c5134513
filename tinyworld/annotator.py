"""A simulated annotator: the judge's opinion, with a taste, errors and a pace."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image

from tinyworld.tasks import Task, task

if TYPE_CHECKING:
    from tinyworld.judge import Judge

Pixels = UInt8[NDArray[np.uint8], "64 64 3"]


@dataclass(frozen=True)
class Marks:
    """One batch's annotations: good or bad for each image, and the index of the best one."""

    good: list[bool]
    best: int | None
    """None where no image is good."""


@dataclass(frozen=True)
class Opinion:
    """What the annotator thinks of one image, seen by itself."""

    good: bool
    liking: float
    """The best image of a batch is the good one with the highest liking."""
    seconds: float
    """How long the annotator looks at it."""


def _cleanest(pixels: Pixels, quality: float) -> float:
    return quality


def _biggest(pixels: Pixels, quality: float) -> float:
    """Share of the image that is not of its corners' colour."""
    image = pixels.astype(float)
    corners = np.stack([image[0, 0], image[0, -1]]).mean(0)
    return float((np.abs(image - corners).sum(-1) > 60).mean())


def _palest(pixels: Pixels, quality: float) -> float:
    """Mean brightness."""
    return float(pixels.mean() / 255)


def _warmest(pixels: Pixels, quality: float) -> float:
    """Mean red less mean blue."""
    return float((pixels[..., 0].mean() - pixels[..., 2].mean()) / 255)


def _worst(pixels: Pixels, quality: float) -> float:
    return -quality


TASTES: dict[str, Callable[[Pixels, float], float]] = {
    "cleanest": _cleanest,
    "biggest": _biggest,
    "palest": _palest,
    "warmest": _warmest,
    "worst": _worst,
}
"""Which good image an annotator calls best: the one for which this is highest."""


class Annotator:
    """Marks images good or bad by the judge and names a best one by taste.

    The same image gets the same opinion from the same annotator, whenever it is asked and
    whatever came before.
    """

    def __init__(
        self,
        prompt: str | Task,
        seed: int = 0,
        error_rate: float = 0.0,
        taste: str = "cleanest",
        pace_seconds: float = 0.0,
        judge: "Judge | None" = None,
    ) -> None:
        """`prompt`: whose success conditions count, or conditions of one's own.
        `error_rate`: probability that a good image is called bad, or a bad one good.
        `pace_seconds`: median time to look at an image; see `Opinion.seconds`.
        `judge`: the bundled one where none is given.

        Raises:
            UnknownPrompt: no subject has conditions for this prompt.
            ValueError: no such taste, or an error rate outside [0, 1].
        """
        self.task = task(prompt)
        if taste not in TASTES:
            raise ValueError(
                f'There is no annotator with the taste "{taste}"; use one of {", ".join(TASTES)}.'
            )
        if not 0 <= error_rate <= 1:
            raise ValueError(
                f"An annotator's error rate is a probability, so {error_rate} cannot be used; "
                "give a number from 0 to 1."
            )
        self.seed = seed
        self.error_rate = error_rate
        self.taste = taste
        self.pace_seconds = pace_seconds
        self._judge = judge

    @classmethod
    def adversary(
        cls, prompt: str | Task, seed: int = 0, judge: "Judge | None" = None
    ) -> "Annotator":
        """One who calls good bad and bad good, and the worst image the best."""
        return cls(prompt, seed=seed, error_rate=1.0, taste="worst", judge=judge)

    def mark(self, images: Sequence[Image.Image]) -> Marks:
        """Opinions on a whole batch, and its best image."""
        opinions = self.opinions(images)
        good = [opinion.good for opinion in opinions]
        likings = [opinion.liking if opinion.good else -np.inf for opinion in opinions]
        return Marks(good, int(np.argmax(likings)) if any(good) else None)

    def opinion(self, image: Image.Image) -> Opinion:
        """The opinion on one image."""
        return self.opinions([image])[0]

    def opinions(self, images: Sequence[Image.Image]) -> list[Opinion]:
        """One opinion an image."""
        if not images:
            return []
        judge = self._loaded_judge()
        found = zip(
            images,
            judge.success(images, self.task),
            judge.quality(images, self.task),
            strict=True,
        )
        return [self._opinion(image, success, quality) for image, success, quality in found]

    def _opinion(self, image: Image.Image, success: bool, quality: float) -> Opinion:
        pixels = np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.BOX))
        digest = blake2b(pixels.tobytes(), key=str(self.seed).encode(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(digest))
        wrong = rng.random() < self.error_rate
        seconds = self.pace_seconds * float(np.exp(0.4 * rng.standard_normal()))
        return Opinion(success != wrong, TASTES[self.taste](pixels, quality), seconds)

    def _loaded_judge(self) -> "Judge":
        if self._judge is None:
            from tinyworld.judge import Judge

            self._judge = Judge.load()
        return self._judge
