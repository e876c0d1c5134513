"""A run of several prompts, from the tasks to what the engine is told."""

import pytest

from backend.run.labelling import Labelling
from backend.run.states import State
from backend.store import Store
from backend.tasks.best_question import question_of
from backend.tasks.images import gallery_key
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio, page
from tests.backend.worker.rounds import poll

CAT, DOG = "a cat", "a dog"
SEVERAL = {**CONFIG, "prompt": CAT, "further_prompts": [DOG], "images_per_epoch": 6}
CRITERIA = {"criteria": "sharp", "criteria_by_prompt": {DOG: "one dog"}}


@pytest.fixture
def several(store: Store):
    return store.create_run(SEVERAL, project_id=1, labelling=Labelling(**CRITERIA))


def test_each_task_says_its_images_prompt_and_criteria(
    worker: Worker, source: FakeLabelStudio, several, store: Store
):
    worker.work_once()
    said = [(data["prompt"], data["criteria"]) for data in source.tasks.values()]
    assert said == [(CAT, "sharp")] * 3 + [(DOG, "one dog")] * 3
    assert [image.prompt for image in store.images(several.id, 0)] == [CAT] * 3 + [DOG] * 3


def test_each_prompt_has_its_best_and_the_next_tasks_show_it(
    worker: Worker, source: FakeLabelStudio, several, store: Store, engine: FakeEngine
):
    worker.work_once()
    source.label_all(["best", "good", "bad", "bad", "good", "best"], 0)
    poll(worker)
    worker.work_once()
    assert engine.feedback == [(["best", "good", "bad", "bad", "good", "best"], (0, 5))]
    assert store.epochs(several.id)[0].bests == (0, 5)
    shown = {
        data["prompt"]: data["reference"] for data in source.tasks.values() if data["epoch"] == 2
    }
    assert "0000/0000.png" in shown[CAT]
    assert "0000/0005.png" in shown[DOG]


def test_the_best_of_each_prompt_is_asked_for_one_after_the_other(
    worker: Worker, source: FakeLabelStudio, several, store: Store, engine: FakeEngine
):
    worker.work_once()
    source.label_all(["good", "good", "bad", "good", "bad", "good"], 0)
    poll(worker)
    [asked] = [data for data in source.tasks.values() if question_of(data)]
    assert (asked["prompt"], question_of(asked)[2]) == (CAT, (0, 1))
    source.answer(1)
    poll(worker)
    assert store.run(several.id).state is State.labelling
    asked = [data for data in source.tasks.values() if question_of(data)][-1]
    assert (asked["prompt"], question_of(asked)[2]) == (DOG, (3, 5))
    source.answer(3)
    poll(worker)
    worker.work_once()
    assert engine.feedback[0][1] == (1, 3)


def test_a_prompt_without_good_images_needs_no_best(
    worker: Worker, source: FakeLabelStudio, several, store: Store
):
    worker.work_once()
    source.label_all(["good", "best", "bad", "bad", "bad", "bad"], 0)
    poll(worker)
    assert store.run(several.id).state is State.learning


def test_a_gallery_has_a_page_a_prompt(
    worker: Worker, source: FakeLabelStudio, store: Store, engine: FakeEngine
):
    labelling = Labelling(layout="gallery", **CRITERIA)
    run = store.create_run(SEVERAL, project_id=1, labelling=labelling)
    worker.work_once()
    pages = {
        data["hero_image_id"]: (data["prompt"], number) for number, data in source.tasks.items()
    }
    assert set(pages) == {gallery_key(run.id, 0), gallery_key(run.id, 0, 1)}
    for key, values in {
        gallery_key(run.id, 0): {0: "best", 1: "good", 2: "bad"},
        gallery_key(run.id, 0, 1): {3: "bad", 4: "good", 5: "best"},
    }.items():
        source.annotate(pages[key][1], page(run.id, 0, values))
    assert [pages[key][0] for key in sorted(pages)] == [CAT, DOG]
    poll(worker)
    worker.work_once()
    assert engine.feedback == [(["best", "good", "bad", "bad", "good", "best"], (0, 5))]


def test_one_persons_page_of_two_is_half_of_the_labels(
    worker: Worker, source: FakeLabelStudio, store: Store
):
    from backend.labels.progress import count_labels

    labelling = Labelling(layout="gallery")
    run = store.create_run(SEVERAL, project_id=1, labelling=labelling)
    worker.work_once()
    source.annotate(1, page(run.id, 0, {0: "best", 1: "good", 2: "bad"}))
    poll(worker)
    counts = count_labels(store, run.id, 0)
    assert (counts.labelled, counts.total, counts.complete) == (3, 6, False)
