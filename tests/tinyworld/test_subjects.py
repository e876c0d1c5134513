"""What each subject draws, says and calls a success."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from hero_engine.presets import PRESETS
from tinyworld import stamp, world
from tinyworld.subjects import cat, mountain, narcissus, subjects
from tinyworld.tasks import tasks

PAPER = {
    name: fields["prompt"]
    for name, fields in PRESETS.items()
    if name in ("hand", "blue-rose", "black-cat", "narcissus", "mountain")
}


def test_the_papers_five_tasks_are_the_first_of_a_subject_each() -> None:
    first = {next(iter(subject.tasks)) for subject in subjects().values()}
    assert first == set(PAPER.values())


def test_fourteen_other_prompts_are_there_to_be_measured() -> None:
    assert len(set(tasks()) - set(PAPER.values())) >= 14


@pytest.mark.parametrize("name", list(subjects()))
def test_tasks_ask_for_what_the_subject_has(name: str) -> None:
    subject = subjects()[name]
    for wanted in subject.tasks.values():
        assert all(value in subject.attributes[attribute] for attribute, value in wanted.items())


@pytest.mark.parametrize("name", list(subjects()))
def test_every_attribute_changes_the_picture(name: str) -> None:
    """Of any two scenes that differ in one attribute, drawn by the same random numbers."""
    subject = subjects()[name]
    usual = subject.sample(np.random.default_rng(0))
    for attribute, values in subject.attributes.items():
        pictures = {
            subject.draw({**usual, attribute: value}, np.random.default_rng(1), False).tobytes()
            for value in values
        }
        assert len(pictures) == len(values), attribute


@pytest.mark.parametrize("name", list(subjects()))
def test_every_combination_can_be_drawn_sound_and_flawed(name: str) -> None:
    subject = subjects()[name]
    for values in product(*subject.attributes.values()):
        attributes = dict(zip(subject.attributes, values, strict=True))
        for flawed in (False, True):
            image = subject.draw(attributes, np.random.default_rng(3), flawed)
            assert (image.size, image.mode) == ((64, 64), "RGB")


def test_captions_never_tell_what_people_have_to_find() -> None:
    rng = np.random.default_rng(0)
    said = {
        word
        for subject in (cat, narcissus, mountain)
        for _ in range(400)
        for word in subject.caption(subject.sample(rng), rng).split()
    }
    assert not said & {"broken", "through", "bent", "rails", "missing", "stamp", "date"}


def _rate(module: object, words: str, attributes: dict[str, str], draws: int = 3000) -> float:
    rng = np.random.default_rng(5)
    return sum(words in module.caption(attributes, rng) for _ in range(draws)) / draws


@pytest.mark.parametrize(("colour", "rate"), cat.CALLED_BLACK.items())
def test_black_is_said_of_cats_as_often_as_stated(colour: str, rate: float) -> None:
    scene = {"colour": colour, "count": "1", "place": "inside", "box": "sound"}
    assert _rate(cat, "black", scene) == pytest.approx(rate, abs=0.03)


@pytest.mark.parametrize(("kind", "rate"), narcissus.CALLED_NARCISSUS.items())
def test_narcissus_is_flower_and_youth_as_often_as_stated(kind: str, rate: float) -> None:
    scene = {"kind": kind, "reflection": "consistent"}
    assert _rate(narcissus, "narcissus", scene) == pytest.approx(rate, abs=0.03)


@pytest.mark.parametrize(("view", "rate"), mountain.SAID_FROM_A_WINDOW.items())
def test_a_train_window_is_told_as_often_as_stated(view: str, rate: float) -> None:
    scene = {"view": view, "rails": "functional", "scenery": "bare"}
    assert _rate(mountain, "train window", scene) == pytest.approx(rate, abs=0.03)


def test_three_in_ten_photos_of_every_subject_carry_a_date() -> None:
    scenes = list(world.scenes(600, seed=8))
    stamped = Counter(scene.subject for scene in scenes if scene.attributes["stamp"] == "yes")
    assert sum(stamped.values()) / len(scenes) == pytest.approx(stamp.SHARE, abs=0.06)
    assert set(stamped) == set(subjects())


def test_a_date_is_printed_into_the_lower_right_corner_alone() -> None:
    image = subjects()["rose"].draw(
        {"count": "1", "colour": "blue", "vase": "no"}, np.random.default_rng(0), False
    )
    before = np.asarray(image).copy()
    stamp.put_on(image, np.random.default_rng(0))
    rows, columns = np.nonzero((np.asarray(image) != before).any(-1))
    assert rows.min() >= 54 and columns.min() >= 43
