"""Who tries the model of a new run, and what is kept of it."""

import socket

import pytest

from backend.errors import LeaseLost
from backend.run.states import Event
from backend.worker import liveness
from backend.worker.first_trial import why_not_here
from tests.backend.conftest import CONFIG
from tests.backend.fake_engine import FORECAST

AUTO = {**CONFIG, "sample_batch_size": "auto", "forward_batch_size": "auto"}


def test_the_worker_tries_a_run_that_is_undecided_before_its_first_images(worker, store, engine):
    run = store.create_run(AUTO, project_id=1)
    assert worker.work_once()
    assert engine.calls == ["try_out", "generate"]
    run = store.run(run.id)
    assert run.config == {**CONFIG, "sample_batch_size": 4, "forward_batch_size": 20}
    assert run.forecast == FORECAST


def test_what_was_decided_is_not_tried_again(worker, store, engine, run):
    assert worker.work_once()
    assert engine.calls == ["generate"]
    assert store.run(run.id).forecast is None


def test_a_run_that_is_stopped_while_it_is_tried_stays_as_it_was(worker, store, engine):
    run = store.create_run(AUTO, project_id=1)

    def stopped_meanwhile(tried):
        store.transition(tried, Event.stop)
        return {**tried.config, "sample_batch_size": 4}, FORECAST

    engine.try_out = stopped_meanwhile
    worker.work_once()
    assert (store.run(run.id).config, store.run(run.id).state) == (AUTO, "stopped")
    assert "generate" not in engine.calls


def test_only_the_holder_of_a_run_decides(store):
    run = store.create_run(AUTO, project_id=1)
    claim = store.claim("one", 60)
    store.transition(run.id, Event.pause)
    with pytest.raises(LeaseLost):
        store.tried(claim, CONFIG, FORECAST)
    assert store.run(run.id).config == AUTO


def test_the_trial_is_made_where_the_worker_is_and_while_it_rests(settings, store):
    assert why_not_here(settings, store) is None  # nobody yet: `hero up` will be here
    liveness.beat(settings)
    (settings.home / "workers" / "gpu-server").touch()
    assert why_not_here(settings, store) is None
    run = store.create_run(CONFIG, project_id=1)
    assert store.claim("somebody", 60) is not None
    assert why_not_here(settings, store) == f"the worker is busy with {run.id}"
    (settings.home / "workers" / socket.gethostname()).unlink()
    assert why_not_here(settings, store) == "the worker runs on gpu-server"


def test_with_a_shared_database_a_worker_that_is_not_seen_is_elsewhere(settings, store):
    shared = settings.model_copy(update={"database_url": settings.sqlalchemy_url})
    assert "may run elsewhere" in (why_not_here(shared, store) or "")
