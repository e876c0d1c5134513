"""A step that is interrupted leaves nothing behind."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backend.run.records import Run
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store
from backend.worker.loop import Worker
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.worker.rounds import VALUES


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
