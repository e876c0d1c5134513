"""Label Studio on SQLite gives a new task the number of one that was deleted."""

import itertools

import pytest

from backend.errors import LabelStudioUnreachable
from backend.run.records import Run
from backend.run.states import Event
from backend.store import Store
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.worker.rounds import poll


@pytest.fixture
def run(store: Store, worker: Worker) -> Run:
    run = store.create_run(CONFIG, project_id=1)
    worker.work_once()
    return store.run(run.id)


def test_a_label_is_of_the_image_that_people_saw(
    store: Store, worker: Worker, run: Run, source: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
):
    """Two tasks are deleted and made again, in a request whose answer is lost; the first has the
    number of the last by then, and is labelled before the answer is known."""
    assert [image.task_id for image in store.images(run.id)] == [1, 2, 3, 4]
    del source.tasks[1], source.tasks[4]
    source._ids = itertools.count(4)
    publish = source.publish

    def cut_off(*said: object) -> None:
        publish(*said)  # type: ignore[arg-type]
        raise LabelStudioUnreachable("The answer was cut off.")

    monkeypatch.setattr(source, "publish", cut_off)
    store.transition(run.id, Event.pause)
    store.transition(run.id, Event.resume)
    worker.work_once()
    assert source.tasks[4]["index"] == 0
    source.annotate(4, "good")
    store.hint(1, "ANNOTATION_CREATED", task_id=4)
    poll(worker)
    assert [(row.index, row.value) for row in store.annotations(run.id)] == [(0, "good")]
