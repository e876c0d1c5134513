"""What the embedding says before people have looked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.run.records import Epoch, Image, Run
from backend.store import Store
from backend.tasks.predictions import Predictions, good_from, verdicts
from tests.backend.conftest import CONFIG


def epoch(number: int, **report: Any) -> Epoch:
    return Epoch("run", number, None, None, None, None, {}, report or None, None, None)


def images(epoch: int, *similarities: float | None) -> list[Image]:
    return [
        Image("run", epoch, index, "", None, True, None, None, None, None, similarity)
        for index, similarity in enumerate(similarities)
    ]


@pytest.fixture
def run(store: Store) -> Run:
    return store.create_run(CONFIG, project_id=7)


def test_good_begins_midway_between_the_good_and_the_bad():
    epochs = [epoch(0, reward_good=0.9, reward_bad=0.5), epoch(1, reward_good=None), epoch(2)]
    assert good_from(epochs, 0) == 0.5
    assert good_from(epochs, 1) == pytest.approx(0.7)
    assert good_from(epochs, 3) == pytest.approx(0.7)


def test_the_most_similar_of_the_good_is_the_best():
    assert verdicts([0.7, 0.69, 0.9, 0.9], 0.7) == ["good", "bad", "best", "good"]
    assert verdicts([0.1, 0.2], 0.7) == ["bad", "bad"]


def test_each_prompt_has_a_best_of_its_own():
    prompts = ["a cat", "a cat", "a dog", "a dog"]
    assert verdicts([0.7, 0.8, 0.9, 0.1], 0.7, prompts) == ["good", "best", "best", "bad"]


@given(st.lists(st.none() | st.floats(-1, 1)), st.floats(-1, 1))
def test_verdicts_follow_the_similarities(similarities: list[float | None], threshold: float):
    said = verdicts(similarities, threshold)
    assert [verdict is None for verdict in said] == [value is None for value in similarities]
    good = [s for s, v in zip(similarities, said, strict=True) if v in ("good", "best")]
    assert all(value is not None and value >= threshold for value in good)
    assert said.count("best") == bool(good)
    if good:
        assert similarities[said.index("best")] == max(good)


def test_a_page_has_the_mean_score_and_a_verdict_an_image(run: Run):
    predictions = Predictions.of(run, [], 1, images(1, 0.6, 0.2, 0.7, 0.1))
    page = predictions.of_task([2, 1, 0])
    assert page is not None
    assert page.score == pytest.approx(0.5)
    assert page.verdicts == {
        f"{run.id}/1/0002": "best",
        f"{run.id}/1/0001": "bad",
        f"{run.id}/1/0000": "good",
    }
    assert page.model_version == f"{run.id}-epoch-1"


def test_nothing_is_said_of_what_is_not_known(run: Run):
    predictions = Predictions.of(run, [], 0, images(0, None, None))
    assert predictions.of_task([0, 1]) is None
    assert predictions.of_task([5]) is None
