import errno
import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from hero_engine.errors import CheckpointError, StorageError
from hero_engine.methods.base import Method
from hero_engine.storage.batch import Batch, Feedback, save_pictures
from hero_engine.storage.checked import read_checked

HALF_GOOD = Feedback((True, False) * 4, best=0)


def as_format_1(folder, timesteps):
    """Make a saved batch one of format 1, whose steps were named by their timesteps."""
    tensors = load_file(folder / "batch.safetensors")
    tensors["transitions.timesteps"] = timesteps[tensors.pop("transitions.steps")]
    save_file(tensors, folder / "batch.safetensors")
    about = read_checked(folder / "batch.json")
    del about["sha256"]
    (folder / "batch.json").write_text(json.dumps({**about, "format": 1}))


def test_a_batch_comes_back_as_it_was(hero, tmp_path):
    batch = hero.generate()
    batch.save(tmp_path / "batch")
    again = Batch.load(tmp_path / "batch", hero.schedule.timesteps)
    assert (again.epoch, again.prompt) == (0, "one rose")
    assert torch.equal(again.noises, batch.noises)
    assert torch.equal(again.latents, batch.latents)
    for name, tensor in vars(batch.transitions).items():
        assert torch.equal(getattr(again.transitions, name), tensor)
    assert [i.tobytes() for i in again.images] == [i.tobytes() for i in batch.images]
    with Image.open(tmp_path / "batch" / "images" / "0007.png") as image:
        assert image.size == (16, 16)


def test_a_damaged_batch_says_so(hero, tmp_path):
    hero.generate().save(tmp_path)
    (tmp_path / "images" / "0003.png").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"images/0003.png is damaged"):
        Batch.load(tmp_path, hero.schedule.timesteps)
    (tmp_path / "batch.json").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        Batch.load(tmp_path, hero.schedule.timesteps)


def test_a_full_disk_while_a_batch_is_written(hero, tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(StorageError, match=r"batch of epoch 0 .*No space left"):
        hero.generate().save(tmp_path / "batch")


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "hero+", "denoising_steps": 1},
        {"method": "dreambooth", "denoising_steps": 1, "prior_images": 2},
        {"method": "prompt", "enhanced_prompt": "a fine rose"},
    ],
    ids=lambda fields: fields["method"],
)
def test_where_no_trajectory_is_learned_from_none_is_kept(make_config, tmp_path, fields):
    run = Method.create(make_config(**fields))
    batch = run.generate()
    assert batch.transitions is None
    batch.save(tmp_path)
    assert set(load_file(tmp_path / "batch.safetensors")) == {"noises", "latents"}
    again = Batch.load(tmp_path, run.schedule.timesteps)
    assert again.transitions is None
    assert torch.equal(again.latents, batch.latents)
    assert run.learn(again, HALF_GOOD).updated == (fields["method"] != "prompt")


@pytest.mark.parametrize("fields", [{}, {"method": "d3po"}], ids=["hero", "d3po"])
def test_what_learns_from_trajectories_refuses_a_batch_without(make_config, fields):
    run = Method.create(make_config(**fields))
    batch = run.generate()
    batch.transitions = None
    with pytest.raises(CheckpointError, match="no transitions to learn from: another method"):
        run.learn(batch, HALF_GOOD)


def test_a_batch_of_format_1_names_its_steps_by_their_timesteps(hero, tmp_path):
    batch = hero.generate()
    batch.save(tmp_path)
    as_format_1(tmp_path, hero.schedule.timesteps)
    again = Batch.load(tmp_path, hero.schedule.timesteps)
    assert torch.equal(again.transitions.steps, batch.transitions.steps)
    assert again.transitions.steps.dtype == batch.transitions.steps.dtype
    assert torch.equal(again.transitions.z_t, batch.transitions.z_t)
    assert hero.learn(again, HALF_GOOD).updated


def test_a_batch_of_another_schedule_is_refused(hero, tmp_path):
    hero.generate().save(tmp_path)
    as_format_1(tmp_path, hero.schedule.timesteps + 1)
    with pytest.raises(CheckpointError, match="its timesteps are not those of the run's model"):
        Batch.load(tmp_path, hero.schedule.timesteps)


def test_a_batch_of_a_newer_format_is_refused(hero, tmp_path):
    hero.generate().save(tmp_path)
    about = read_checked(tmp_path / "batch.json")
    assert about["format"] == 2
    (tmp_path / "batch.json").write_text(json.dumps({**about, "format": 3}))
    with pytest.raises(CheckpointError, match="its format is 3 and this version reads 1 to 2"):
        Batch.load(tmp_path, hero.schedule.timesteps)


def test_pictures_that_no_model_drew_get_their_latents_from_it(hero, tmp_path):
    drawn = hero.generate()
    save_pictures(tmp_path / "batch", 0, "one rose", drawn.images)
    again = Batch.load(tmp_path / "batch", hero.schedule.timesteps, hero.policy.encode)
    assert [i.tobytes() for i in again.images] == [i.tobytes() for i in drawn.images]
    assert not again.drawn and again.noises is None and again.transitions is None
    assert again.latents.shape == drawn.latents.shape
    assert torch.equal(again.latents, hero.policy.encode(drawn.images))
    again.save(tmp_path / "saved")
    saved = Batch.load(tmp_path / "saved", hero.schedule.timesteps)
    assert not saved.drawn and torch.equal(saved.latents, again.latents)
    with pytest.raises(CheckpointError, match="only their run's model makes"):
        Batch.load(tmp_path / "batch", hero.schedule.timesteps)
