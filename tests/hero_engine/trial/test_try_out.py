"""The trial with small models of every family, and every method."""

import pytest
import torch

from hero_engine.errors import TooLittleMemory, UnusableImages
from hero_engine.methods.base import Method
from hero_engine.methods.table import METHODS
from hero_engine.models.policy import Policy
from hero_engine.trial.batch_size import DoesNotFit, even_sizes
from hero_engine.trial.try_out import _Trial, try_out
from tests.hero_engine.tiny import MAKERS

EXTRAS = {"prompt": {"enhanced_prompt": "one very red rose"}}


@pytest.fixture(autouse=True)
def no_reward_model(monkeypatch):
    monkeypatch.setattr("hero_engine.methods.reward_ddpo.load_reward", lambda settings: None)


@pytest.mark.parametrize("method", METHODS)
def test_auto_becomes_numbers_and_nothing_else_changes(make_config, method):
    learns = method != "prompt"
    auto = {"sample_batch_size": "auto"} | ({"forward_batch_size": "auto"} if learns else {})
    config = make_config(method=method, **auto, **EXTRAS.get(method, {}))
    decided, forecast = try_out(config)
    assert decided.sampling.sample_batch_size in even_sizes(8)
    assert forecast.images_at_once == decided.sampling.sample_batch_size
    if learns:
        assert decided.method.forward_batch_size == forecast.latents_at_once
    assert decided.model.memory == "high"
    assert {**decided.flat(), **auto, "memory": "auto"} == config.flat()
    assert forecast.drawing_seconds > 0
    assert (forecast.learning_seconds > 0) is learns
    assert 0 < forecast.peak_bytes < forecast.memory_bytes
    assert forecast.device == "CPU"


@pytest.mark.parametrize("family", MAKERS)
def test_every_family_can_be_tried(make_config, pipelines, family):
    config = make_config(model=str(pipelines[family]), method="hero+", memory="low")
    decided, forecast = try_out(config)
    assert decided == config
    assert forecast.epoch_seconds > 0


def test_numbers_that_were_said_are_kept(make_config):
    config = make_config(sample_batch_size=5, forward_batch_size=3, memory="high")
    decided, forecast = try_out(config)
    assert decided == config
    assert (forecast.images_at_once, forecast.latents_at_once) == (5, 3)


@pytest.mark.parametrize(
    ("part", "doing"), [("drawing", "drawing"), ("learning", "learning"), ("embedding", "learning")]
)
def test_too_little_memory_is_a_sentence_that_says_what_helps(
    make_config, monkeypatch, part, doing
):
    def refuse(*_):
        raise DoesNotFit("2 GB")

    monkeypatch.setattr(_Trial, part, refuse)
    said = f"does not suffice for {doing} with memory high; .* --memory low .about . MB less"
    with pytest.raises(TooLittleMemory, match=said):
        try_out(make_config())


def test_a_run_that_was_tried_draws_the_same(make_config):
    config = make_config()
    before = Method.create(config).generate()
    try_out(config)
    after = Method.create(config).generate()
    assert torch.equal(before.latents, after.latents)


def test_broken_weights_are_found_before_anything_is_drawn(make_config, monkeypatch):
    attach = Policy._attach_lora

    def broken(policy: Policy) -> None:
        policy.network.conv_out.bias.data.fill_(float("nan"))
        attach(policy)

    monkeypatch.setattr(Policy, "_attach_lora", broken)
    with pytest.raises(UnusableImages, match="no numbers"):
        try_out(make_config())


@pytest.mark.parametrize(
    ("method", "settings", "latents", "at_once", "scored"),
    [
        # 8 images of 2 trained steps; 4 images in an optimizer step.
        ("hero", {}, 16, 8, 0),
        ("hero", {"inner_epochs": 3, "minibatch_size": 64}, 48, 16, 0),
        ("ddpo", {"trained_steps": "all"}, 32, 16, 0),
        # 4 preferences of 2 images, and every image scored by the pretrained model.
        ("d3po", {}, 16, 8, 16),
        # 120 steps of 16 latents and 8 held ones; 16 of the pretrained model's with a weight, and 8
        # of a prompt that is kept. The pretrained model is asked about all of them.
        ("hero+", {}, 2880, 16, 2880),
        ("hero+", {"held_share": 0.0}, 1920, 16, 1920),
        ("hero+", {"preservation_weight": 1.0, "denoising_steps": 3}, 120, 16, 120),
        ("hero+", {"keep": "a rose", "denoising_steps": 3}, 96, 16, 96),
        ("hero+", {"pretrained_weight": 0.0}, 2880, 16, 960),
        ("dreambooth", {"denoising_batch_size": 4}, 160, 4, 0),
        ("dreambooth", {"prior_weight": 0}, 320, 16, 0),
    ],
)
def test_what_an_epochs_learning_takes(make_config, method, settings, latents, at_once, scored):
    workload = Method.create(make_config(method=method, **settings)).workload()
    assert workload is not None
    assert (workload.latents, workload.at_once, workload.scored) == (latents, at_once, scored)


def test_a_method_that_does_not_train_has_no_workload(make_config):
    config = make_config(method="prompt", **EXTRAS["prompt"])
    assert Method.create(config).workload() is None


def test_what_is_tried_is_the_update(make_config):
    """The trial's pass gives every LoRA matrix a gradient, as an update does."""
    for method in ("hero", "hero+", "d3po", "dreambooth"):
        run = Method.create(make_config(method=method))
        latents = torch.randn(3, *run.policy.latent_shape)
        run.workload().losses(latents).sum().backward()
        moved = [name for name, p in run.policy.network.named_parameters() if p.grad is not None]
        assert len(moved) == len(run.policy.parameters)
