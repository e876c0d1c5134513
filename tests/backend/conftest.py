"""Fixtures of the service's tests."""

import itertools
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.settings import Settings
from backend.store import Store
from tests.postgres import Postgres


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("LABEL_STUDIO_", "HERO_", "BASIC_AUTH_", "LOG_LEVEL")
    for name in list(os.environ):
        if name.startswith(names):
            monkeypatch.delenv(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path / "home",
        label_studio_url="http://127.0.0.1:1",
        label_studio_api_key="token",
        basic_auth_pass="open sesame",
        webhook_secret="the secret",
        image_key="the image key",
        cookie_key="the cookie key",
    )


@pytest.fixture
def store(settings: Settings, clock: Clock) -> Iterator[Store]:
    store = Store.connect(settings.sqlalchemy_url, clock)
    yield store
    store.close()


CONFIG = {"prompt": "photo of one blue rose in a vase", "epochs": 2, "images_per_epoch": 4}


@pytest.fixture
def config() -> dict[str, object]:
    return dict(CONFIG)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """A PostgreSQL server of our own; call it for the URL of an empty database."""
    server = Postgres()
    numbers = itertools.count()
    try:
        yield lambda: server.new_database(f"hero{next(numbers)}")
    finally:
        server.stop()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of database that the store supports."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return Settings(database_url=request.getfixturevalue("postgres")()).sqlalchemy_url
