"""Databases that cannot be opened or written, in a sentence."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event

from backend.errors import DatabaseUnavailable, DiskFull, SettingsInvalid
from backend.settings import Settings
from backend.store import Store
from tests.backend.conftest import CONFIG, Clock


class TestOpening:
    @pytest.mark.parametrize(
        "url",
        [
            "sqlite:////proc/nowhere/hero.db",
            "postgresql+psycopg://hero:pass-word@127.0.0.1:1/hero",
        ],
    )
    def test_a_database_that_cannot_be_opened(self, url: str):
        with pytest.raises(DatabaseUnavailable, match="HERO_DATABASE_URL") as caught:
            Store.connect(url)
        assert "pass-word" not in str(caught.value)

    @pytest.mark.parametrize("url", ["nonsense", "mysqlx://a/b"])
    def test_an_address_of_no_database(self, url: str):
        with pytest.raises(SettingsInvalid, match="HERO_DATABASE_URL is no address"):
            Store.connect(url)

    def test_a_file_that_is_no_database(self, tmp_path: Path):
        (tmp_path / "hero.db").write_text("not a database, but long enough to be looked at" * 50)
        with pytest.raises(DatabaseUnavailable, match="not a database"):
            Store.open(Settings(home=tmp_path))

    def test_a_database_of_a_newer_version(self, tmp_path: Path):
        settings = Settings(home=tmp_path)
        Store.open(settings).close()
        with contextlib.closing(sqlite3.connect(tmp_path / "hero.db")) as database, database:
            database.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(DatabaseUnavailable, match=r"9999.*update"):
            Store.open(settings)

    def test_sqlite_writes_ahead(self, tmp_path: Path):
        Store.open(Settings(home=tmp_path / "new" / "home")).close()
        header = (tmp_path / "new" / "home" / "hero.db").read_bytes()[:20]
        assert header[18:20] == b"\x02\x02"


def test_a_full_disk_is_said(tmp_path: Path, clock: Clock):
    store = Store.connect(f"sqlite:///{tmp_path / 'hero.db'}", clock)
    run = store.create_run(CONFIG)

    @event.listens_for(store._engine, "checkout")
    def no_page_more(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA max_page_count=1")

    with pytest.raises(DiskFull, match="free space"):
        store.create_run({**CONFIG, "padding": "x" * 100_000})
    assert store.runs() == [run]
    store.close()
