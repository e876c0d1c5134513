"""The worker, with an engine and a Label Studio that a test holds in its hand."""

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backend.engine import batch_folder
from backend.errors import (
    BackendUnreachable,
    DiskFull,
    EngineFailed,
    LabelConfigUnusable,
    LabelStudioUnreachable,
    NotLabelStudio,
    TokenRefused,
)
from backend.labels.progress import count_labels
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store
from backend.worker import loop as worker_module
from backend.worker.lease import is_dead, process_name
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio, page

VALUES = ["good", "bad", "best", "bad"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"poll_seconds": 0.001, "lease_seconds": 5.0})


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store.open(settings)


@pytest.fixture
def engine(settings: Settings) -> FakeEngine:
    return FakeEngine(settings)


@pytest.fixture
def source() -> FakeLabelStudio:
    return FakeLabelStudio()


@pytest.fixture
def worker(settings: Settings, store: Store, engine: FakeEngine, source: FakeLabelStudio) -> Worker:
    return Worker(settings, store, engine=engine, gateway=lambda: source)  # type: ignore[arg-type]


@pytest.fixture
def run(store: Store) -> Run:
    return store.create_run(CONFIG, project_id=1)


def poll(worker: Worker) -> bool:
    time.sleep(0.002)
    return worker.poll_once()


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
            "epoch": 0,
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
        scores = [data["score"] for data in source.tasks.values() if data["epoch"] == 1]
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
        return {source.tasks[task_id]["epoch"] for task_id in source.unfinished()}

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


class TestTeams:
    @pytest.fixture
    def people(self, source: FakeLabelStudio) -> dict[str, int]:
        source.people = {n: f"{name}@x.org" for n, name in enumerate(("ann", "ben", "eve"), 1)}
        return {address: n for n, address in source.people.items()}

    def start(self, store: Store, worker: Worker, **plan: object) -> Run:
        run = store.create_run(CONFIG, labelling=Labelling(**plan), project_id=1)  # type: ignore[arg-type]
        worker.work_once()
        return store.run(run.id)

    @pytest.mark.parametrize("layout", ["image", "gallery"])
    def test_an_epoch_waits_for_two_people_who_may(
        self,
        worker: Worker,
        store: Store,
        source: FakeLabelStudio,
        people: dict[str, int],
        layout: str,
    ):
        run = self.start(
            store,
            worker,
            layout=layout,
            annotators_per_image=2,
            annotators=("ann@x.org", "ben@x.org"),
        )

        def label(person: int) -> None:
            if layout == "image":
                source.label_all(VALUES, 0, person)
            else:
                [task] = source.tasks
                source.annotate(task, page(run.id, 0, dict(enumerate(VALUES))), person)
            poll(worker)

        label(1)
        label(1)
        label(3)
        counts = count_labels(store, run.id, 0)
        assert store.run(run.id).state is State.labelling
        assert (counts.labelled, counts.votes, counts.votes_needed) == (0, 4, 8)
        assert counts.annotators == {"ann@x.org": 4}
        assert counts.uncounted == {"eve@x.org": 4}
        assert counts.silent == ("ben@x.org",)
        label(2)
        assert store.run(run.id).state is State.learning
        worker.work_once()
        used = {row.annotator for row in store.annotations(run.id, 0) if row.frozen}
        assert used == {"ann@x.org", "ben@x.org"}
        assert [image.verdict for image in store.images(run.id, 0)] == VALUES

    def test_a_page_once_more_by_the_same_person(
        self, worker: Worker, store: Store, source: FakeLabelStudio, engine: FakeEngine
    ):
        run = self.start(store, worker, layout="gallery", annotators_per_image=2)
        [task] = source.tasks
        source.annotate(task, page(run.id, 0, {0: "best", 1: "good"}))
        again = source.annotate(task, page(run.id, 0, {0: "bad", 2: "best"}))
        source.change(again, page(run.id, 0, {3: "best"}))
        source.delete(source.annotate(task, page(run.id, 0, {0: "best"}), 2))
        store.hint(1, "START_TRAINING")
        poll(worker)
        worker.work_once()
        assert engine.feedback == [(["bad", "bad", "bad", "best"], 3)]

    def test_addresses_that_were_not_to_be_had_at_first(
        self, worker: Worker, store: Store, source: FakeLabelStudio
    ):
        run = self.start(store, worker)
        source.users_hidden = True
        source.annotate(1, "good")
        poll(worker)
        assert [row.annotator for row in store.annotations(run.id)] == [None]
        source.users_hidden = False
        poll(worker)
        assert [row.annotator for row in store.annotations(run.id)] == ["ann@example.com"]

    def test_without_addresses_nobody_can_be_told_from_those_who_may_not(
        self, worker: Worker, store: Store, source: FakeLabelStudio
    ):
        run = self.start(store, worker, annotators=("ann@example.com",))
        source.label_all(VALUES, 0)
        source.trouble = LabelStudioUnreachable("Cannot list the users; try again.")
        poll(worker)
        assert store.run(run.id).error == "Cannot list the users; try again."
        source.trouble = None
        poll(worker)
        assert store.run(run.id).state is State.learning

    def test_a_task_whose_data_was_edited_keeps_its_image(
        self, worker: Worker, store: Store, source: FakeLabelStudio
    ):
        run = self.start(store, worker)
        [image] = [image for image in store.images(run.id, 0) if image.index == 1]
        source.tasks[image.task_id] |= {"index": 2, "hero_image_id": f"{run.id}/0/0002"}
        source.annotate(image.task_id, "good")
        poll(worker)
        assert [row.index for row in store.annotations(run.id)] == [1]

    def test_a_task_whose_data_was_edited_to_another_epochs(
        self, worker: Worker, store: Store, source: FakeLabelStudio
    ):
        run = self.start(store, worker)
        source.label_all(VALUES, 0)
        poll(worker)
        worker.work_once()
        [old] = [image for image in store.images(run.id, 0) if image.index == 1]
        source.tasks[old.task_id] |= {"epoch": 1, "hero_image_id": f"{run.id}/1/0001"}
        store.hint(1, "ANNOTATION_UPDATED", task_id=old.task_id)
        poll(worker)
        assert [row.value for row in store.annotations(run.id, 1)] == ["bad"]
        assert [row.frozen for row in store.annotations(run.id, 0)] == [True] * 4
        assert [image.verdict for image in store.images(run.id, 0)] == VALUES

    def test_the_label_budget(
        self, worker: Worker, store: Store, source: FakeLabelStudio, engine: FakeEngine
    ):
        run = self.start(store, worker, label_budget=2)
        assert all(image.asked for image in store.images(run.id, 0))
        source.label_all(VALUES, 0)
        poll(worker)
        worker.work_once()
        assert [image.asked for image in store.images(run.id, 1)] == [False, False, True, True]
        asked = [data["index"] for data in source.tasks.values() if data["epoch"] == 1]
        assert sorted(asked) == [2, 3]
        source.label_all(["x", "x", "bad", "best"], 1)
        poll(worker)
        worker.work_once()
        images = store.images(run.id, 1)
        assert [image.verdict for image in images] == ["bad", "bad", "bad", "best"]
        assert [image.verdict_by for image in images] == ["embedding"] * 2 + ["people"] * 2

    def test_advancing_with_a_label_budget(
        self, worker: Worker, store: Store, source: FakeLabelStudio, engine: FakeEngine
    ):
        run = self.start(store, worker, label_budget=3)
        source.label_all(VALUES, 0)
        poll(worker)
        worker.work_once()
        assert count_labels(store, run.id, 1).total == 3
        tasks = {data["index"]: n for n, data in source.tasks.items() if data["epoch"] == 1}
        source.annotate(tasks[3], "good")
        store.hint(1, "START_TRAINING")
        poll(worker)
        assert "none of them is bad" in str(store.run(run.id).error)
        source.annotate(tasks[2], "bad")
        store.hint(1, "START_TRAINING")
        poll(worker)
        worker.work_once()
        assert engine.feedback[-1] == (["bad", None, "bad", "good"], None)


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
        assert waiting.error == "Cannot reach Label Studio; start it."
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
        assert waiting.error == str(trouble)
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
        assert store.run(run.id).project_id is None
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
        assert store.run(run.id).error == "It has no Choices control; put it back."
        store.transition(run.id, Event.resume)
        worker.work_once()
        assert store.run(run.id).state is State.labelling

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (DiskFull("The disk is full; free space."), "The disk is full; free space."),
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
        failed = store.run(run.id)
        assert failed.state is State.failed
        assert f"hero resume {run.id}" in str(failed.error)
        assert list((settings.images_dir / run.id).iterdir()) == []
        assert batch_folder(settings, run.id, 0).exists()
        store.transition(run.id, Event.resume)
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


class TestInterruptions:
    def during(self, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, happen) -> None:
        def call(name: str, on_progress) -> None:
            happen()
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                on_progress(name, 1, 10**9)
                time.sleep(0.01)

        monkeypatch.setattr(engine, "_call", call)

    @pytest.mark.parametrize("event", [Event.pause, Event.stop])
    def test_a_pause_drops_the_step_soon(
        self,
        worker: Worker,
        store: Store,
        run: Run,
        engine: FakeEngine,
        monkeypatch: pytest.MonkeyPatch,
        event: Event,
    ):
        with monkeypatch.context() as patch:
            self.during(engine, patch, lambda: store.transition(run.id, event))
            assert worker.work_once()
        after = store.run(run.id)
        assert after.state in (State.paused, State.stopped)
        assert store.images(run.id) == []
        if event is Event.pause:
            store.transition(run.id, Event.resume)
            worker.work_once()
            assert store.run(run.id).state is State.labelling

    def test_a_signal_lets_the_run_go(
        self, worker: Worker, store: Store, run: Run, engine: FakeEngine
    ):
        engine.fails = SystemExit(0)
        with pytest.raises(SystemExit):
            worker.work_once()
        left = store.run(run.id)
        assert (left.state, left.lease_owner) == (State.generating, None)

    def test_the_lease_is_kept_during_a_long_step(
        self,
        settings: Settings,
        store: Store,
        run: Run,
        engine: FakeEngine,
        source: FakeLabelStudio,
        monkeypatch: pytest.MonkeyPatch,
    ):
        short = settings.model_copy(update={"lease_seconds": 0.3})
        worker = Worker(short, store, engine=engine, gateway=lambda: source)  # type: ignore[arg-type]
        claims = []

        def call(name: str, on_progress) -> None:
            for _ in range(8):
                time.sleep(0.1)
                claims.append(store.claim("thief", 60))

        monkeypatch.setattr(engine, "_call", call)
        worker.work_once()
        assert claims == [None] * 8
        assert store.run(run.id).state is State.labelling

    def test_both_loops_together(
        self, settings: Settings, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
    ):
        thread = threading.Thread(target=worker.run_forever)
        thread.start()
        try:
            done = 0
            deadline = time.monotonic() + 20
            while store.run(run.id).state is not State.finished and time.monotonic() < deadline:
                now = store.run(run.id)
                if now.state is State.labelling and now.epoch == done:
                    source.label_all(VALUES, done)
                    done += 1
                time.sleep(0.02)
        finally:
            worker.end()
            thread.join()
        assert store.run(run.id).state is State.finished


class TestProcessNames:
    def test_this_process_lives(self):
        assert not is_dead(process_name())

    def test_another_machine_may_live(self):
        assert not is_dead("elsewhere:1:1.00")

    def test_an_ended_process_is_dead(self):
        child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                               capture_output=True, text=True)  # fmt: skip
        assert is_dead(f"{socket.gethostname()}:{child.stdout.strip()}:1.00")

    def test_a_process_that_took_over_the_number_is_another(self):
        assert is_dead(f"{socket.gethostname()}:{os.getpid()}:1.00")


@pytest.mark.slow
def test_sigterm_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HERO_HOME", str(home))
    with subprocess.Popen([sys.executable, "-m", "backend.worker"]) as child:
        deadline = time.monotonic() + 30
        while not (home / "hero.db").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)
        child.terminate()
        assert child.wait(10) == 0


@pytest.fixture(autouse=True)
def no_pause_when_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(worker_module, "TROUBLE_PAUSE_SECONDS", 0.05)
