"""The migrations make what tables.py says."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from backend import migrations, tables
from backend.store import Store
from tests.backend.conftest import CONFIG


def test_they_agree_with_the_tables(database_url: str):
    Store.connect(database_url).close()
    engine = sa.create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


def test_the_newest_is_the_head():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def test_several_may_open_a_new_database_at_once(database_url: str):
    gate = threading.Barrier(4)

    def open_store(_: int) -> int:
        gate.wait()
        store = Store.connect(database_url)
        store.create_run(CONFIG)
        store.close()
        return 1

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(open_store, range(4))) == 4
    store = Store.connect(database_url)
    assert len(store.runs()) == 4
    store.close()


def test_opening_again_keeps_the_rows(database_url: str):
    first = Store.connect(database_url)
    run = first.create_run(CONFIG)
    first.close()
    second = Store.connect(database_url)
    assert [row.id for row in second.runs()] == [run.id]
    second.close()
