"""The whole circle, with a real Label Studio and a model of random weights."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend.run.states import State
from backend.tasks.label_config import template
from tests.e2e.service import Service

pytestmark = [pytest.mark.label_studio, pytest.mark.slow]

VALUES = ["good", "bad", "best", "bad"]


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.hero_engine.tiny import save_pipeline

    return save_pipeline(tmp_path_factory.mktemp("models") / "random")


@pytest.fixture
def home(label_studio, request: pytest.FixtureRequest) -> Path:
    return label_studio.root / request.node.name.replace("[", "-").replace("]", "")


@pytest.fixture
def service(label_studio, home: Path) -> Iterator[Service]:
    service = Service(home, label_studio, poll_seconds=3600).start()
    yield service
    service.stop()


def test_webhooks_alone_carry_it(service: Service, pipeline: Path):
    run = service.start_run(pipeline)
    for epoch in range(2):
        run = service.wait(run, State.labelling, epoch=epoch)
        service.label(run, VALUES)
    run = service.wait(run, State.finished, epoch=2)
    tasks = list(service.sdk.tasks.list(project=run.project_id))
    keys = {task.data["hero_image_id"] for task in tasks}
    assert len(tasks) == len(keys) == 8
    assert all(len(task.annotations) == 1 for task in tasks)
    for epoch in service.store.epochs(run.id):
        assert epoch.report is not None and epoch.report["updated"]
        assert epoch.best_index == 2
    rows = service.store.annotations(run.id)
    assert {row.annotator for row in rows} == {service.label_studio.email}
    assert all(row.frozen and row.lead_time == 1.5 for row in rows)
    predicted = [task for task in tasks if task.data["epoch"] == 2]
    assert all(task.total_predictions == 1 for task in predicted)


def test_with_every_webhook_lost_the_poll_carries_it(label_studio, home: Path, pipeline: Path):
    service = Service(home, label_studio, poll_seconds=0.5)
    service.webhooks_arrive = False
    service.start()
    try:
        run = service.start_run(pipeline)
        for epoch in range(2):
            run = service.wait(run, State.labelling, epoch=epoch)
            service.label(run, VALUES)
        service.wait(run, State.finished, epoch=2)
    finally:
        service.stop()


def test_start_training_learns_early(service: Service, pipeline: Path):
    run = service.wait(service.start_run(pipeline), State.labelling, epoch=0)
    images = service.store.images(run.id, 0)
    service.annotate(images[0].task_id, "best")
    service.annotate(images[1].task_id, "bad")
    [backend] = service.sdk.ml.list(project=run.project_id)
    service.sdk.ml.train(backend.id)
    service.wait(run, State.labelling, epoch=1)
    assert [i.verdict for i in service.store.images(run.id, 0)] == ["best", "bad", None, None]


def test_changing_ones_mind(service: Service, pipeline: Path):
    run = service.wait(service.start_run(pipeline), State.labelling, epoch=0)
    tasks = [image.task_id for image in service.store.images(run.id, 0)]
    service.annotate(tasks[0], "NOPE")
    service.annotate(tasks[1], None, was_cancelled=True)
    wrong = service.annotate(tasks[2], "good")
    service.annotate(tasks[3], "bad")
    service.sdk.annotations.delete(wrong)
    service.annotate(tasks[1], "bad")
    service.annotate(tasks[0], "good")
    service.annotate(tasks[2], "best")
    service.wait(run, State.labelling, epoch=1)
    images = service.store.images(run.id, 0)
    assert [image.verdict for image in images] == ["good", "bad", "best", "bad"]
    problems = [row.problem for row in service.store.annotations(run.id, 0) if row.problem]
    assert len(problems) == 1 and "'NOPE'" in problems[0]


@pytest.mark.parametrize("image_store", ["local-files", "signed-urls"])
def test_the_images_are_seen(label_studio, home: Path, pipeline: Path, image_store: str):
    service = Service(home, label_studio, image_store=image_store).start()
    try:
        run = service.wait(service.start_run(pipeline), State.labelling, epoch=0)
        image = service.store.images(run.id, 0)[3]
        address = service.sdk.tasks.get(str(image.task_id)).data["image"]
        answer = label_studio.login().get(httpx.URL(label_studio.url).join(address))
        assert answer.headers["content-type"] == "image/png"
        assert answer.content == (service.settings.images_dir / image.path).read_bytes()
    finally:
        service.stop()


def test_label_studio_asks_for_predictions(service: Service, pipeline: Path):
    run = service.wait(service.start_run(pipeline), State.labelling, epoch=0)
    service.label(run, VALUES)
    run = service.wait(run, State.labelling, epoch=1)
    image = service.store.images(run.id, 1)[0]
    answer = httpx.post(
        f"{service.settings.backend_url}/predict",
        json={
            "tasks": [{"id": image.task_id, "data": {"hero_image_id": f"{run.id}/1/0000"}}],
            "project": f"{run.project_id}.1",
            "label_config": template(),
        },
        auth=("hero", service.settings.basic_auth_pass.get_secret_value()),
    )
    [result] = answer.json()["results"]
    assert result["score"] == image.prediction
    assert result["model_version"] == f"{run.id}-epoch-1"
    versions = service.sdk.ml.list_model_versions(service.sdk.ml.list(project=run.project_id)[0].id)
    assert f"{run.id}-epoch-1" in str(versions)
