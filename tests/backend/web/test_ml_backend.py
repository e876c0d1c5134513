"""The model in the shape of label-studio-ml."""

from dataclasses import replace

import pytest

from backend.errors import BadWebhook, RunNotFound
from backend.run.records import Run
from backend.run.states import Event
from backend.store import Store
from backend.web.ml_backend import HeroModel, versions_of
from tests.backend.conftest import CONFIG


@pytest.fixture
def run(store: Store) -> Run:
    return store.create_run(CONFIG, project_id=7)


def learned(store: Store) -> Run:
    claim = store.claim("worker", 60)
    assert claim is not None
    run = store.batch_written(claim, ["0.png"], None, 1.0)
    run = store.published(replace(claim, run=run), {0: 100}, 1.0)
    store.transition(run, Event.advance)
    claim = store.claim("worker", 60)
    assert claim is not None
    return store.learned(claim, {"reward_good": 0.9, "reward_bad": 0.5}, [0.9], 1.0)


def test_versions_grow_with_the_epochs(store: Store, run: Run):
    assert HeroModel(store, 7).model_version == f"{run.id}-epoch-0"
    assert versions_of(learned(store)) == [f"{run.id}-epoch-1", f"{run.id}-epoch-0"]
    assert HeroModel(store, 7).model_version == f"{run.id}-epoch-1"


def test_before_anything_is_learned_there_is_no_prediction(store: Store, run: Run):
    learned(store)
    [prediction] = HeroModel(store, 7).predict([{"data": {"hero_image_id": f"{run.id}/0/0000"}}])
    assert prediction["result"] == []


def test_fit_only_notes(store: Store, run: Run):
    answer = HeroModel(store, 7).fit("START_TRAINING", {"project": {"id": 7}})
    assert answer == {"status": "noted", "run": run.id}
    assert store.run(run.id) == run


def test_fit_without_a_project(store: Store):
    with pytest.raises(BadWebhook):
        HeroModel(store, None).fit("ANNOTATION_CREATED", {})


def test_fit_of_a_strange_project(store: Store):
    with pytest.raises(RunNotFound):
        HeroModel(store, None).fit("ANNOTATION_CREATED", {"project": {"id": 1}})
