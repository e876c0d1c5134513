"""The migrations make what tables.py says."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from backend.run.labelling import Labelling
from backend.run.states import State
from backend.store import Store, migrations, tables
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


def test_no_opening_of_a_new_file_is_refused(tmp_path: Path):
    gate = threading.Barrier(8)

    def open_store(file: Path) -> None:
        gate.wait()
        Store.connect(f"sqlite:///{file}").close()

    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            list(pool.map(open_store, [tmp_path / f"{number}.db"] * 8))


def test_opening_again_keeps_the_rows(database_url: str):
    first = Store.connect(database_url)
    run = first.create_run(CONFIG)
    first.close()
    second = Store.connect(database_url)
    assert [row.id for row in second.runs()] == [run.id]
    second.close()


OLD_ROWS = """
INSERT INTO runs (id, prompt, title, config, state, version, epoch, project_id, project_url,
    paused_from, error, created_at, updated_at, fencing_token) VALUES
  ('rose-old', 'one rose', 'one rose', '{"prompt": "one rose", "epochs": 2,
    "images_per_epoch": 2}', 'stopped', 3, 0, 7, 'http://ls/projects/7', NULL, NULL,
    '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00', 1),
  ('rose-new', 'one rose', 'Roses', '{"prompt": "one rose", "epochs": 2, "images_per_epoch": 2}',
    'labelling', 5, 1, 7, 'http://ls/projects/7', NULL, 'it waits', '2026-01-02 00:00:00+00:00',
    '2026-01-02 00:00:00+00:00', 4),
  ('rose-alone', 'one rose', 'one rose', '{"prompt": "one rose", "epochs": 2,
    "images_per_epoch": 2}', 'generating', 0, 0, NULL, NULL, NULL, NULL,
    '2026-01-02 00:00:00+00:00', '2026-01-02 00:00:00+00:00', 0);
INSERT INTO epochs (run_id, epoch, labelled_at, seconds, report, best_index, best_reason) VALUES
  ('rose-new', 0, '2026-01-02 01:00:00+00:00', '{"labelling": 60.0}', '{"updated": true}', 1,
    'most best-votes (1)'),
  ('rose-new', 1, NULL, '{}', NULL, NULL, NULL);
INSERT INTO images (run_id, epoch, "index", path, task_id, verdict, verdict_reason, reward,
    prediction) VALUES
  ('rose-new', 0, 0, 'rose-new/0000/0000.png', 100, 'bad', '0 of 1 good', 0.1, NULL),
  ('rose-new', 0, 1, 'rose-new/0000/0001.png', 101, 'best', '1 of 1 good', 0.9, NULL),
  ('rose-new', 1, 0, 'rose-new/0001/0000.png', 102, NULL, NULL, NULL, 0.5);
INSERT INTO annotations (run_id, ls_id, epoch, "index", task_id, annotator_id, annotator, value,
    problem, lead_time, created_at, updated_at, was_cancelled, deleted, frozen, late, late_value)
VALUES
  ('rose-new', 1, 0, 0, 100, 1, 'ann@example.com', 'bad', NULL, 1.5, '2026-01-02 00:10:00+00:00',
    '2026-01-02 00:10:00+00:00', FALSE, FALSE, TRUE, TRUE, 'good'),
  ('rose-new', 2, 0, 1, 101, 1, 'ann@example.com', 'best', NULL, 2.5, '2026-01-02 00:11:00+00:00',
    '2026-01-02 00:12:00+00:00', FALSE, FALSE, TRUE, FALSE, NULL);
INSERT INTO hints (id, run_id, epoch, action, received_at) VALUES
  (1, 'rose-new', 1, 'ANNOTATION_CREATED', '2026-01-02 02:00:00+00:00');
"""


def test_a_database_of_the_first_release_comes_up_whole(database_url: str):
    engine = sa.create_engine(database_url)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in filter(str.strip, OLD_ROWS.split(";")):
            connection.exec_driver_sql(statement)
    engine.dispose()
    store = Store.connect(database_url)
    assert {run.id: run.project_id for run in store.runs()} == {
        "rose-new": 7,
        "rose-old": None,
        "rose-alone": None,
    }
    run = store.run("rose-new")
    assert (run.state, run.epoch, run.error, run.labelling) == (
        State.labelling,
        1,
        "it waits",
        Labelling(),
    )
    first, second = store.epochs(run.id)
    assert (first.best_index, first.report, first.seconds) == (
        1,
        {"updated": True},
        {"labelling": 60.0},
    )
    assert second.labelled_at is None
    images = store.images(run.id)
    assert [(i.task_id, i.verdict, i.verdict_by, i.reward, i.asked) for i in images] == [
        (100, "bad", "people", 0.1, True),
        (101, "best", "people", 0.9, True),
        (102, None, None, None, True),
    ]
    late, best = store.annotations(run.id)
    assert (late.value, late.late_value, late.late, late.frozen) == ("bad", "good", True, True)
    assert (best.ls_id, best.index, best.value, best.lead_time) == (2, 1, "best", 2.5)
    assert best.updated_at == datetime(2026, 1, 2, 0, 12, tzinfo=UTC)
    [(due, hints)] = store.take_due(30)
    assert (due.id, [hint.epoch for hint in hints]) == ("rose-new", [1])
    page = [replace(best, ls_id=9, epoch=1, index=index) for index in range(2)]
    store.merge_annotations(run.id, 1, lambda known, frozen: page)
    assert len(store.annotations(run.id, 1)) == 2
    store.close()
