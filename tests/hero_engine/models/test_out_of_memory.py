"""What an allocator refuses is a sentence that says which setting helps, and by how much."""

import re

import pytest
import torch

from hero_engine.errors import TooLittleMemory
from hero_engine.methods.base import Method
from hero_engine.models import policy as policies
from hero_engine.models.memory import gigabytes
from hero_engine.models.out_of_memory import is_out_of_memory, memory_errors
from hero_engine.models.policy import Policy
from hero_engine.storage.batch import Feedback

GOOD = Feedback((True, False) * 4, best=0)


def refuse(*_, **__):
    """What torch's CPU allocator says of more than there can be."""
    torch.empty(2**60, dtype=torch.uint8)


def test_the_allocators_words_are_known():
    with pytest.raises(RuntimeError) as said:
        refuse()
    assert is_out_of_memory(said.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("could not create a primitive"))  # a convolution's
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert not is_out_of_memory(RuntimeError("expected scalar type Float"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize(("stage", "doing"), [("generate", "drawing"), ("learn", "learning")])
def test_a_run_stands_as_before(make_config, monkeypatch, tmp_path, stage, doing):
    run = Method.create(make_config())
    batch = run.generate()
    run.save(tmp_path / "saved")
    with monkeypatch.context() as broken:
        broken.setattr(run.policy.family, "predict", refuse)
        with pytest.raises(TooLittleMemory, match=f"does not suffice for {doing} with memory high"):
            run.generate() if stage == "generate" else run.learn(batch, GOOD)
    assert run.epoch == 0
    again = Method.resume(tmp_path / "saved")
    assert torch.equal(again.generate().latents, batch.latents)
    assert again.learn(batch, GOOD).updated


def test_too_little_to_load(make_config, monkeypatch):
    monkeypatch.setattr(policies, "slimmed", refuse)
    with pytest.raises(TooLittleMemory, match="does not suffice for loading with memory high"):
        Policy(make_config())


def test_what_helps_is_named_with_what_it_spares(make_config):
    def said(doing, level, **fields):
        config = make_config(height=1024, width=512, guidance_scale=3.0, **fields)
        with (
            pytest.raises(TooLittleMemory) as raised,
            memory_errors(config, torch.device("cpu"), doing, level),
        ):
            refuse()
        return {
            setting: float(spared)
            for setting, spared in re.findall(
                r"(--[^;(]+) \(about ([\d.]+) GB less\)", str(raised.value)
            )
        }

    learning = said("learning", "high", forward_batch_size=8)
    assert list(learning) == [
        "--memory low",
        "--set forward_batch_size=1",
        "--height 512 --width 256",
    ]
    assert learning["--set forward_batch_size=1"] == pytest.approx(
        7 / 8 * 4 / 3 * learning["--height 512 --width 256"], abs=0.2
    )
    assert list(said("learning", "low", forward_batch_size=1)) == ["--height 512 --width 256"]
    assert "--set forward_batch_size=1" not in said("drawing", "high", forward_batch_size=8)


def test_a_smaller_pass_is_not_advised_where_there_is_none(make_config):
    """D3PO's smallest is a good image with a bad one."""
    config = make_config(method="d3po", forward_batch_size=2, guidance_scale=3.0)
    with (
        pytest.raises(TooLittleMemory, match="Take a machine with more memory"),
        memory_errors(config, torch.device("cpu"), "learning", "low"),
    ):
        refuse()


def test_little_is_said_in_megabytes():
    assert [gigabytes(count) for count in (28_000_000, 250_000_000)] == ["28 MB", "0.2 GB"]


def test_where_nothing_helps_it_is_said(make_config):
    config = make_config(sample_batch_size=1)
    with (
        pytest.raises(TooLittleMemory, match="Take a machine with more memory"),
        memory_errors(config, torch.device("cpu"), "drawing", "low"),
    ):
        refuse()


def test_smaller_batches_help_to_draw(make_config):
    config = make_config(sample_batch_size=6)
    with (
        pytest.raises(TooLittleMemory, match="--set sample_batch_size=3"),
        memory_errors(config, torch.device("cpu"), "drawing", "low"),
    ):
        refuse()


def test_other_errors_pass(make_config):
    with (
        pytest.raises(RuntimeError, match="something else"),
        memory_errors(make_config(), torch.device("cpu"), "drawing", "high"),
    ):
        raise RuntimeError("something else")
