"""Simulated people's votes, against a judge whose opinion is known."""

from collections.abc import Sequence
from typing import get_args

import pytest
from PIL import Image

from backend.consensus import BAD, BEST, decide
from backend.run.labelling import Labelling, Policy
from benchmarks.voting import Person, annotators, votes
from tests.tinyworld.bright import PROMPT, BrightIsGood

SEED = 7


def _truth(images: Sequence[Image.Image]) -> list[bool]:
    return BrightIsGood().success(images, PROMPT)


def _people(*people: Person) -> list:
    return annotators(people, PROMPT, SEED, BrightIsGood())


def test_everybody_votes_on_every_image_and_calls_one_of_them_best(images) -> None:
    cast = votes(_people(Person(0.2), Person(0.2), Person(0.2)), images, epoch=3)
    assert {(vote.annotator_id, vote.index) for vote in cast} == {
        (person, index) for person in (1, 2, 3) for index in range(64)
    }
    assert len({vote.ls_id for vote in cast}) == len(cast)
    bests = [vote.annotator_id for vote in cast if vote.value == BEST]
    assert sorted(bests) == [1, 2, 3]


def test_people_with_the_same_error_rate_err_on_different_images(images) -> None:
    cast = votes(_people(Person(0.3), Person(0.3)), images, epoch=0)
    wrong = {
        person: {
            v.index
            for v in cast
            if v.annotator_id == person and (v.value != BAD) != _truth(images)[v.index]
        }
        for person in (1, 2)
    }
    assert wrong[1] and wrong[2] and wrong[1] != wrong[2]


def test_only_the_images_that_are_asked_for_get_votes(images) -> None:
    cast = votes(_people(Person()), images, epoch=0, asked=[40, 3, 17])
    assert [vote.index for vote in cast] == [3, 17, 40]


@pytest.mark.parametrize("policy", get_args(Policy))
def test_where_nobody_errs_three_by_any_policy_say_what_one_says(images, policy: Policy) -> None:
    alone = decide(votes(_people(Person()), images, epoch=0), 64)
    plan = Labelling(annotators_per_image=3, consensus=policy)
    together = decide(votes(_people(*[Person()] * 3), images, epoch=0), 64, plan)
    assert together.verdicts == alone.verdicts
    assert together.best_index == alone.best_index
