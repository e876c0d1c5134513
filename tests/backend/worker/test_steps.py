"""Workers that do some of the steps, beside one another."""

import time

import pytest

from backend.run.records import Run
from backend.run.states import WORK, State
from backend.settings import Settings
from backend.store import Store
from backend.worker import liveness
from backend.worker.loop import Worker
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FakeEngine
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.worker.rounds import VALUES, poll

GPU = (State.generating, State.learning)


@pytest.fixture
def made(settings: Settings, store: Store, engine: FakeEngine, source: FakeLabelStudio):
    return lambda *steps: Worker(
        settings,
        store,
        engine=engine,  # type: ignore[arg-type]
        gateway=lambda: source,  # type: ignore[arg-type, return-value]
        steps=steps,
    )


def test_two_of_them_carry_a_run_round(made, store: Store, run: Run, source: FakeLabelStudio):
    drawer, publisher = made(*GPU), made(State.publishing)
    for epoch in range(2):
        assert not publisher.work_once()
        assert drawer.work_once()
        assert store.run(run.id).state is State.publishing
        assert not drawer.work_once()
        assert publisher.work_once()
        assert store.run(run.id).state is State.labelling
        source.label_all(VALUES, epoch)
        poll(publisher)
        assert store.run(run.id).state is State.learning
    assert drawer.work_once()
    assert store.run(run.id).state is State.finished
    assert len(source.tasks) == 8


def test_a_run_is_handed_on_at_once(made, store: Store, run: Run):
    made(State.generating).work_once()
    assert store.run(run.id).lease_owner is None
    assert store.work_waits([State.publishing])
    assert not store.work_waits(GPU)
    claim = store.claim("another", 60, [State.publishing])
    assert claim is not None and claim.run.id == run.id
    assert store.claim("a third", 60, WORK) is None


def test_who_does_not_publish_does_not_ask_label_studio(made, settings: Settings, run: Run):
    def asked() -> bool:
        raise AssertionError("Label Studio was asked")

    drawer = made(*GPU)
    drawer.poll_once = asked
    drawer.run_until_idle()
    for _ in range(100):
        if liveness.is_alive(settings):
            break
        time.sleep(0.05)
    assert liveness.is_alive(settings)


def test_until_idle_is_until_nothing_can_be_done_now(made, store: Store):
    runs = [store.create_run(CONFIG, project_id=n) for n in (1, 2, 3)]
    worker = made(*WORK)
    assert worker.run_until_idle(most=1) == 1
    states = [store.run(run.id).state for run in runs]
    assert sorted(states) == [State.generating, State.generating, State.labelling]
    assert worker.run_until_idle() == 2
    assert worker.run_until_idle() == 0
    assert {store.run(run.id).state for run in runs} == {State.labelling}


def test_a_step_that_has_to_be_tried_later_is_not_waited_for(
    made, store: Store, run: Run, source: FakeLabelStudio
):
    source.down = True
    assert made(*WORK).run_until_idle() == 1
    waiting = store.run(run.id)
    assert (waiting.state, waiting.retry_at is not None) == (State.publishing, True)
