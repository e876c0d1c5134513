"""What nobody finished before its epoch was closed is in nobody's way."""

import pytest

from backend.errors import EngineFailed, LabelStudioUnreachable
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.run.states import Event, State
from backend.store import Store
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.worker.rounds import poll


class TestLeftovers:
    """An epoch of four images for two people each, closed when the first is done with three."""

    @pytest.fixture
    def run(self, store: Store, worker: Worker, source: FakeLabelStudio) -> Run:
        source.maximum_annotations = 2
        run = store.create_run(CONFIG, labelling=Labelling(annotators_per_image=2), project_id=1)
        worker.work_once()
        source.annotate(1, "good", 1)
        source.annotate(1, "good", 2)
        source.annotate(2, "bad", 1)
        source.annotate(3, None, 1, cancelled=True)
        store.hint(1, "START_TRAINING")
        poll(worker)
        assert source.unfinished() == {2, 3, 4}
        return store.run(run.id)

    def epochs(self, source: FakeLabelStudio) -> set[int]:
        return {source.tasks[task_id]["epoch"] - 1 for task_id in source.unfinished()}

    def test_people_are_given_the_new_epochs_tasks_alone(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        assert self.epochs(source) == {1}
        assert source.overlaps == {2: 1, 3: 0, 4: 0}
        poll(worker)
        assert store.run(run.id).error is None

    def test_they_are_put_away_before_the_model_learns(
        self, worker: Worker, run: Run, source: FakeLabelStudio, engine: FakeEngine
    ):
        engine.fails = EngineFailed("The GPU is full; free it.")
        worker.work_once()
        assert source.unfinished() == set()

    def test_without_label_studio_the_run_learns_and_they_are_put_away_later(
        self,
        worker: Worker,
        store: Store,
        run: Run,
        source: FakeLabelStudio,
        monkeypatch: pytest.MonkeyPatch,
    ):
        def refuse(*_: object) -> None:
            raise LabelStudioUnreachable("Cannot reach Label Studio; start it.")

        monkeypatch.setattr(source, "put_away", refuse)
        worker.work_once()
        waiting = store.run(run.id)
        assert (waiting.state, waiting.epoch) == (State.publishing, 1)
        assert len(source.tasks) == 4
        monkeypatch.undo()
        store.transition(run.id, Event.pause)
        store.transition(run.id, Event.resume)
        worker.work_once()
        assert self.epochs(source) == {1}

    def test_publishing_again_does_not_bring_them_back(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        store.transition(run.id, Event.pause)
        store.transition(run.id, Event.resume)
        worker.work_once()
        assert store.run(run.id).state is State.labelling
        assert self.epochs(source) == {1}
        assert len(source.tasks) == 8

    def test_a_label_taken_back_late_puts_no_task_into_the_queue_for_long(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        for number in list(source.annotations):
            source.delete(number)
        assert self.epochs(source) == {0, 1}
        store.transition(run.id, Event.pause)
        store.transition(run.id, Event.resume)
        worker.work_once()
        assert self.epochs(source) == {1}

    def test_the_last_epochs(self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio):
        worker.work_once()
        [good, bad, *_] = sorted(source.unfinished())
        source.annotate(good, "good")
        source.annotate(bad, "bad")
        store.hint(1, "START_TRAINING")
        poll(worker)
        worker.work_once()
        assert store.run(run.id).state is State.finished
        assert source.unfinished() == set()

    def test_a_stopped_runs_stay(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        store.transition(run.id, Event.stop)
        worker.work_once()
        poll(worker)
        assert len(source.unfinished()) == 4
