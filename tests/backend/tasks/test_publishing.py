"""The tasks that people get, in both layouts."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backend.run.labelling import Labelling
from backend.run.records import Epoch, Image, Run
from backend.settings import Settings
from backend.store import Store
from backend.tasks.publishing import NewTask, Shown, bests_so_far, tasks
from backend.tasks.suggestions import Agreement, Opening
from tests.backend.conftest import CONFIG

SIMILARITIES = [0.1, 0.9, 0.55, 0.6]
BEST = Image("r", 0, 2, "r/0000/0002.png", 1, True, "best", None, None, None, None)


def epoch(number: int, best: int | None = None) -> Epoch:
    report = {"reward_good": 0.7, "reward_bad": 0.3}
    return Epoch("r", number, datetime.now(UTC), None, None, None, {}, report, best, None)


@pytest.fixture
def run(store: Store) -> Run:
    return replace(store.create_run(CONFIG), id="r", epoch=1)


def images(**asked: bool) -> list[Image]:
    return [
        Image(
            "r",
            1,
            i,
            f"r/0001/{i:04d}.png",
            None,
            asked.get(f"i{i}", True),
            *[None] * 4,
            similarity,
        )
        for i, similarity in enumerate(SIMILARITIES)
    ]


def published(settings: Settings, run: Run, images: list[Image], **plan: object) -> list[NewTask]:
    run = replace(run, labelling=Labelling.model_validate(plan))
    return tasks(settings, run, images, [epoch(0)], {run.prompt: BEST})


def test_a_task_an_image(settings: Settings, run: Run):
    [_, task, *_] = published(settings, run, images(), criteria="Blue.")
    assert task.data == {
        "image": "/data/local-files/?d=r/0001/0001.png",
        "prompt": CONFIG["prompt"],
        "criteria": "Blue.",
        "reference": '<span>best so far</span><img alt="the best image so far" '
        'src="/data/local-files/?d=r/0000/0002.png">',
        "epoch": 2,
        "marks": [],
        "index": 1,
        "hero_image_id": "r/1/0001",
    }
    assert task.prediction is not None
    assert (task.prediction.score, task.prediction.model_version) == (0.9, "r-epoch-1")
    assert task.prediction.verdicts == {"r/1/0001": "best"}


def test_one_page_an_epoch(settings: Settings, run: Run):
    [page] = published(settings, run, images(i1=False), layout="gallery", order="best-first")
    assert [option["value"] for option in page.data["images"]] == [
        "r/1/0003",
        "r/1/0002",
        "r/1/0000",
    ]
    assert "/data/local-files/?d=r/0001/0003.png" in page.data["images"][0]["html"]
    assert [option["value"] for option in page.data["marks"]][-2:] == ["r/1/0000", "none"]
    assert page.prediction is not None
    assert set(page.prediction.verdicts.values()) == {"good", "bad"}
    assert Shown.by(page.data) == Shown("r", 1, (3, 2, 0))
    assert page.data["begun"] == ""
    assert not any("selected" in option for option in page.data["images"])


def test_a_page_that_opens_with_suggestions(settings: Settings, run: Run):
    run = replace(run, labelling=Labelling(layout="gallery"))
    opening = Opening(frozenset({1, 3}), frozenset({2}), Agreement(60, 64))
    [page] = tasks(settings, run, images(), [epoch(0)], {run.prompt: BEST}, opening)
    assert [option.get("selected", False) for option in page.data["images"]] == [
        False,
        True,
        False,
        True,
    ]
    assert ["yours" in option["html"] for option in page.data["images"]] == [
        False,
        False,
        True,
        False,
    ]
    assert "right about 60" in page.data["begun"]


def test_a_screen_reader_tells_the_images_apart(settings: Settings, run: Run):
    [page] = published(settings, run, images(), layout="gallery")
    assert 'alt="image 2"' in page.data["images"][1]["html"]
    assert 'aria-label="image 2 is the best"' in page.data["marks"][1]["html"]


def test_signed_addresses_stand_in_html_as_they_must(settings: Settings, run: Run):
    signed = settings.model_copy(update={"image_store": "signed-urls"})
    [page] = published(signed, run, images(), layout="gallery")
    assert re.search(
        r"/images/r/0001/0000\.png\?expires=\d+&amp;signature=", page.data["images"][0]["html"]
    )


@pytest.mark.parametrize(
    ("order", "indexes"),
    [("sequential", [0, 1, 2, 3]), ("best-first", [1, 3, 2, 0]), ("uncertain", [2, 3, 0, 1])],
)
def test_the_order_is_the_plans(settings: Settings, run: Run, order: str, indexes: list[int]):
    assert [
        task.data["index"] for task in published(settings, run, images(), order=order)
    ] == indexes


def test_only_what_is_asked_is_published(settings: Settings, run: Run):
    found = published(settings, run, images(i0=False, i2=False))
    assert [task.data["index"] for task in found] == [1, 3]


def test_the_first_epoch_has_neither_prediction_nor_reference(settings: Settings, run: Run):
    first = [replace(image, epoch=0, prediction=None) for image in images()]
    found = tasks(settings, replace(run, epoch=0), first, [], {})
    assert all(task.prediction is None and task.data["reference"] == "" for task in found)


def test_the_best_so_far_is_the_last_epochs_that_had_one(run: Run):
    epochs = [epoch(0, best=3), epoch(1), epoch(2, best=1)]
    drawn = [replace(image, epoch=number) for number in range(3) for image in images()]

    def best(number: int) -> dict[str, tuple[int, int]]:
        found = bests_so_far(replace(run, epoch=number), drawn, epochs)
        return {prompt: (image.epoch, image.index) for prompt, image in found.items()}

    assert best(0) == {}
    assert best(2) == {run.prompt: (0, 3)}
    assert best(3) == {run.prompt: (2, 1)}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"hero_image_id": "strange"},
        {"hero_image_id": "r/1/gallery"},
        {"hero_image_id": "r/1/gallery", "images": [{"value": "r/2/0001"}, "x", {}]},
    ],
)
def test_a_strange_task_shows_nothing_of_ours(data: dict[str, object]):
    assert Shown.by(data) is None
