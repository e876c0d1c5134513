"""What a method says that it sends through the network is what the network gets."""

from collections import Counter

import pytest
import torch

from hero_engine.methods.base import Method
from hero_engine.models.loading import Found
from hero_engine.models.memory import latents_of_update
from hero_engine.storage.batch import Feedback

HALF_GOOD = Feedback((True, False) * 4, best=0)
PLUS = {
    "method": "hero+",
    "denoising_steps": 2,
    "denoising_repeats": 0,
    "denoising_full_share": 0.0,
    "until": "never",
    "keep_best": False,
}
DREAMBOOTH = {"method": "dreambooth", "denoising_steps": 2, "prior_images": 4}
METHODS = {
    "hero": {"method": "hero"},
    "hero without guidance": {"method": "hero", "guidance_scale": 1.0, "inner_epochs": 2},
    "hero by threes": {"method": "hero", "minibatch_size": 3},
    "hero, all steps": {"method": "hero", "trained_steps": "all"},
    "hero, half precision": {"method": "hero", "mixed_precision": "bf16"},
    "d3po": {"method": "d3po", "inner_epochs": 2},
    "d3po by threes": {"method": "d3po", "minibatch_size": 3},
    "ddpo": {"method": "ddpo"},
    "hero+": PLUS,
    "hero+, nothing held": {**PLUS, "held_share": 0.0, "first_step_share": 0.0},
    "hero+ without its pull": {**PLUS, "pretrained_weight": 0.0},
    "hero+ with a prior": {**PLUS, "preservation_weight": 1.0, "prior_images": 4},
    "hero+ beside other prompts": {**PLUS, "keep": ("a rose", "two roses")},
    "dreambooth": DREAMBOOTH,
    "dreambooth by fives": {**DREAMBOOTH, "prior_weight": 0.0, "denoising_batch_size": 5},
}


def noted(run):
    """How many latents the network gets in each pass of the next epoch's learning, guidance
    included: with a way back, and without."""
    batch, found = run.generate(), {True: Counter(), False: Counter()}

    def note(network, given, named):
        found[torch.is_grad_enabled()][len(given[0])] += 1

    hook = run.policy.network.register_forward_pre_hook(note, with_kwargs=True)
    run.learn(batch, HALF_GOOD)
    hook.remove()
    return found[True], found[False]


@pytest.fixture
def create(make_config, monkeypatch):
    monkeypatch.setattr("hero_engine.models.policy.halves_for", lambda *_: None)
    parts = {"reward": lambda images, prompts: [float(i) for i in range(len(images))]}

    def create(**settings):
        return Method.create(
            make_config(**settings), **(parts if settings["method"] == "ddpo" else {})
        )

    return create


@pytest.mark.parametrize("name", METHODS)
def test_an_epochs_latents_are_those_of_the_workload(create, name):
    """Of the second: the first has what is made once in a run, the prior and the noise floor."""
    run = create(**METHODS[name])
    run.learn(run.generate(), HALF_GOOD)
    back, forward = noted(run)
    guided = run.settings.guided_update and run.config.sampling.guidance_scale > 1
    each, workload = 2 if guided else 1, run.workload()
    assert back.total() > 0
    assert sum(n * times for n, times in back.items()) == each * workload.latents
    assert sum(n * times for n, times in forward.items()) == each * workload.scored


@pytest.mark.parametrize("forward_batch_size", [1, 3, 64, "auto"])
@pytest.mark.parametrize(
    "name",
    ["hero by threes", "hero, all steps", "d3po", "d3po by threes", "hero+", "dreambooth by fives"],
)
def test_memory_is_forecast_for_the_largest_pass_of_the_update(create, name, forward_batch_size):
    run = create(**{**METHODS[name], "forward_batch_size": forward_batch_size})
    back, _ = noted(run)
    said = latents_of_update(run.config, Found(run.config.model))
    if forward_batch_size == "auto" and run.settings.name != "d3po":
        assert max(back) == 2 * said  # two at once where no trial was made, which finds what fits
    elif forward_batch_size == 64 and name == "hero, all steps":
        assert max(back) == 2 * run.workload().at_once < said
    else:
        assert max(back) == said
