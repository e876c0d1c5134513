"""Simulated people who vote on a batch, as annotations that `backend.consensus` takes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from PIL import Image

from backend.consensus import BAD, BEST, GOOD
from backend.run.records import Annotation
from tinyworld.annotator import Annotator
from tinyworld.judge import Judge

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Person:
    """What is wrong with one of the people."""

    error_rate: float = 0.0
    adversary: bool = False
    """Calls good bad and bad good, and the worst image the best."""


def annotators(
    people: Sequence[Person], prompt: str, seed: int, judge: Judge | None = None
) -> list[Annotator]:
    """The people of a run; each errs on other images than the others, in each run on others."""
    seeds = [1000 * seed + number for number in range(len(people))]
    return [
        Annotator.adversary(prompt, seed=own, judge=judge)
        if person.adversary
        else Annotator(prompt, seed=own, error_rate=person.error_rate, judge=judge)
        for own, person in zip(seeds, people, strict=True)
    ]


def votes(
    people: Sequence[Annotator],
    images: Sequence[Image.Image],
    epoch: int,
    asked: Collection[int] | None = None,
) -> list[Annotation]:
    """Everybody's annotations of a batch, or of the images that are asked for.

    Each gives one vote an image, and calls best the image that they like most of their good ones.
    """
    indexes = sorted(range(len(images)) if asked is None else asked)
    cast = []
    for number, person in enumerate(people):
        marks = person.mark([images[index] for index in indexes])
        for place, index in enumerate(indexes):
            value = BEST if place == marks.best else GOOD if marks.good[place] else BAD
            cast.append(_annotation(epoch, index, number, value, len(people)))
    return cast


def _annotation(epoch: int, index: int, person: int, value: str, people: int) -> Annotation:
    task = 10_000 * epoch + index + 1
    return Annotation(
        run_id="benchmark",
        ls_id=task * people + person,
        epoch=epoch,
        index=index,
        task_id=task,
        annotator_id=person + 1,
        annotator=f"person-{person + 1}@example.com",
        value=value,
        problem=None,
        lead_time=None,
        created_at=_NOON,
        updated_at=_NOON,
        was_cancelled=False,
    )
