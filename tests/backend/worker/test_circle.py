"""The worker takes runs round the circle."""

from backend.run.records import Run
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.worker.rounds import VALUES, poll


class TestCircle:
    def test_two_epochs(
        self,
        worker: Worker,
        store: Store,
        run: Run,
        source: FakeLabelStudio,
        engine: FakeEngine,
        settings: Settings,
    ):
        for epoch in range(2):
            assert worker.work_once()
            assert store.run(run.id).state is State.labelling
            assert not worker.work_once()
            source.label_all(VALUES, epoch)
            poll(worker)
            assert store.run(run.id).state is State.learning
        assert worker.work_once()
        finished = store.run(run.id)
        assert (finished.state, finished.epoch, finished.error) == (State.finished, 2, None)
        assert engine.feedback == [(VALUES, 2), (VALUES, 2)]
        assert len(source.tasks) == 8
        rows = store.epochs(run.id)
        assert all(row.report and row.learned_at and row.best_index == 2 for row in rows)
        assert [image.reward for image in store.images(run.id, 1)] == [0.5] * 4
        for epoch in range(2):
            assert (settings.run_dir(run.id) / f"grids/epoch-{epoch:04d}.png").exists()

    def test_tasks_say_what_they_show(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        assert list(source.tasks.values())[1] == {
            "image": f"/data/local-files/?d={run.id}/0000/0001.png",
            "prompt": CONFIG["prompt"],
            "criteria": "",
            "reference": "",
            "epoch": 1,
            "marks": [],
            "index": 1,
            "hero_image_id": f"{run.id}/0/0001",
            "score": None,
        }

    def test_later_epochs_carry_predictions(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        source.label_all(VALUES, 0)
        poll(worker)
        worker.work_once()
        scores = [data["score"] for data in source.tasks.values() if data["epoch"] == 2]
        assert scores == [0.0, 0.1, 0.2, 0.3]

    def test_a_run_without_a_project_gets_one(
        self, worker: Worker, store: Store, source: FakeLabelStudio
    ):
        lonely = store.create_run(CONFIG)
        worker.work_once()
        assert store.run(lonely.id).project_id == 1

    def test_start_training_learns_early(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio, engine: FakeEngine
    ):
        worker.work_once()
        source.annotate(1, "good")
        source.annotate(2, "bad")
        store.hint(1, "START_TRAINING")
        poll(worker)
        worker.work_once()
        assert engine.feedback == [(["good", "bad", None, None], None)]
        assert store.run(run.id).epoch == 1

    def test_start_training_with_nothing_to_compare(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        store.hint(1, "START_TRAINING")
        poll(worker)
        waiting = store.run(run.id)
        assert waiting.state is State.labelling
        assert waiting.error is not None and "nothing to compare" in waiting.error

    def test_a_late_label_of_an_old_epoch_is_fetched_by_its_hint(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        source.label_all(VALUES, 0)
        poll(worker)
        worker.work_once()
        source.annotate(1, "bad", person=2)
        store.hint(1, "ANNOTATION_CREATED", task_id=1)
        poll(worker)
        assert [row.late for row in store.annotations(run.id, 0)] == [False] * 4 + [True]

    def test_several_runs(self, worker: Worker, store: Store, source: FakeLabelStudio):
        runs = [store.create_run(CONFIG, project_id=n) for n in (1, 2)]
        while worker.work_once():
            pass
        assert {store.run(run.id).state for run in runs} == {State.labelling}

    def test_deleted_tasks_are_told(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        del source.tasks[4]
        poll(worker)
        assert "hero advance" in str(store.run(run.id).error)
        store.transition(run.id, Event.pause)
        assert store.transition(run.id, Event.resume).state is State.publishing
        published_at = store.epochs(run.id)[0].published_at
        worker.work_once()
        assert {image.task_id for image in store.images(run.id, 0)} == set(source.tasks)
        assert store.epochs(run.id)[0].published_at == published_at
        source.label_all(VALUES, 0)
        poll(worker)
        assert store.run(run.id).state is State.learning

    def test_the_model_is_let_go_when_idle(
        self, worker: Worker, engine: FakeEngine, settings: Settings
    ):
        engine.loaded = True
        worker._rest()
        assert engine.loaded
        engine.used_at -= settings.idle_seconds + 1
        worker._rest()
        assert not engine.loaded
