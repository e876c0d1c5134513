"""Weights stored in 16 bits compute as float32 arithmetic on the rounded weights, bit by bit."""

import pytest
import torch
from torch import nn

from hero_engine.models.half_storage import store_in_half
from hero_engine.models.memory import MemoryPlan
from hero_engine.models.placing import slimmed
from hero_engine.models.policy import Policy, load_family
from tests.hero_engine.tiny.qwen_image import save_qwen_image
from tinyworld.bundled import PIPELINE, PIPELINE_SD3, PIPELINE_SDXL

BUNDLED = {"sd": PIPELINE, "sdxl": PIPELINE_SDXL, "sd3": PIPELINE_SD3}
OTHERS = ("flux", "z_image", "qwen_image", "flux2")


@pytest.fixture(scope="module")
def folders(pipelines, tmp_path_factory):
    qwen_image = save_qwen_image(tmp_path_factory.mktemp("qwen") / "image")
    return {**pipelines, **BUNDLED, "qwen_image": qwen_image}


@pytest.fixture(params=[*BUNDLED, *OTHERS])
def config(request, make_config, folders):
    folder = folders[request.param]
    return make_config(model=str(folder), memory="high")


def rounded(network, kinds):
    """The weights of layers that are stored in 16 bits, so rounded, and still float32."""
    first = next(network.parameters())
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, kinds) and not any(each is first for each in own):
            for each in own:
                each.data = each.data.bfloat16().float()


def stored(policy):
    """The same with its network stored in bfloat16, and the LoRA attached to that."""
    before = policy.lora_state()
    policy.network.delete_adapters("default")
    store_in_half(policy.network, torch.bfloat16)
    policy._attach_lora()
    assert all(torch.equal(before[name], each) for name, each in policy.lora_state().items())
    return policy


def gradient(policy):
    """The network's answers to three latents at three steps, and the LoRA's gradient."""
    generator = torch.Generator().manual_seed(1)
    for parameter in policy.parameters:
        parameter.data.normal_(std=0.05, generator=generator)
    z_t = torch.randn(3, *policy.latent_shape, generator=generator)
    answers = policy.denoiser("one rose")(z_t, policy.schedule.timesteps[[0, 1, 2]])
    answers.square().sum().backward()
    return answers.detach(), torch.cat([each.grad.flatten() for each in policy.parameters])


@pytest.mark.parametrize("checkpointing", [False, True])
def test_answers_and_gradients_are_those_of_float32_arithmetic(config, checkpointing):
    float32, half = Policy(config), stored(Policy(config))
    float32.network.delete_adapters("default")
    rounded(float32.network, (nn.Linear, nn.Conv2d))
    float32._attach_lora()
    if checkpointing:
        half.network.enable_gradient_checkpointing()
    expected, found = gradient(float32), gradient(half)
    assert found[1].abs().max() > 0
    assert all(torch.equal(*each) for each in zip(found, expected, strict=True))


def test_recomputing_blocks_changes_no_bit(config):
    expected, policy = gradient(Policy(config)), Policy(config)
    policy.network.enable_gradient_checkpointing()
    assert all(torch.equal(*each) for each in zip(gradient(policy), expected, strict=True))


def test_most_of_a_network_is_stored_in_half_and_the_lora_in_float32(config):
    policy = stored(Policy(config))
    sizes = {torch.float32: 0, torch.bfloat16: 0}
    for parameter in policy.network.parameters():
        if not parameter.requires_grad:
            sizes[parameter.dtype] += parameter.numel()
    assert sizes[torch.bfloat16] > 0.75 * sum(sizes.values())
    assert {each.dtype for each in policy.parameters} == {torch.float32}
    assert policy.network.dtype == torch.float32


def test_shared_and_first_layers_stay_as_they_are():
    network = nn.Sequential(nn.Embedding(3, 4), nn.Linear(4, 4), nn.Linear(4, 3, bias=False))
    network[2].weight = network[0].weight
    store_in_half(network.requires_grad_(False), torch.bfloat16)
    kinds = {name: each.dtype for name, each in network.named_parameters()}
    assert {name for name, kind in kinds.items() if kind == torch.bfloat16} == {
        "1.parametrizations.weight.original",
        "1.parametrizations.bias.original",
    }
    assert network[1].weight.dtype == torch.float32


def test_encoders_compute_in_float32_too(config):
    float32, half = (load_family(config.model) for _ in range(2))
    for encoder in float32.encoders.values():
        rounded(encoder, nn.Linear)
    slimmed(half, MemoryPlan("low", torch.bfloat16))
    expected, found = (
        each.encode("one rose", "two", torch.device("cpu")) for each in (float32, half)
    )
    for name, each in expected.items():
        assert each.dtype == found[name].dtype == torch.float32
        assert torch.equal(each, found[name]), name
