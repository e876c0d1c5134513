"""Jobs: asked for once, done by one worker at a time, and by another if that one dies."""

import time

import pytest

from backend.errors import LeaseLost, RunNotFound, WrongState
from backend.store import Store, not_renewed
from tests.backend.conftest import CONFIG, Clock


@pytest.fixture
def store(database_url: str, clock: Clock):
    store = Store.connect(database_url, clock)
    yield store
    store.close()


@pytest.fixture
def run_id(store: Store) -> str:
    return store.create_run(CONFIG).id


def test_the_one_that_has_waited_longest_is_done_first(store: Store, run_id: str):
    first = store.ask(run_id, "images", {"n": 1})
    second = store.ask(run_id, "export", {"what": "lora"})
    assert (first.state, first.done, first.total) == ("waiting", 0, 0)
    assert [job.id for job in store.jobs(run_id)] == [second.id, first.id]
    taken = store.take_job("ann", 60)
    assert taken is not None
    assert (taken.id, taken.state, taken.worker) == (first.id, "working", "ann")
    other = store.take_job("ben", 60)
    assert other is not None
    assert other.id == second.id
    assert store.take_job("cem", 60) is None


def test_progress_holds_it(store: Store, run_id: str, clock: Clock):
    store.ask(run_id, "images", {"n": 1})
    job = store.take_job("ann", 60)
    assert job is not None
    clock.pass_seconds(50)
    store.job_progress(job, 3, 8, 60)
    clock.pass_seconds(50)
    assert store.take_job("ben", 60) is None
    found = store.job(run_id, job.id)
    assert (found.done, found.total) == (3, 8)


def test_one_that_is_left_is_taken_by_another(store: Store, run_id: str, clock: Clock):
    store.ask(run_id, "images", {"n": 1})
    job = store.take_job("ann", 60)
    assert job is not None
    clock.pass_seconds(61)
    taken = store.take_job("ben", 60)
    assert taken is not None
    for change in (lambda: store.end_job(job), lambda: store.job_progress(job, 1, 2, 60)):
        with pytest.raises(LeaseLost):
            change()
    store.leave_dead_jobs(lambda worker: worker == "ben")
    assert store.job(run_id, job.id).state == "waiting"


def test_a_lease_of_a_clock_that_was_set_back_ends_too(
    store: Store, run_id: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    store.ask(run_id, "images", {"n": 1})
    clock.pass_seconds(3600)
    ended = store.take_job("ann", 60)
    assert ended is not None
    clock.pass_seconds(-3600)
    at = time.monotonic()

    def after(seconds: float) -> bool:
        monkeypatch.setattr(not_renewed.time, "monotonic", lambda: at + seconds)
        return store.take_job("ben", 60) is not None

    assert not after(0) and not after(119)
    clock.pass_seconds(3605)
    store.job_progress(ended, 1, 8, 60)
    clock.pass_seconds(-3605)
    assert not after(121) and not after(240)
    assert after(242)
    with pytest.raises(LeaseLost):
        store.end_job(ended)


def test_it_ends_well_or_says_why(store: Store, run_id: str):
    for error, state in ((None, "done"), ("The disk is full.", "failed")):
        store.ask(run_id, "images", {"why": error})
        job = store.take_job("ann", 60)
        assert job is not None
        store.end_job(job, error)
        found = store.job(run_id, job.id)
        assert (found.state, found.error, found.is_open) == (state, error, False)
        assert found.ended_at is not None
    assert store.take_job("ann", 60) is None


def test_the_same_is_made_once_while_it_is_open(store: Store, run_id: str):
    first = store.ask(run_id, "images", {"n": 1})
    assert store.ask(run_id, "images", {"n": 1}).id == first.id
    job = store.take_job("ann", 60)
    assert job is not None
    store.end_job(job)
    assert store.ask(run_id, "images", {"n": 1}).id != first.id


def test_a_run_has_few_that_are_open(store: Store, run_id: str):
    for n in range(4):
        store.ask(run_id, "images", {"n": n})
    with pytest.raises(WrongState, match="wait for one of them"):
        store.ask(run_id, "images", {"n": 9})
    other = store.create_run(CONFIG).id
    assert store.ask(other, "images", {"n": 9}).run_id == other
    with pytest.raises(RunNotFound):
        store.job(other, 1)
