import errno
import json

import pytest

from hero_engine.errors import CheckpointError, StorageError
from hero_engine.methods.hero import Hero
from hero_engine.storage import durable
from hero_engine.storage.batch import Feedback
from hero_engine.storage.checked import read_checked
from hero_engine.storage.checkpoint import Checkpoint
from hero_engine.storage.whole import previous
from tests.hero_engine.tiny import save_pipeline


@pytest.fixture
def saved(hero, tmp_path):
    hero.learn(hero.generate(), Feedback((True, False) * 4, best=0))
    hero.save(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_a_checkpoint_holds_no_pickle(saved):
    names = sorted(path.name for path in saved.iterdir())
    assert names == [
        "embedding.safetensors",
        "lora.safetensors",
        "noise.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]


def test_a_checkpoint_is_replaced_whole(hero, saved):
    hero.learn(hero.generate(), Feedback((True, False) * 4, best=0))
    hero.save(saved)
    assert Checkpoint.load(saved).epoch == 2
    assert [path.name for path in saved.parent.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
    "name", ["lora", "optimizer", "embedding", "noise"], ids=lambda name: f"truncated {name}"
)
def test_a_truncated_file_is_named(saved, name):
    path = saved / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=rf"{name}\.safetensors is damaged"):
        Hero.resume(saved)


def test_a_flipped_bit_is_noticed(saved):
    path = saved / "lora.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"lora\.safetensors is damaged"):
        Hero.resume(saved)


def test_a_broken_or_newer_state_is_refused(saved):
    state = read_checked(saved / "state.json")
    for text, message in [
        ('{"format": 1', "Expecting"),
        ("[]", "no JSON object"),
        (json.dumps({**state, "format": 99}), "its format is 99 and this version reads 1 to 2"),
        (json.dumps({**state, "config": {}}), "configuration cannot be used"),
        (
            json.dumps({**state, "config": {**state["config"], "format": 99}}),
            "a newer version wrote it; update HERO",
        ),
        (
            json.dumps({**state, "config": {**state["config"], "bogus": 1}}),
            "bogus: there is no such setting",
        ),
    ]:
        (saved / "state.json").write_text(text)
        with pytest.raises(CheckpointError, match=message):
            Hero.resume(saved)


def test_a_missing_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="resume from an earlier one"):
        Hero.resume(tmp_path / "nothing")


def test_a_checkpoint_of_another_model(saved, tmp_path):
    state = read_checked(saved / "state.json")
    state["config"]["model"] = str(save_pipeline(tmp_path / "larger", latent_size=16))
    (saved / "state.json").write_text(json.dumps(state))
    with pytest.raises(CheckpointError, match="does not fit the model"):
        Hero.resume(saved)


def test_a_full_disk_leaves_the_old_checkpoint(hero, saved, monkeypatch):
    hero.learn(hero.generate(), Feedback((True, False) * 4, best=0))

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable, "save_file", full)
    with pytest.raises(StorageError, match="No space left on device"):
        hero.save(saved)
    monkeypatch.undo()
    assert [path.name for path in saved.parent.iterdir()] == ["checkpoint"]
    assert Hero.resume(saved).epoch == 1


def test_a_crash_between_the_renames_loses_nothing(hero, saved):
    saved.rename(previous(saved))
    assert Hero.resume(saved).epoch == 1
    hero.save(saved)
    assert Hero.resume(saved).epoch == 1
