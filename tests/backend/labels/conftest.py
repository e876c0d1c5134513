"""An epoch of four images that is being labelled."""

from dataclasses import replace

import pytest

from backend.run.records import Run
from backend.store import Store
from tests.backend.conftest import CONFIG
from tests.backend.fake_label_studio import FakeLabelStudio

PATHS = [f"{index}.png" for index in range(4)]


def labelling(store: Store, source: FakeLabelStudio) -> Run:
    run = store.create_run(CONFIG, project_id=1)
    for index in range(4):
        key = f"{run.id}/0/{index:04d}"
        source.tasks[100 + index] = {"hero_image_id": key, "epoch": 0, "index": index}
    claim = store.claim("worker", 60)
    assert claim is not None
    run = store.batch_written(claim, PATHS, None, 1.0)
    return store.published(replace(claim, run=run), {i: 100 + i for i in range(4)}, 1.0)


@pytest.fixture
def source() -> FakeLabelStudio:
    return FakeLabelStudio()


@pytest.fixture
def run(store: Store, source: FakeLabelStudio) -> Run:
    return labelling(store, source)
