"""Sample rows: drawn while nobody needs the engine, whole or not at all."""

import logging
from pathlib import Path

import pytest

from backend.engine import Engine
from backend.engine_files import missing_rows, row_folder
from backend.errors import EngineFailed
from backend.run.records import Run
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store
from backend.worker.loop import Worker
from backend.worker.sample_rows import SampleRows
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.test_engine import VERDICTS, pipeline, silent, small

__all__ = ["pipeline"]

VALUES = ["good", "bad", "best", "bad"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"poll_seconds": 0.001, "sample_row": 3})


def a_worker(
    settings: Settings, store: Store, engine: FakeEngine, source: FakeLabelStudio
) -> Worker:
    return Worker(settings, store, engine=engine, gateway=lambda: source)  # type: ignore[arg-type]


def idle(worker: Worker) -> None:
    """What the worker does while it has no step to take."""
    while not worker.work_once() and worker._rows.draw_one():
        pass


@pytest.fixture
def worker(settings: Settings, store: Store, engine: FakeEngine, source: FakeLabelStudio) -> Worker:
    return a_worker(settings, store, engine, source)


def finish(worker: Worker, store: Store, run: Run, source: FakeLabelStudio) -> Run:
    for epoch in range(2):
        worker.work_once()
        source.label_all(VALUES, epoch)
        worker.poll_once()
    worker.work_once()
    finished = store.run(run.id)
    assert finished.state is State.finished
    return finished


def test_a_row_an_epoch_while_people_label(
    worker: Worker, store: Store, run: Run, source: FakeLabelStudio, settings: Settings
):
    for epoch in range(2):
        worker.work_once()
        assert missing_rows(settings, store.run(run.id)) == [epoch]
        idle(worker)
        assert missing_rows(settings, store.run(run.id)) == []
        source.label_all(VALUES, epoch)
        worker.poll_once()
    worker.work_once()
    idle(worker)
    names = [path.name for path in sorted(row_folder(settings, run.id, 2).iterdir())]
    assert names == ["0000.png", "0001.png", "0002.png"]


def test_what_there_was_no_time_for_is_drawn_at_the_end(
    worker: Worker, store: Store, run: Run, source: FakeLabelStudio, settings: Settings
):
    finished = finish(worker, store, run, source)
    assert missing_rows(settings, finished) == [0, 1, 2]
    idle(worker)
    assert missing_rows(settings, finished) == []


def test_after_a_restart_only_if_the_run_has_finished(
    worker: Worker, store: Store, run: Run, source: FakeLabelStudio, settings: Settings
):
    worker.work_once()
    restarted = a_worker(settings, store, FakeEngine(settings), source)
    idle(restarted)
    assert missing_rows(settings, store.run(run.id)) == [0]
    source.label_all(VALUES, 0)
    worker.poll_once()
    worker.work_once()
    source.label_all(VALUES, 1)
    worker.poll_once()
    worker.work_once()
    idle(a_worker(settings, store, FakeEngine(settings), source))
    assert missing_rows(settings, store.run(run.id)) == []


def test_a_finished_run_waits_for_those_that_are_labelled(
    worker: Worker,
    store: Store,
    run: Run,
    source: FakeLabelStudio,
    settings: Settings,
    engine: FakeEngine,
):
    finished = finish(worker, store, run, source)
    engine.let_go()
    other = store.create_run(CONFIG, project_id=2)
    worker.work_once()
    idle(worker)
    assert missing_rows(settings, store.run(other.id)) == []
    assert missing_rows(settings, finished) == [0, 1, 2]
    store.transition(other.id, Event.stop)
    idle(worker)
    assert missing_rows(settings, finished) == []


def test_a_step_comes_first(worker: Worker, store: Store, run: Run, settings: Settings):
    worker.work_once()
    store.create_run(CONFIG, project_id=2)
    assert worker._rows.draw_one()
    assert missing_rows(settings, store.run(run.id)) == [0]


def test_a_row_that_cannot_be_drawn_is_tried_once(
    worker: Worker,
    store: Store,
    run: Run,
    settings: Settings,
    engine: FakeEngine,
    caplog: pytest.LogCaptureFixture,
):
    worker.work_once()
    engine.row_fails = EngineFailed("The model's memory does not suffice.")
    with caplog.at_level(logging.WARNING):
        assert worker._rows.draw_one()
        assert not worker._rows.draw_one()
    assert [record.message for record in caplog.records] == [
        f"no sample row of run {run.id} after 0 epochs: The model's memory does not suffice."
    ]
    assert store.run(run.id).error is None


def test_none_are_wanted(settings: Settings, store: Store, run: Run, engine: FakeEngine):
    none = settings.model_copy(update={"sample_row": 0})
    rows = SampleRows(none, store, engine, lambda: False)  # type: ignore[arg-type]
    engine.generate(run, silent)
    assert not rows.draw_one()
    assert missing_rows(none, run) == []


class TestEngine:
    """The same with a model of random weights."""

    @pytest.fixture
    def run(self, store: Store, pipeline: Path) -> Run:
        return store.create_run(small(pipeline))

    def pixels(self, folder: Path) -> list[bytes]:
        return [path.read_bytes() for path in sorted(folder.iterdir())]

    def test_the_same_noises_each_time(self, settings: Settings, run: Run, tmp_path: Path):
        engine = Engine(settings)
        engine.generate(run, silent)
        engine.draw_row(run, tmp_path / "a", 2, lambda: False)
        Engine(settings).draw_row(run, tmp_path / "b", 2, lambda: False)
        assert len(self.pixels(tmp_path / "a")) == 2
        assert self.pixels(tmp_path / "a") == self.pixels(tmp_path / "b")

    def test_it_changes_nothing_of_the_run(self, settings: Settings, run: Run, tmp_path: Path):
        with_rows, without = Engine(settings), Engine(settings)
        with_rows.generate(run, silent)
        with_rows.draw_row(run, tmp_path / "a", 2, lambda: False)
        assert with_rows.stands_at == (run.id, 0)
        report = with_rows.learn(run, VERDICTS, (2,), silent)
        assert with_rows.stands_at == (run.id, 1)
        other = without._settings.model_copy(update={"home": tmp_path / "other"})
        without = Engine(other)
        without.generate(run, silent)
        assert without.learn(run, VERDICTS, (2,), silent)["rewards"] == report["rewards"]

    def test_needed_elsewhere_it_stops_and_keeps_the_model(
        self, settings: Settings, run: Run, tmp_path: Path
    ):
        engine = Engine(settings)
        engine.generate(run, silent)
        engine.draw_row(run, tmp_path / "rows" / "a", 2, lambda: True)
        assert not (tmp_path / "rows").exists()
        assert engine.loaded
