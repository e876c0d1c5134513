"""A project's description says how its run stands."""

from dataclasses import replace

import pytest

from backend.run.records import Run
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store
from backend.worker import standing
from backend.worker.loop import Worker
from backend.worker.standing import Standing
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.worker.rounds import VALUES, poll


@pytest.fixture
def told(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> Standing:
    monkeypatch.setattr(standing, "PAUSE_SECONDS", 0.0)
    return Standing(settings, store)


def test_it_follows_the_run(
    told: Standing, worker: Worker, store: Store, run: Run, source: FakeLabelStudio
):
    told.tell(lambda: source)
    worker.work_once()
    told.tell(lambda: source)
    told.tell(lambda: source)
    source.label_all(VALUES, 0)
    poll(worker)
    told.tell(lambda: source)
    assert [text.split(".")[0] for text in source.descriptions] == [
        "Epoch 1 of 2: the model draws images",
        "Epoch 1 of 2: waiting for labels",
        "Epoch 1 of 2: the model learns from the labels",
    ]
    assert f"/runs/{run.id}/label" in source.descriptions[-1]
    assert source.descriptions[-1].endswith(f"Prompt: {run.prompt}")
    store.transition(run.id, Event.stop)
    told.tell(lambda: source)
    assert source.descriptions[-1] == f"Epoch 1 of 2: stopped. Prompt: {run.prompt}"


def test_a_run_that_ended_early_ended_in_its_last_epoch(settings: Settings, run: Run):
    finished = replace(run, state=State.finished, epoch=1)
    assert standing.description(settings, finished).startswith("Epoch 1 of 2: finished.")


def test_label_studio_may_be_away(
    told: Standing, run: Run, source: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(standing, "PAUSE_AFTER_TROUBLE_SECONDS", 0.0)
    source.down = True
    told.tell(lambda: source)
    source.down = False
    told.tell(lambda: source)
    assert len(source.descriptions) == 1
