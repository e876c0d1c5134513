"""Which images a gallery's page opens with as clicked, and when it opens empty."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.run.labelling import Labelling
from backend.run.records import Epoch, Image, Run
from backend.store import Store
from backend.tasks.suggestions import SEEN, Agreement, Opening, openings
from tests.backend.conftest import CONFIG

IMAGES = 64
GOOD_FROM = 0.5
"""Without a report the similarity from which an image is taken for good."""
Judge = Callable[[int, bool, bool], bool]
"""Whether an image is called good, from its index, what the model says, and whether it is seen."""


@pytest.fixture
def run(store: Store) -> Run:
    plan = Labelling(layout="gallery", suggestions=True)
    return replace(store.create_run(CONFIG, labelling=plan), id="r")


def epoch(number: int) -> Epoch:
    return Epoch("r", number, None, None, None, None, {}, None, None, None)


def labelled(run: Run, epochs: int, judge: Judge) -> list[Opening]:
    """The openings of so many epochs, all but the last of which people have judged."""
    images: list[Image] = []
    for number in range(epochs):
        at = replace(run, epoch=number)
        rows = [epoch(i) for i in range(number + 1)]
        drawn = [
            Image(
                "r",
                number,
                i,
                "",
                None,
                True,
                None,
                None,
                None,
                None,
                (i % 4) / 4 if number else None,
            )
            for i in range(IMAGES)
        ]
        opening = openings(at, rows, [*images, *drawn])[number]
        if number < epochs - 1:
            for i, image in enumerate(drawn):
                said = (image.prediction or 0) >= GOOD_FROM
                seen = opening.begun and i not in opening.left
                good = judge(i, said, seen)
                drawn[i] = replace(image, verdict="good" if good else "bad")
        images += drawn
    return openings(replace(run, epoch=epochs - 1), [epoch(i) for i in range(epochs)], images)


def right(_index: int, said: bool, _seen: bool) -> bool:
    return said


def wrong_about(count: int) -> Judge:
    return lambda index, said, _seen: said != (index < count)


def test_a_page_opens_with_suggestions_where_nine_of_ten_were_right(run: Run):
    found = labelled(run, 3, wrong_about(6))
    assert [opening.begun for opening in found] == [False, False, True]
    assert found[2].known == Agreement(58, 64)
    assert "right about 58" in found[2].in_words and "Of 64 images" in found[2].in_words
    assert not found[1].in_words


def test_it_opens_empty_where_they_were_wrong_more_often(run: Run):
    assert not labelled(run, 3, wrong_about(7))[2].begun


@pytest.mark.parametrize("plan", [{"layout": "image"}, {"suggestions": False}])
def test_it_opens_empty_where_nobody_wants_suggestions(run: Run, plan: dict[str, object]):
    run = replace(run, labelling=run.labelling.model_copy(update=plan))
    assert not any(opening.begun for opening in labelled(run, 4, right))


def test_one_of_eight_images_is_left_to_people(run: Run):
    opening = labelled(run, 3, right)[2]
    assert len(opening.left) == IMAGES // 8
    assert opening.suggested == {
        i for i in range(IMAGES) if i % 4 / 4 >= GOOD_FROM and i not in opening.left
    }
    assert opening == labelled(run, 3, right)[2], "the lot falls the same each time"


def test_only_what_people_judged_by_themselves_decides(run: Run):
    found = labelled(run, 6, right)
    assert [opening.unseen.of for opening in found] == [0, 64, 8, 8, 8, 0]
    assert [opening.seen.of for opening in found] == [0, 0, 56, 56, 56, 0]
    assert found[4].known.of == 64 + 8 + 8
    assert found[4].known.of >= SEEN


def test_people_who_follow_what_they_see_get_no_more_suggestions(run: Run):
    def follows(index: int, said: bool, seen: bool) -> bool:
        return said if seen else said != (index % 14 == 0)

    found = labelled(run, 10, follows)
    biased = [opening.biased for opening in found]
    assert not biased[2] and biased[-1]
    assert not any(opening.begun for opening in found if opening.biased)


def test_careful_people_keep_them(run: Run):
    found = labelled(run, 10, lambda index, said, _seen: said != (index in (1, 33, 63)))
    assert not any(opening.biased for opening in found)
    assert sum(opening.begun for opening in found) > 5


@given(st.lists(st.sampled_from([None, 0.1, 0.9]), min_size=1, max_size=40))
def test_whatever_is_predicted_each_image_is_suggested_left_or_taken_for_bad(
    similarities: list[float | None],
):
    run = Run.__new__(Run)
    values = dict.fromkeys(Run.__dataclass_fields__)
    values |= {
        "id": "r",
        "epoch": 2,
        "labelling": Labelling(layout="gallery", suggestions=True),
        "config": CONFIG,
    }
    for name, value in values.items():
        object.__setattr__(run, name, value)
    before = [Image("r", 1, i, "", None, True, "bad", None, None, None, 0.1) for i in range(64)]
    now = [
        Image("r", 2, i, "", None, True, None, None, None, None, value)
        for i, value in enumerate(similarities)
    ]
    opening = openings(run, [epoch(0), epoch(1), epoch(2)], [*before, *now])[2]
    assert not opening.suggested & opening.left
    if any(value is not None for value in similarities):
        assert opening.begun
        assert {i for i, value in enumerate(similarities) if value is None} <= opening.left
        assert all(similarities[i] == 0.9 for i in opening.suggested)
    else:
        assert not opening.begun


def test_every_page_of_several_prompts_has_images_that_are_left_to_people(run: Run):
    prompts = ["a", "b", "c", "d"]
    for number in range(20):
        run = replace(run, id=f"r{number}", epoch=2)
        before, now = (
            [
                Image(run.id, at, i, "", None, True, verdict, None, None, None, 0.9, prompts[i % 4])
                for i in range(IMAGES)
            ]
            for at, verdict in ((1, "good"), (2, None))
        )
        opening = openings(run, [epoch(0), epoch(1), epoch(2)], [*before, *now])[2]
        left = [now[i].prompt for i in opening.left]
        assert {prompt: left.count(prompt) for prompt in prompts} == dict.fromkeys(prompts, 2)
