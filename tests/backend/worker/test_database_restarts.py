"""A PostgreSQL that is restarted, crashes and ends its connections: no run fails for it."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest

from backend.run.records import Run
from backend.run.states import State
from backend.settings import Settings
from backend.store import Store
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.worker.rounds import VALUES
from tests.postgres import Postgres

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def url(server: Postgres, request: pytest.FixtureRequest) -> str:
    return server.new_database(request.node.name.replace("[", "_").strip("]"))


@pytest.fixture
def settings(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": url})


@pytest.fixture
def going(worker: Worker) -> Iterator[Worker]:
    """The worker, at work."""
    thread = threading.Thread(target=worker.run_forever)
    thread.start()
    yield worker
    worker.end()
    thread.join(30)


def terminate(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def wait(condition: Callable[[], bool], seconds: float = 60) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


def is_labelled_at(store: Store, run_id: str, epoch: int) -> bool:
    run = store.run(run_id)
    return (run.state, run.epoch) == (State.labelling, epoch)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_during_a_step(
    server: Postgres, worker: Worker, store: Store, engine: FakeEngine, mode, monkeypatch
):
    run = store.create_run(CONFIG, project_id=1)
    generate = engine.generate

    def restarted(run: Run, on_progress):
        server.end(mode)
        server.start()
        return generate(run, on_progress)

    monkeypatch.setattr(engine, "generate", restarted)
    worker.work_once()
    monkeypatch.undo()
    if store.run(run.id).state is State.generating:
        assert "by itself" in (store.run(run.id).error or "by itself, when its lease is over")
        assert wait(lambda: worker.work_once())
    assert store.run(run.id).state is State.labelling


def test_a_storm_of_ended_connections(
    going: Worker, url: str, store: Store, source: FakeLabelStudio, engine: FakeEngine
):
    run = store.create_run({**CONFIG, "epochs": 3}, project_id=1)
    storm = threading.Event()

    def blow() -> None:
        while not storm.wait(0.03):
            terminate(url)

    thread = threading.Thread(target=blow)
    thread.start()
    time.sleep(3)
    storm.set()
    thread.join()
    for epoch in range(3):
        assert wait(partial(is_labelled_at, store, run.id, epoch))
        source.label_all(VALUES, epoch)
        store.hint(1, "ANNOTATION_CREATED")
    assert wait(lambda: store.run(run.id).state is State.finished)
    assert engine.calls.count("learn") == 3


def test_a_database_that_is_away_for_a_while(
    server: Postgres, going: Worker, store: Store, source: FakeLabelStudio
):
    run = store.create_run(CONFIG, project_id=1)
    assert wait(lambda: store.run(run.id).state is State.labelling)
    source.label_all(VALUES, 0)
    server.end("immediate")
    time.sleep(1)
    server.start()
    store.hint(1, "ANNOTATION_CREATED")
    assert wait(lambda: store.run(run.id).epoch == 1)
    assert store.run(run.id).state is not State.failed
