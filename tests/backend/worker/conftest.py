"""The worker, with an engine and a Label Studio that a test holds in its hand."""

from collections.abc import Callable
from pathlib import Path

import pytest

from backend.run.records import Run
from backend.settings import Settings
from backend.store import Store
from backend.worker import loop as worker_module
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.hero_engine.tiny import MAKERS


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


@pytest.fixture(autouse=True)
def no_pause_when_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(worker_module, "TROUBLE_PAUSE_SECONDS", 0.05)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A pipeline of random weights of a family."""
    folder = tmp_path_factory.mktemp("models")

    def of(family: str) -> Path:
        path = folder / family
        return path if path.exists() else MAKERS[family](path)

    return of
