"""A run's files, damaged one by one, are made again to the last bit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backend import repair
from backend.cli import app
from backend.engine import Engine
from backend.engine_files import batch_folder, checkpoint_folder
from backend.errors import EngineFailed
from backend.repair import mending
from backend.run.states import Event, State
from backend.settings import Settings
from backend.store import Store
from hero_engine.storage.checked import checked_text, read_checked
from tests.backend.test_engine import pipeline, silent
from tests.backend.worker.test_kill import Life

__all__ = ["pipeline"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def files_of(home: Path) -> dict[str, bytes]:
    found = [path for top in ("runs", "images") for path in (home / top).rglob("*")]
    return {
        path.relative_to(home).as_posix(): what_counts(path)
        for path in found
        if path.is_file() and "grids" not in path.parts and "rows" not in path.parts
    }


def what_counts(path: Path) -> bytes:
    """A file's bytes; of a report all but how long it took."""
    if not path.name.endswith(".report.json"):
        return path.read_bytes()
    try:
        return json.dumps({**read_checked(path), "seconds": None}).encode()
    except ValueError as error:
        return str(error).encode()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, pipeline: Path) -> Life:
    life = Life(tmp_path_factory.mktemp("finished"), pipeline)
    for _ in range(2):
        life.work()
        life.label()
    life.work()
    assert life.run.state is State.finished
    life.store.close()
    return life


@pytest.fixture
def copied(finished: Life, tmp_path: Path) -> Settings:
    home = shutil.copytree(finished.settings.home, tmp_path / "home")
    return Settings(home=home, label_studio_url="http://127.0.0.1:1")


def mended(settings: Settings) -> list[repair.Found]:
    store = Store.open(settings)
    try:
        (run,) = store.runs()
        return repair.mend(settings, store, Engine(settings), run, silent)
    finally:
        store.close()


def test_a_whole_run_is_left_alone(copied: Settings):
    before = files_of(copied.home)
    assert mended(copied) == []
    assert files_of(copied.home) == before


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize(
    "name",
    [
        "batches/epoch-0000/batch.safetensors",
        "batches/epoch-0001/batch.json",
        "batches/epoch-0001/predictions.json",
        "batches/epoch-0000/images/0002.png",
        "checkpoints/epoch-0001/lora.safetensors",
        "checkpoints/epoch-0001/noise.safetensors",
        "checkpoints/epoch-0002/state.json",
        "checkpoints/epoch-0002.report.json",
    ],
)
def test_each_file_is_made_again(
    finished: Life, copied: Settings, name: str, damage: Callable[[Path], None]
):
    before = files_of(copied.home)
    damaged = copied.run_dir(finished.id) / name
    damage(damaged)
    assert files_of(copied.home) != before
    (found,) = mended(copied)
    assert found.mended
    assert files_of(copied.home) == before
    assert mended(copied) == []


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_an_image_that_people_see_is_put_back(
    finished: Life, copied: Settings, damage: Callable[[Path], None]
):
    before = files_of(copied.home)
    damage(next((copied.images_dir / finished.id).rglob("0001.png")))
    (found,) = mended(copied)
    assert "image 2 of epoch" in found.what
    assert files_of(copied.home) == before


def test_an_image_that_shares_its_bytes_with_the_batch(finished: Life, copied: Settings):
    before = files_of(copied.home)
    shown = copied.images_dir / finished.id / "0000" / "0003.png"
    source = batch_folder(copied, finished.id, 0) / "images" / "0003.png"
    source.unlink()
    source.hardlink_to(shown)
    cut(shown)
    found = mended(copied)
    assert [each.what for each in found] == ["the batch of epoch 1", "image 4 of epoch 1"]
    assert files_of(copied.home) == before


@pytest.mark.parametrize("killed", [True, False])
def test_a_damaged_image_is_no_proof_against_the_batch(
    finished: Life, copied: Settings, killed: bool
):
    """It shares its bytes with what people see, and what says how it was is lost as well: with the
    folder that a killed repair had set aside, or by itself."""
    batch = batch_folder(copied, finished.run.id, 0)
    shown = copied.images_dir / finished.run.id / "0000" / "0001.png"
    flip(shown)
    if killed:
        flip(batch / "images" / "0001.png")
        batch.rename(batch.with_name(f".{batch.name}.damaged"))
    else:
        (batch / "batch.json").unlink()
    assert all(found.mended for found in mended(copied))
    assert files_of(copied.home) == files_of(finished.settings.home)


def test_much_at_once(finished: Life, copied: Settings):
    before = files_of(copied.home)
    cut(checkpoint_folder(copied, finished.id, 1) / "optimizer.safetensors")
    flip(checkpoint_folder(copied, finished.id, 2) / "embedding.safetensors")
    shutil.rmtree(batch_folder(copied, finished.id, 1))
    found = mended(copied)
    assert [each.what for each in found] == [
        "the checkpoint after epoch 1",
        "the batch of epoch 2",
        "the checkpoint after epoch 2",
    ]
    assert files_of(copied.home) == before


def test_a_batch_that_shows_other_images_is_not_taken(finished: Life, copied: Settings):
    folder = batch_folder(copied, finished.id, 0)
    about = read_checked(folder / "batch.json")
    about["sha256"]["images/0000.png"] = "0" * 64
    (folder / "batch.json").write_text(checked_text(about))
    before = files_of(copied.home)
    (found,) = mended(copied)
    assert not found.mended
    assert "1 of 4 images are not those that people have judged" in found.said
    assert files_of(copied.home) == before


class Dropped(Exception):
    """A worker's step that another one has taken over."""


@pytest.mark.parametrize("wakes", ["while the other mends", "after the other has mended"])
def test_a_mender_that_wakes_up_takes_nothing_away(
    finished: Life, copied: Settings, monkeypatch: pytest.MonkeyPatch, wakes: str
):
    """It was stopped while the batch was set aside, and is told that its step is dropped."""
    batch = batch_folder(copied, finished.id, 0)
    (batch / "predictions.json").unlink()
    stopped = mending._set_aside([batch])
    stopped.__enter__()

    def wake_up(*_: object) -> None:
        nonlocal stopped
        if stopped is not None:
            first, stopped = stopped, None
            with monkeypatch.context() as other:
                other.setattr(mending.os, "getpid", lambda: pid)
                assert not first.__exit__(Dropped, Dropped(), None)

    pid = mending.os.getpid()
    monkeypatch.setattr(mending.os, "getpid", lambda: pid + 1)
    store = Store.open(copied)
    (run,) = store.runs()
    progress = wake_up if wakes == "while the other mends" else silent
    found = repair.mend(copied, store, Engine(copied), run, progress)
    store.close()
    wake_up()
    assert [each.what for each in found] == ["the batch of epoch 1"]
    assert all(each.mended for each in found)
    assert files_of(copied.home) == files_of(finished.settings.home)


def test_a_mender_that_is_dropped_while_another_one_is_at_work_puts_nothing_back(
    finished: Life, copied: Settings, monkeypatch: pytest.MonkeyPatch
):
    """The other one has begun before, with an earlier batch."""
    first, second = (batch_folder(copied, finished.id, epoch) for epoch in (0, 1))
    flip(first / "images" / "0000.png")
    flip(second / "images" / "0000.png")
    dropped = mending._set_aside([second])
    pid = mending.os.getpid()
    does: list[Any] = [dropped.__enter__, lambda: dropped.__exit__(Dropped, Dropped(), None)]

    def meanwhile(*_: object) -> None:
        """At the first report of either batch."""
        if len(does) == 2 or (len(does) == 1 and first.exists()):
            with monkeypatch.context() as other:
                other.setattr(mending.os, "getpid", lambda: pid + 1)
                does.pop(0)()

    store = Store.open(copied)
    (run,) = store.runs()
    found = repair.mend(copied, store, Engine(copied), run, meanwhile)
    store.close()
    assert does == []
    assert [each.what for each in found] == ["the batch of epoch 1", "the batch of epoch 2"]
    assert all(each.mended for each in found)
    assert files_of(copied.home) == files_of(finished.settings.home)


def test_what_a_dropped_mender_took_is_there_for_the_next(finished: Life, copied: Settings):
    batch = batch_folder(copied, finished.id, 0)
    (batch / "predictions.json").unlink()
    with pytest.raises(Dropped), mending._set_aside([batch]):
        raise Dropped
    assert not batch.exists()
    assert all(each.mended for each in mended(copied))
    assert files_of(copied.home) == files_of(finished.settings.home)


def test_what_is_damaged_once_more_meanwhile_is_not_called_mended(
    finished: Life, copied: Settings, monkeypatch: pytest.MonkeyPatch
):
    batch = batch_folder(copied, finished.id, 0)
    flip(batch / "batch.safetensors")
    draw_again = Engine.draw_again

    def spoilt(*said: Any) -> None:
        draw_again(*said)
        flip(batch / "batch.safetensors")

    monkeypatch.setattr(Engine, "draw_again", spoilt)
    (found,) = mended(copied)
    assert not found.mended
    assert "batch.safetensors" in found.said


def test_a_worker_repairs_what_it_needs(tmp_path: Path, pipeline: Path, finished: Life):
    life = Life(tmp_path, pipeline)
    life.work()
    life.label()
    flip(batch_folder(life.settings, life.id, 0) / "batch.safetensors")
    life.work()
    assert (life.run.state, life.run.epoch) == (State.labelling, 1)
    life.label()
    flip(checkpoint_folder(life.settings, life.id, 1) / "lora.safetensors")
    life.engine.let_go()
    life.work()
    assert life.run.state is State.finished
    ours, theirs = files_of(life.settings.home), files_of(finished.settings.home)
    tensors = [name for name in theirs if name.endswith(".safetensors")]
    for name in tensors:
        assert ours[name.replace(finished.id, life.id)] == theirs[name], name


def test_a_batch_that_was_not_published_yet_is_repaired_too(tmp_path: Path, pipeline: Path):
    life = Life(tmp_path, pipeline)
    folder = life.engine.generate(life.run, silent)
    cut(folder / "predictions.json")
    life.work()
    assert life.run.state is State.labelling
    assert len(life.images()) == 4


def test_a_worker_says_what_is_lost(tmp_path: Path, pipeline: Path):
    life = Life(tmp_path, pipeline)
    life.work()
    life.label()
    folder = batch_folder(life.settings, life.id, 0)
    about = read_checked(folder / "batch.json")
    about["sha256"]["images/0000.png"] = "0" * 64
    (folder / "batch.json").write_text(checked_text(about))
    life.work()
    assert life.run.state is State.failed
    assert "The batch of epoch 1 cannot be made again" in str(life.run.error)


def test_the_command(finished: Life, copied: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HERO_HOME", str(copied.home))
    monkeypatch.setenv("COLUMNS", "80")
    whole = CliRunner().invoke(app, ["repair", "latest"])
    assert "are whole" in whole.output
    flip(checkpoint_folder(copied, finished.id, 1) / "lora.safetensors")
    made = CliRunner().invoke(app, ["repair", "latest"])
    assert made.exit_code == 0
    assert made.output.startswith("The checkpoint after epoch 1: made again (lora.safetensors is")


def test_a_run_that_is_worked_on_is_left_to_its_worker(
    copied: Settings, monkeypatch: pytest.MonkeyPatch, pipeline: Path
):
    monkeypatch.setenv("HERO_HOME", str(copied.home))
    life_store = Store.open(copied)
    run = life_store.create_run(life_store.runs()[0].config)
    refused = CliRunner().invoke(app, ["repair", run.id])
    assert refused.exit_code != 0
    life_store.transition(run.id, Event.pause)
    assert CliRunner().invoke(app, ["repair", run.id]).exit_code == 0
    life_store.close()


def test_what_is_lost_is_said():
    lost = repair.Found("the batch of epoch 1", "gone", mended=False, said="Other images.")
    assert repair.unmended([repair.Found("x", "y", mended=True)]) is None
    assert isinstance(repair.unmended([lost]), EngineFailed)
