"""A run is one worker's, and only while its lease holds."""

import multiprocessing
import threading
import time

import pytest

from backend import consensus
from backend.errors import LeaseLost
from backend.run.states import Event, State
from backend.store import Store, not_renewed
from tests.backend.conftest import CONFIG, Clock
from tests.backend.store.carried import PATHS, claimed


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

    def test_a_lease_of_a_clock_that_was_set_back_ends_too(
        self, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ):
        store.create_run(CONFIG)
        clock.pass_seconds(3600)
        ended = claimed(store)
        clock.pass_seconds(-3600)
        at = time.monotonic()

        def after(seconds: float) -> bool:
            monkeypatch.setattr(not_renewed.time, "monotonic", lambda: at + seconds)
            return store.claim("b", 60) is not None

        assert not after(0) and not after(119)
        clock.pass_seconds(3605)
        store.renew(ended)
        clock.pass_seconds(-3605)
        assert not after(121) and not after(240)
        assert after(242)
        with pytest.raises(LeaseLost):
            store.renew(ended)

    def test_a_wait_of_a_clock_that_was_set_back_is_over(self, store: Store, clock: Clock):
        store.create_run(CONFIG)
        clock.pass_seconds(3600)
        store.postpone(claimed(store), 30, "away")
        assert store.claim("b", 60) is None
        clock.pass_seconds(-3600)
        again = claimed(store, "b")
        store.postpone(again, 30, "still away")
        assert store.claim("b", 60) is None, "it waits as long as it should"
        assert store.run(again.run.id).waiting_since == clock.now
        clock.pass_seconds(31)
        third = claimed(store, "b")
        clock.pass_seconds(3600)
        store.postpone(third, 30, "still away")
        clock.pass_seconds(-3600)
        assert store.claim("b", 60) is not None, "though it has waited since before"

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
