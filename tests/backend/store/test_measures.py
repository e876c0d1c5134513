"""The figures that whoever watches the service sees."""

from dataclasses import replace

import pytest

from backend.run.states import State
from backend.store import Store
from backend.store.measures import Spent
from tests.backend.conftest import CONFIG, Clock
from tests.backend.store.carried import carry_to_labelling, carry_to_learning, claimed, label


def test_nothing_yet(store: Store):
    found = store.measures()
    assert not any(found.runs.values()) and not any(found.waiting.values())
    assert (found.longest_wait, found.labels, found.jobs) == (0.0, 0, {})
    assert found.between_batches == Spent()


def test_a_run_waits_until_a_worker_holds_it(store: Store, clock: Clock):
    store.create_run(CONFIG)
    clock.pass_seconds(30)
    found = store.measures()
    assert found.runs[State.generating] == found.waiting[State.generating] == 1
    assert found.longest_wait == pytest.approx(30)
    claimed(store)
    found = store.measures()
    assert (found.runs[State.generating], found.waiting[State.generating]) == (1, 0)
    assert found.longest_wait == 0.0


def test_a_run_that_is_tried_again_later_waits_for_no_worker(store: Store, clock: Clock):
    store.create_run(CONFIG)
    store.postpone(claimed(store), 60, "Label Studio does not answer.")
    clock.pass_seconds(30)
    assert not any(store.measures().waiting.values())
    clock.pass_seconds(31)
    assert store.measures().waiting[State.generating] == 1


def test_labels_are_counted_while_they_stand(store: Store, clock: Clock):
    run = carry_to_labelling(store)
    label(store, run, ["good", "bad", None, "best"], clock)
    assert store.measures().labels == 3


def test_stages_and_the_time_between_batches(store: Store, clock: Clock):
    claim = carry_to_learning(store, clock, ["best", "bad", "bad", "bad"], epochs=2)
    clock.pass_seconds(40)
    claim = replace(claim, run=store.learned(claim, {"note": ""}, [], 7.5))
    paths = [f"run/0001/{i}.png" for i in range(4)]
    claim = replace(claim, run=store.batch_written(claim, paths, None, 2.0))
    assert store.measures().between_batches == Spent()
    store.published(claim, {i: 50 + i for i in range(4)}, 0.5)
    found = store.measures()
    assert found.between_batches == Spent(pytest.approx(40), 1)
    assert found.stages["learning"] == Spent(7.5, 1)
    assert found.stages["generating"].count == 2


def test_what_is_asked_for_on_pages(store: Store):
    run = store.create_run(CONFIG)
    store.ask(run.id, "images", {"n": 1})
    assert store.measures().jobs == {"waiting": 1}
