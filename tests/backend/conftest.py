"""Fixtures of the service's tests."""

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.settings import Settings
from backend.store import Store


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


def _postgres_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    for folder in reversed(found):
        if (folder / "initdb").exists():
            return folder
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """A PostgreSQL server of our own; call it for the URL of an empty database."""
    binaries = _postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server here: install the package postgresql")
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        if not shutil.which("runuser") or subprocess.run(["id", "postgres"]).returncode:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    # Not below pytest's folder, which only its owner may enter; and short, for the socket's name.
    home = Path(tempfile.mkdtemp(prefix="hero-postgres-"))
    if as_user:
        shutil.chown(home, "postgres")
    data = home / "data"

    def command(*arguments: str) -> None:
        subprocess.run([*as_user, *arguments], check=True, capture_output=True, cwd=home)

    command(
        *(str(binaries / "initdb"), "-D", str(data), "-U", "hero", "-A", "trust"),
        *("-E", "UTF8", "--no-sync"),
    )
    options = f"-c listen_addresses='' -c unix_socket_directories='{home}' -c fsync=off"
    start = ("-D", str(data), "-w", "-l", str(home / "log"), "-o", options, "start")
    command(str(binaries / "pg_ctl"), *start)
    numbers = itertools.count()

    def new_database() -> str:
        name = f"hero{next(numbers)}"
        command(str(binaries / "createdb"), "-h", str(home), "-U", "hero", name)
        return f"postgresql://hero@/{name}?host={home}"

    try:
        yield new_database
    finally:
        command(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(home)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of database that the store supports."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return Settings(database_url=request.getfixturevalue("postgres")()).sqlalchemy_url
