"""Rewards that know nothing of the task, for DDPO (App. B.1, Table 4)."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from benchmarks.paper.appearance import margin
from tinyworld.judge import Judge

Reward = Callable[[list[Image.Image], list[str]], list[float]]


def cleanness(judge: Judge) -> Reward:
    """How clean the judge finds an image, whatever it shows.

    The tiny world's stand-in for PickScore: a general preference, learned from many images, that
    nobody taught the task. Unlike PickScore it does not read the prompt.
    """

    def reward(images: list[Image.Image], prompts: list[str]) -> list[float]:
        return margin(judge, judge.logits(images), "clean", "yes").tolist()

    return reward


REWARDS: dict[str, Callable[[Judge], Reward]] = {"cleanness": cleanness}
