"""What goes wrong is told, and mended where it can be; no run's trouble is another's."""

import errno
import os
from datetime import UTC, datetime, timedelta

import pytest

from backend.engine_files import batch_folder
from backend.errors import (
    BackendUnreachable,
    DatabaseUnavailable,
    DiskFull,
    EngineFailed,
    LabelConfigUnusable,
    NotLabelStudio,
    TokenRefused,
)
from backend.run.records import Run
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.worker.rounds import VALUES, poll


def later(store: Store, seconds: float) -> None:
    """Let the store's clock be ahead, so that what is put off is due."""
    store._now = lambda: datetime.now(UTC) + timedelta(seconds=seconds)


class TestTrouble:
    def test_one_runs_trouble_keeps_no_other_run_from_its_labels(
        self,
        worker: Worker,
        store: Store,
        run: Run,
        source: FakeLabelStudio,
        monkeypatch: pytest.MonkeyPatch,
    ):
        other = store.create_run(CONFIG, project_id=2, run_id="zz")
        worker.work_once()
        worker.work_once()
        labels = source.labels

        def some(project_id: int, run_id: str, epoch: int) -> list:
            if run_id == run.id:
                raise KeyError("created_at")
            return labels(project_id, run_id, epoch)

        monkeypatch.setattr(source, "labels", some)
        source.label_all(VALUES, 0)
        assert not poll(worker)
        assert store.run(other.id).state is State.learning
        assert "KeyError: 'created_at'" in str(store.run(run.id).error)
        monkeypatch.undo()
        assert poll(worker)
        assert store.run(run.id).state is State.learning

    def test_label_studio_is_down_while_publishing(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        source.down = True
        worker.work_once()
        waiting = store.run(run.id)
        assert waiting.state is State.publishing
        assert waiting.error is not None
        assert waiting.error.startswith("Cannot reach Label Studio; start it. It is tried again")
        assert waiting.retry_at is not None and waiting.lease_owner is None
        assert not worker.work_once()

    def test_label_studio_is_down_while_people_label(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        source.label_all(VALUES, 0)
        source.down = True
        store.hint(1, "ANNOTATION_CREATED")
        assert not poll(worker)
        assert store.run(run.id).error == "Cannot reach Label Studio; start it."
        source.down = False
        assert poll(worker)
        assert store.run(run.id).state is State.learning

    @pytest.mark.parametrize("trouble", [TokenRefused("The token."), NotLabelStudio("A proxy.")])
    @pytest.mark.parametrize("labelling", [True, False])
    def test_what_a_person_mends_outside_does_not_fail_the_run(
        self,
        settings: Settings,
        engine: FakeEngine,
        store: Store,
        run: Run,
        source: FakeLabelStudio,
        trouble: Exception,
        labelling: bool,
    ):
        worker = Worker(settings, store, engine=engine, gateway=lambda: source)  # type: ignore[arg-type]
        if labelling:
            worker.work_once()
        source.trouble = trouble
        worker.work_once()
        poll(worker)
        waiting = store.run(run.id)
        assert waiting.state is (State.labelling if labelling else State.publishing)
        assert waiting.error is not None
        assert waiting.error.startswith(str(trouble))
        assert labelling or "then goes on by itself" in waiting.error
        source.trouble = None
        if labelling:
            assert poll(worker)
        else:
            store.transition(store.transition(run.id, Event.pause), Event.resume)
            worker.work_once()
        assert (store.run(run.id).state, store.run(run.id).error) == (State.labelling, None)

    def test_a_new_project_after_the_old_one_was_deleted(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio, engine: FakeEngine
    ):
        worker.work_once()
        source.label_all(VALUES, 0)
        poll(worker)
        worker.work_once()
        source.gone = True
        poll(worker)
        assert (store.run(run.id).project_id, store.run(run.id).project_gone) == (1, True)
        source.gone = False
        source.tasks.clear()
        source.annotations.clear()
        store.transition(run.id, Event.resume)
        worker.work_once()
        again = store.run(run.id)
        assert (again.state, again.epoch, again.project_id) == (State.labelling, 1, 1)
        assert len(source.tasks) == 4
        assert [image.verdict for image in store.images(run.id, 0)] == VALUES
        source.label_all(VALUES, 1)
        poll(worker)
        worker.work_once()
        assert engine.calls.count("generate") == 2
        assert store.run(run.id).state is State.finished

    def test_a_project_deleted_after_the_last_label_loses_none(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio, engine: FakeEngine
    ):
        worker.work_once()
        source.label_all(VALUES, 0)
        poll(worker)
        source.gone = True
        worker.work_once()
        assert store.run(run.id).paused_from is State.learning
        source.gone = False
        source.tasks.clear()
        store.transition(run.id, Event.resume)
        worker.work_once()
        assert engine.feedback == [(VALUES, 2)]
        assert store.run(run.id).state is State.labelling

    def test_a_page_edited_while_people_label(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        source.page_problem = "It has no Choices control; put it back."
        poll(worker)
        waiting = store.run(run.id)
        assert (waiting.state, waiting.error) == (State.labelling, source.page_problem)
        source.page_problem = ""
        poll(worker)
        assert store.run(run.id).error is None

    def test_deleted_images_are_put_back(
        self, worker: Worker, store: Store, run: Run, settings: Settings
    ):
        worker.work_once()
        paths = [settings.images_dir / image.path for image in store.images(run.id, 0)]
        before = paths[1].read_bytes()
        paths[1].unlink()
        poll(worker)
        assert paths[1].read_bytes() == before
        assert store.run(run.id).error is None
        (batch_folder(settings, run.id, 0) / "images" / "0002.png").unlink()
        paths[2].unlink()
        poll(worker)
        assert f"1 of 4 images of epoch 1 are missing, such as {paths[2]}" in str(
            store.run(run.id).error
        )

    def test_a_note_goes_when_its_reason_has_gone(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        source.down = True
        poll(worker)
        source.down = False
        poll(worker)
        assert store.run(run.id).error is None

    def test_the_project_is_gone(
        self, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        worker.work_once()
        source.gone = True
        poll(worker)
        failed = store.run(run.id)
        assert (failed.state, failed.paused_from) == (State.failed, State.labelling)
        assert failed.error == "Cannot find the project; start a new run."

    def test_without_webhooks_the_run_goes_on(
        self,
        worker: Worker,
        store: Store,
        run: Run,
        source: FakeLabelStudio,
        monkeypatch: pytest.MonkeyPatch,
    ):
        def refuse(project_id: int) -> None:
            raise BackendUnreachable("Label Studio cannot reach this backend; start it.")

        monkeypatch.setattr(source, "connect_backend", refuse)
        worker.work_once()
        source.label_all(VALUES, 0)
        poll(worker)
        assert store.run(run.id).state is State.learning

    def test_a_page_without_our_control(
        self,
        worker: Worker,
        store: Store,
        run: Run,
        source: FakeLabelStudio,
        monkeypatch: pytest.MonkeyPatch,
    ):
        def refuse(project_id: int, run_id: str, layout: str) -> None:
            raise LabelConfigUnusable("It has no Choices control; put it back.")

        with monkeypatch.context() as patch:
            patch.setattr(source, "connect_images", refuse)
            worker.work_once()
        waiting = store.run(run.id)
        assert waiting.state is State.publishing
        assert str(waiting.error).startswith("It has no Choices control; put it back. It waits")
        store.transition(store.transition(run.id, Event.pause), Event.resume)
        worker.work_once()
        assert store.run(run.id).state is State.labelling

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (EngineFailed("The model is damaged."), "The model is damaged."),
            (ValueError("strange\nand long"), "ValueError: strange); the worker's log"),
            (RuntimeError(), "RuntimeError: ); the worker's log"),
        ],
    )
    def test_a_failing_engine_fails_the_run_and_the_worker_lives(
        self,
        worker: Worker,
        store: Store,
        run: Run,
        engine: FakeEngine,
        error: Exception,
        said: str,
    ):
        engine.fails = error
        worker.work_once()
        failed = store.run(run.id)
        assert (failed.state, failed.paused_from) == (State.failed, State.generating)
        assert said in str(failed.error)
        assert failed.lease_owner is None
        store.transition(run.id, Event.resume)
        worker.work_once()
        assert store.run(run.id).state is State.labelling

    @pytest.mark.parametrize(
        "error",
        [
            DiskFull("The disk is full; free space."),
            OSError(errno.ESTALE, "Stale file handle"),
            OSError(errno.EROFS, "Read-only file system"),
            DatabaseUnavailable("The database does not answer."),
        ],
    )
    def test_what_passes_fails_no_run_and_tells_since_when(
        self,
        worker: Worker,
        store: Store,
        run: Run,
        engine: FakeEngine,
        error: Exception,
    ):
        engine.fails = error
        began = store.now()
        for attempt in range(3):
            later(store, 100 * attempt)
            engine.fails = error
            worker.work_once()
            waiting = store.run(run.id)
            assert (waiting.state, waiting.lease_owner) == (State.generating, None)
            assert f"since {began:%Y-%m-%d %H:%M} UTC" in str(waiting.error)
        later(store, 1000)
        worker.work_once()
        assert store.run(run.id).state is State.labelling
        assert store.run(run.id).waiting_since is None

    def test_a_disk_that_is_full_when_images_are_placed(
        self,
        worker: Worker,
        store: Store,
        run: Run,
        engine: FakeEngine,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
    ):
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "link", full)
            worker.work_once()
        waiting = store.run(run.id)
        assert waiting.state is State.generating
        assert "free space. It is tried again by itself" in str(waiting.error)
        assert list((settings.images_dir / run.id).iterdir()) == []
        assert batch_folder(settings, run.id, 0).exists()
        later(store, 3)
        worker.work_once()
        assert store.run(run.id).state is State.labelling

    def test_no_picture_is_no_failure(
        self,
        worker: Worker,
        store: Store,
        run: Run,
        source: FakeLabelStudio,
        monkeypatch: pytest.MonkeyPatch,
    ):
        monkeypatch.setattr("backend.show.pictures.epoch_grid", lambda *_: 1 / 0)
        worker.work_once()
        source.label_all(VALUES, 0)
        poll(worker)
        worker.work_once()
        assert store.run(run.id).epoch == 1
