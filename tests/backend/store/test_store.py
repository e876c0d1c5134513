"""The store, on SQLite and on a real PostgreSQL."""

import contextlib
import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from backend import consensus
from backend.errors import (
    DatabaseUnavailable,
    DiskFull,
    LeaseLost,
    ProjectTaken,
    RunAmbiguous,
    RunChanged,
    RunNotFound,
    WrongState,
)
from backend.run.records import Annotation, Claim, Run
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store
from tests.backend.conftest import CONFIG, Clock

PATHS = [f"run/0000/{index:04d}.png" for index in range(4)]


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[Store]:
    store = Store.connect(database_url, clock)
    yield store
    store.close()


def claimed(store: Store, worker: str = "a") -> Claim:
    claim = store.claim(worker, 60)
    assert claim is not None
    return claim


def carry_to_labelling(store: Store, project_id: int | None = None) -> Run:
    store.create_run(CONFIG, project_id=project_id)
    claim = claimed(store)
    run = store.batch_written(claim, PATHS, None, 1.5)
    return store.published(replace(claim, run=run), {i: 100 + i for i in range(4)}, 0.5)


def annotation(run: Run, ls_id: int, index: int, value: str | None, clock: Clock) -> Annotation:
    return Annotation(
        run_id=run.id,
        ls_id=ls_id,
        epoch=run.epoch,
        index=index,
        task_id=100 + index,
        annotator_id=1,
        annotator="ann@example.com",
        value=value,
        problem=None if value else "unknown",
        lead_time=2.0,
        created_at=clock.now,
        updated_at=clock.now,
        was_cancelled=False,
    )


def label(store: Store, run: Run, values: list[str | None], clock: Clock) -> None:
    rows = [annotation(run, 1 + i, i, value, clock) for i, value in enumerate(values)]
    store.merge_annotations(run.id, run.epoch, lambda known, frozen: rows)


def carry_to_learning(store: Store, clock: Clock, values: list[str | None]) -> Claim:
    run = carry_to_labelling(store)
    label(store, run, values, clock)
    store.transition(run, Event.labelled)
    claim = claimed(store)
    rows = store.annotations(run.id, run.epoch)
    assert store.freeze(claim, rows, consensus.decide(rows, 4))
    return claim


class TestRuns:
    def test_an_id_is_made_of_the_prompts_words(self, store: Store):
        run = store.create_run(CONFIG)
        assert run.id.startswith("blue-rose-vase-")
        assert (run.state, run.version, run.epoch) == (State.generating, 0, 0)
        assert store.run(run.id) == run

    @pytest.mark.parametrize("prompt", ["photo of a", "???", "x" * 500, "Ünïcødé", "a/../b"])
    def test_an_id_is_a_safe_file_name(self, prompt: str):
        run_id = Store.new_run_id(prompt)
        assert run_id.replace("-", "").isalnum() and run_id.isascii() and len(run_id) < 64

    def test_a_prefix_is_enough(self, store: Store):
        store.create_run(CONFIG, run_id="rose-aaaa")
        store.create_run(CONFIG, run_id="rose-aabb")
        assert store.run("rose-aab").id == "rose-aabb"
        with pytest.raises(RunAmbiguous, match="rose-aaaa, rose-aabb"):
            store.run("rose")

    def test_latest_is_the_newest(self, store: Store, clock: Clock):
        with pytest.raises(RunNotFound):
            store.run("latest")
        store.create_run(CONFIG, run_id="rose-1")
        clock.pass_seconds(1)
        newest = store.create_run(CONFIG, run_id="rose-2")
        assert store.run("latest") == newest

    def test_a_whole_id_wins_over_a_longer_one(self, store: Store):
        store.create_run(CONFIG, run_id="rose")
        store.create_run(CONFIG, run_id="rose-2")
        assert store.run("rose").id == "rose"

    @pytest.mark.parametrize("name", ["", "nope", "%", "_"])
    def test_no_such_run(self, store: Store, name: str):
        store.create_run(CONFIG)
        with pytest.raises(RunNotFound, match="hero runs"):
            store.run(name)

    def test_the_newest_comes_first(self, store: Store, clock: Clock):
        first = store.create_run(CONFIG)
        clock.pass_seconds(1)
        second = store.create_run(CONFIG)
        assert [run.id for run in store.runs()] == [second.id, first.id]

    def test_the_run_of_a_project(self, store: Store):
        run = store.create_run(CONFIG, project_id=7)
        assert store.run_of_project(7) == run
        assert store.run_of_project(8) is None

    def test_a_project_has_one_run(self, store: Store):
        first = store.create_run(CONFIG, project_id=7)
        with pytest.raises(ProjectTaken, match=f"project 7 .* the run {first.id} has it"):
            store.create_run(CONFIG, project_id=7)
        second = store.create_run(CONFIG)
        with pytest.raises(ProjectTaken, match=second.id) as caught:
            store.set_project(second.id, 7, "http://ls/projects/7")
        assert (caught.value.exit_status, caught.value.http_status) == (2, 409)
        assert store.run(second.id) == second
        assert store.set_project(first.id, 7, "http://ls/projects/7").project_id == 7
        assert len(store.runs()) == 2

    def test_an_id_that_is_there_already_is_not_a_taken_project(self, store: Store):
        run = store.create_run(CONFIG, project_id=7)
        with pytest.raises(IntegrityError):
            store.create_run(CONFIG, run_id=run.id, project_id=7)

    def test_where_the_runs_stand(self, store: Store):
        first, second = store.create_run(CONFIG), store.create_run(CONFIG)
        store.transition(first, Event.pause)
        assert store.states() == {first.id: State.paused, second.id: State.generating}

    def test_records_survive_reopening(self, database_url: str, store: Store):
        run = carry_to_labelling(store, project_id=3)
        again = Store.connect(database_url)
        assert again.run(run.id) == run
        assert again.images(run.id, 0) == store.images(run.id, 0)
        again.close()


class TestTransitions:
    def test_a_whole_epoch(self, store: Store, clock: Clock):
        claim = carry_to_learning(store, clock, ["good", "bad", "best", "bad"])
        run = store.learned(claim, {"seconds": {"update": 2.0}}, [0.9, 0.1, 1.0, 0.2], 3.0)
        assert (run.state, run.epoch) == (State.generating, 1)
        epoch = store.epochs(run.id)[0]
        assert epoch.best_index == 2
        assert epoch.report == {"seconds": {"update": 2.0}}
        assert epoch.seconds == {
            "generating": 1.5,
            "publishing": 0.5,
            "labelling": 0.0,
            "learning": 3.0,
            "update": 2.0,
        }
        images = store.images(run.id, 0)
        assert [image.verdict for image in images] == ["good", "bad", "best", "bad"]
        assert [image.reward for image in images] == [0.9, 0.1, 1.0, 0.2]
        assert [image.task_id for image in images] == [100, 101, 102, 103]

    def test_the_last_epoch_finishes_the_run(self, store: Store, clock: Clock):
        carry_to_learning(store, clock, ["good", "bad", "best", "bad"])
        run = store.runs()[0]
        store.learned(Claim(run, "a", run.fencing_token, 60), {}, [], 1.0)
        claim = claimed(store) if store.run(run.id).lease_owner is None else None
        run = store.run(run.id)
        claim = claim or Claim(run, "a", run.fencing_token, 60)
        run = store.batch_written(replace(claim, run=run), PATHS, [0.1, 0.2, 0.3, 0.4], 1.0)
        run = store.published(replace(claim, run=run), {}, 1.0)
        run = store.transition(run, Event.advance)
        run = store.learned(claimed(store), {}, [], 1.0)
        assert (run.state, run.epoch) == (State.finished, 2)
        assert run.lease_owner is None

    def test_a_stale_read_changes_nothing(self, store: Store):
        run = store.create_run(CONFIG)
        store.transition(run, Event.pause)
        with pytest.raises(RunChanged, match="generating to paused"):
            store.transition(run, Event.fail)
        assert store.run(run.id).state is State.paused

    def test_a_stale_version_of_the_same_state_changes_nothing(self, store: Store):
        run = store.create_run(CONFIG)
        paused = store.transition(run, Event.pause)
        store.transition(paused, Event.resume)
        with pytest.raises(RunChanged):
            store.transition(run, Event.pause)

    def test_by_id_whatever_the_state(self, store: Store):
        run = store.create_run(CONFIG)
        store.transition(run.id, Event.pause)
        assert store.transition(run.id, Event.resume).state is State.generating

    def test_a_failure_is_shown_until_it_is_resumed(self, store: Store):
        run = store.create_run(CONFIG)
        failed = store.transition(run, Event.fail, error="The disk is full.")
        assert (failed.error, failed.paused_from) == ("The disk is full.", State.generating)
        resumed = store.transition(failed, Event.resume)
        assert (resumed.error, resumed.paused_from) == (None, None)

    def test_a_refused_event_changes_nothing(self, store: Store):
        run = store.create_run(CONFIG)
        with pytest.raises(WrongState):
            store.transition(run, Event.learned)
        assert store.run(run.id) == run

    def test_a_failing_write_rolls_the_state_back(self, store: Store):
        store.create_run(CONFIG)
        claim = claimed(store)
        with pytest.raises(Exception, match=r"(?i)unique|duplicate|not null|null value"):
            store.batch_written(claim, ["a", None], None, 1.0)  # type: ignore[list-item]
        run = store.run(claim.run.id)
        assert run.state is State.generating
        assert store.epochs(run.id) == [] and store.images(run.id) == []


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


class TestLeases:
    def test_a_held_run_is_not_given_out(self, store: Store):
        store.create_run(CONFIG)
        claimed(store)
        assert store.claim("b", 60) is None

    def test_whether_work_waits(self, store: Store):
        assert not store.work_waits()
        store.create_run(CONFIG)
        assert store.work_waits()
        claimed(store)
        assert not store.work_waits()

    def test_an_expired_lease_is_taken_over(self, store: Store, clock: Clock):
        store.create_run(CONFIG)
        first = claimed(store)
        clock.pass_seconds(61)
        second = claimed(store, "b")
        assert second.fencing_token > first.fencing_token
        with pytest.raises(LeaseLost):
            store.renew(first)
        with pytest.raises(LeaseLost):
            store.batch_written(first, PATHS, None, 1.0)
        assert store.batch_written(second, PATHS, None, 1.0).state is State.publishing

    def test_a_renewal_keeps_it(self, store: Store, clock: Clock):
        store.create_run(CONFIG)
        claim = claimed(store)
        for _ in range(3):
            clock.pass_seconds(50)
            store.renew(claim)
        assert store.claim("b", 60) is None

    def test_a_pause_drops_the_workers_step(self, store: Store, clock: Clock):
        run = store.create_run(CONFIG)
        claim = claimed(store)
        store.transition(run.id, Event.pause)
        for write in (
            lambda: store.batch_written(claim, PATHS, None, 1.0),
            lambda: store.renew(claim),
            lambda: store.progress(claim, "sampling", 1, 2, clock.now),
            lambda: store.freeze(claim, [], consensus.decide([], 4)),
        ):
            with pytest.raises(LeaseLost, match="paused"):
                write()
        store.release(claim)
        assert store.run(run.id).state is State.paused

    def test_resumed_at_once_the_old_claim_stays_lost(self, store: Store):
        run = store.create_run(CONFIG)
        claim = claimed(store)
        store.transition(run.id, Event.pause)
        store.transition(run.id, Event.resume)
        again = claimed(store)
        with pytest.raises(LeaseLost):
            store.batch_written(claim, PATHS, None, 1.0)
        assert store.batch_written(again, PATHS, None, 1.0).state is State.publishing

    def test_a_released_run_is_free(self, store: Store):
        store.create_run(CONFIG)
        store.release(claimed(store))
        assert store.claim("b", 60) is not None

    def test_a_postponed_run_waits(self, store: Store, clock: Clock):
        store.create_run(CONFIG)
        store.postpone(claimed(store), 5, "Label Studio does not answer.")
        assert store.claim("b", 60) is None
        assert store.runs()[0].error == "Label Studio does not answer."
        clock.pass_seconds(6)
        assert store.claim("b", 60) is not None

    def test_a_dead_holder_is_not_waited_for(self, store: Store):
        store.create_run(CONFIG)
        claim = claimed(store, "host:1:2")
        store.release_dead(lambda name: name == "other")
        assert store.claim("b", 60) is None
        store.release_dead(lambda name: name == "host:1:2")
        assert store.claim("b", 60) is not None
        with pytest.raises(LeaseLost):
            store.renew(claim)

    def test_progress_is_seen(self, store: Store, clock: Clock):
        store.create_run(CONFIG)
        claim = claimed(store)
        store.progress(claim, "sampling", 3, 50, clock.now)
        run = store.runs()[0]
        assert (run.stage, run.stage_done, run.stage_total) == ("sampling", 3, 50)
        assert store.batch_written(claim, PATHS, None, 1.0).stage is None

    @pytest.mark.parametrize("event", [Event.pause, Event.stop, Event.fail])
    def test_nobody_works_on_a_run_that_rests(self, store: Store, event: Event):
        run = store.create_run(CONFIG)
        store.transition(run, event)
        assert store.claim("a", 60) is None

    def test_concurrent_threads_never_both_win(self, database_url: str, store: Store):
        for _ in range(12):
            store.create_run(CONFIG)
        others = [Store.connect(database_url) for _ in range(4)]
        won: list[str] = []
        gate = threading.Barrier(len(others))

        def work(number: int) -> None:
            gate.wait()
            while claim := others[number].claim(f"worker {number}", 600):
                won.append(claim.run.id)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(len(others))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for other in others:
            other.close()
        assert sorted(won) == sorted(run.id for run in store.runs())


def _claim_all(url: str, name: str, gate, queue) -> None:
    store = Store.connect(url)
    gate.wait()
    won = []
    while claim := store.claim(name, 600):
        won.append(claim.run.id)
    queue.put(won)
    store.close()


@pytest.mark.slow
def test_concurrent_processes_never_both_win(database_url: str):
    store = Store.connect(database_url)
    ids = sorted(store.create_run(CONFIG).id for _ in range(20))
    context = multiprocessing.get_context("spawn")
    gate, queue = context.Barrier(2), context.Queue()
    processes = [
        context.Process(target=_claim_all, args=(database_url, f"process {n}", gate, queue))
        for n in range(2)
    ]
    for process in processes:
        process.start()
    won = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    store.close()
    assert sorted(won[0] + won[1]) == ids


class TestLabels:
    def test_a_hint_makes_a_run_due_once(self, store: Store, clock: Clock):
        run = carry_to_labelling(store, project_id=5)
        assert [due.id for due, _ in store.take_due(30)] == [run.id]
        assert store.take_due(30) == []
        clock.pass_seconds(1)
        assert store.take_due(30) == []
        hint = store.hint(5, "ANNOTATION_CREATED", task_id=102)
        assert hint is not None and hint.epoch == 0
        [(due, hints)] = store.take_due(30)
        assert (due.id, hints) == (run.id, [hint])
        store.clear_hints(hints)
        clock.pass_seconds(1)
        assert store.take_due(30) == []
        clock.pass_seconds(30)
        assert len(store.take_due(30)) == 1

    def test_hints_wait_for_a_slow_label_studio(self, store: Store, clock: Clock):
        carry_to_labelling(store, project_id=5)
        store.take_due(30)
        store.hint(5, "ANNOTATION_CREATED")
        clock.pass_seconds(1)
        assert store.take_due(30, hint_seconds=3) == []
        clock.pass_seconds(3)
        assert len(store.take_due(30, hint_seconds=3)) == 1

    def test_a_deletion_is_traced_by_its_annotation(self, store: Store, clock: Clock):
        run = carry_to_labelling(store, project_id=5)
        label(store, run, ["good"], clock)
        hint = store.hint(5, "ANNOTATIONS_DELETED", annotation_ids=[1])
        assert hint is not None and hint.epoch == 0
        unknown = store.hint(5, "ANNOTATIONS_DELETED", annotation_ids=[999])
        assert unknown is not None and unknown.epoch is None

    def test_a_hint_of_a_strange_project(self, store: Store):
        assert store.hint(99, "ANNOTATION_CREATED") is None

    def test_freezing_marks_what_counted(self, store: Store, clock: Clock):
        claim = carry_to_learning(store, clock, ["good", None, "best", "bad"])
        rows = store.annotations(claim.run.id, 0)
        assert [row.frozen for row in rows] == [True, False, True, True]
        assert store.epochs(claim.run.id)[0].labelled_at == clock.now

    def test_merging_knows_whether_the_epoch_is_frozen(self, store: Store, clock: Clock):
        claim = carry_to_learning(store, clock, ["best", "bad", "bad", "bad"])
        seen = []
        store.merge_annotations(
            claim.run.id, 0, lambda known, frozen: seen.append((len(known), frozen)) or []
        )
        assert seen == [(4, True)]

    def test_times_keep_their_zone(self, store: Store, clock: Clock):
        run = carry_to_labelling(store)
        label(store, run, ["good"], clock)
        [row] = store.annotations(run.id)
        assert row.updated_at == clock.now
        assert row.updated_at.utcoffset() == timedelta(0)

    def test_notes_come_and_go(self, store: Store):
        run = store.create_run(CONFIG)
        store.note(run, "waits")
        assert store.run(run.id).error == "waits"
        store.note(run, None)
        assert store.run(run.id).error is None

    def test_a_note_on_a_run_that_went_on_says_nothing(self, store: Store):
        run = store.create_run(CONFIG)
        store.transition(run, Event.pause)
        store.note(run, "waits")
        assert store.run(run.id).error is None

    def test_set_project(self, store: Store):
        run = store.create_run(CONFIG)
        assert store.set_project(run.id, 9, "http://ls/projects/9").project_id == 9


class TestOpening:
    @pytest.mark.parametrize(
        "url",
        [
            "nonsense",
            "mysqlx://a/b",
            "sqlite:////proc/nowhere/hero.db",
            "postgresql+psycopg://hero:pass-word@127.0.0.1:1/hero",
        ],
    )
    def test_a_database_that_cannot_be_opened(self, url: str):
        with pytest.raises(DatabaseUnavailable, match="HERO_DATABASE_URL") as caught:
            Store.connect(url)
        assert "pass-word" not in str(caught.value)

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
