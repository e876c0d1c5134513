"""What people ask for on a run's page, made by a worker between the steps of the runs."""

import pytest
from PIL import Image

from backend.errors import EngineFailed
from backend.exports.jobs import made_in
from backend.run.records import Job
from backend.settings import Settings
from backend.store import Store
from backend.worker.jobs import Jobs
from tests.backend.dashboard.conftest import made
from tests.backend.fake_engine import FakeEngine
from tests.backend.made_runs import MadeRun

__all__ = ["made"]

IMAGES = {"prompt": "a rose", "n": 3, "seed": 7, "epoch": 1}


@pytest.fixture
def jobs(settings: Settings, store: Store, engine: FakeEngine) -> Jobs:
    return Jobs(settings, store, engine, "worker")  # type: ignore[arg-type]


def asked(store: Store, made: MadeRun, kind="images", **options) -> Job:
    return store.ask(made.id, kind, options or IMAGES)


def test_images_before_and_after(jobs: Jobs, settings, store: Store, made: MadeRun):
    job = asked(store, made)
    assert jobs.do_one()
    job = store.job(made.id, job.id)
    assert (job.state, job.total) == ("done", 2)
    files = sorted(made_in(settings, job).rglob("*.png"))
    assert [f"{file.parent.name}/{file.name}" for file in files] == [
        f"{part}/{index:04d}.png" for part in ("after", "before") for index in range(3)
    ]
    assert Image.open(files[0]).getpixel((0, 0)) == (0, 1, 7)
    assert not jobs.do_one()


def test_an_export_is_that_of_the_command(jobs, settings, store: Store, made, monkeypatch):
    def export(settings, store, run, what, format, target):
        target.write_text(f"{what} of {run.id} as {format}")

    monkeypatch.setattr("backend.exports.export", export)
    job = asked(store, made, "export", what="lora", format="safetensors", epoch=1)
    assert jobs.do_one()
    file = made_in(settings, job)
    assert file.name == f"{made.id}-lora.safetensors"
    assert file.read_text() == f"lora of {made.id} as safetensors"


def test_why_it_cannot_be_made_is_told(jobs: Jobs, engine: FakeEngine, store: Store, made: MadeRun):
    for error, said in (
        (EngineFailed("Too little memory; choose a smaller model."), "Too little memory"),
        (ZeroDivisionError("x"), "It failed (ZeroDivisionError); the log says why."),
    ):
        engine.fails = error
        job = asked(store, made)
        assert jobs.do_one()
        job = store.job(made.id, job.id)
        assert job.state == "failed"
        assert said in (job.error or "")


def test_a_worker_that_is_told_to_end_leaves_it(jobs, engine: FakeEngine, store, made: MadeRun):
    job = asked(store, made)
    engine.fails = SystemExit(0)
    with pytest.raises(SystemExit):
        jobs.do_one()
    assert store.job(made.id, job.id).state == "waiting"
    assert jobs.do_one()
    assert store.job(made.id, job.id).state == "done"
