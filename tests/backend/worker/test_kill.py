"""A worker killed at any point leaves a run that goes on as if nothing had happened."""

from pathlib import Path

import pytest

from backend.engine import Engine
from backend.engine_files import checkpoint_folder
from backend.labels import closing
from backend.run.records import Run
from backend.run.states import State
from backend.settings import Settings
from backend.store import Store
from backend.worker.lease import is_dead
from backend.worker.loop import Worker
from tests.backend.fake_label_studio import FakeLabelStudio
from tests.backend.killed_worker import kill_at
from tests.backend.test_engine import VERDICTS, pipeline, small

__all__ = ["pipeline"]

pytestmark = pytest.mark.slow


class Life:
    """A home folder with one run, and a worker that was not killed."""

    def __init__(self, home: Path, pipeline: Path) -> None:
        self.settings = Settings(home=home, label_studio_url="http://127.0.0.1:1")
        self.store = Store.open(self.settings)
        self.source = FakeLabelStudio()
        self.engine = Engine(self.settings)
        self.id = self.store.create_run(small(pipeline), project_id=1).id

    @property
    def run(self) -> Run:
        return self.store.run(self.id)

    def work(self) -> None:
        """What a worker does that starts after the other was killed."""
        self.store.release_dead(is_dead)
        gateway = lambda: self.source  # noqa: E731
        Worker(self.settings, self.store, engine=self.engine, gateway=gateway).work_once()  # type: ignore[arg-type]

    def label(self) -> None:
        """Label the epoch and freeze its verdicts; the next step is to learn."""
        self.source.label_all(VERDICTS, self.run.epoch)
        gateway = lambda: self.source  # noqa: E731
        Worker(self.settings, self.store, gateway=gateway).poll_once()  # type: ignore[arg-type]
        claim = self.store.claim("test", 60)
        assert claim is not None
        closing.freeze(self.store, claim)
        self.store.release(claim)

    def lora(self) -> bytes:
        folder = checkpoint_folder(self.settings, self.id, self.run.epoch)
        return (folder / "lora.safetensors").read_bytes()

    def images(self) -> list[bytes]:
        rows = self.store.images(self.id, 0)
        return [(self.settings.images_dir / row.path).read_bytes() for row in rows]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Life:
    life = Life(tmp_path_factory.mktemp("undisturbed"), pipeline)
    life.work()
    life.label()
    life.work()
    assert life.run.epoch == 1
    return life


@pytest.mark.parametrize(
    "point",
    [
        "hero_engine.storage.batch:Batch.save:after",
        "backend.worker.loop:place_images:before",
        "backend.worker.loop:place_images:after",
        "backend.store:Store.batch_written:after",
    ],
)
def test_while_a_batch_is_made(tmp_path: Path, pipeline: Path, undisturbed: Life, point: str):
    life = Life(tmp_path, pipeline)
    kill_at(point, tmp_path)
    assert life.run.state in (State.generating, State.publishing)
    life.work()
    assert life.run.state is State.labelling
    assert life.images() == undisturbed.images()
    assert len(life.source.tasks) == 4
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]


@pytest.mark.parametrize(
    ("point", "trained_again"),
    [
        ("hero_engine.methods.hero:Hero.learn:after", True),
        ("hero_engine.methods.hero:Hero.save:before", True),
        ("hero_engine.methods.hero:Hero.save:after", False),
        ("backend.store:Store.learned:before", False),
        ("backend.store:Store.learned:after", False),
    ],
)
def test_while_learning(
    tmp_path: Path,
    pipeline: Path,
    undisturbed: Life,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    trained_again: bool,
):
    life = Life(tmp_path, pipeline)
    life.work()
    life.label()
    kill_at(point, tmp_path)
    if not trained_again:
        from hero_engine import Hero

        monkeypatch.setattr(Hero, "learn", lambda *_, **__: pytest.fail("it was trained twice"))
    life.work()
    assert (life.run.epoch, life.run.error) == (1, None)
    assert life.lora() == undisturbed.lora()
    rewards = [image.reward for image in life.store.images(life.id, 0)]
    assert rewards == [image.reward for image in undisturbed.store.images(undisturbed.id, 0)]
    assert [epoch.epoch for epoch in life.store.epochs(life.id)] == [0, 1]
