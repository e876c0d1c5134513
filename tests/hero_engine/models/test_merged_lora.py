from copy import deepcopy

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear as LoraLinear
from torch import nn

from hero_engine.methods.make_config import make_config as any_config
from hero_engine.models.merged_lora import MergedLinear, merge_in_forward
from hero_engine.models.policy import Policy
from tests.hero_engine.tiny import MAKERS


def randomised(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))


def as_peft(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, LoraLinear):
            del layer.forward


def test_the_gradient_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(1)
    shapes = [(2, 3, 5), (4, 5), (2, 5), (4, 2)]
    x, weight, down, up = (
        torch.randn(shape, generator=generator, dtype=torch.double) for shape in shapes
    )
    bias = torch.randn(4, generator=generator, dtype=torch.double)
    wanted = [tensor.requires_grad_() for tensor in (x, down, up)]

    def product(x: torch.Tensor, down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        return MergedLinear.apply(x, weight, down, up, bias)

    assert torch.autograd.gradcheck(product, tuple(wanted))
    expected = x @ weight.T + (x @ down.T) @ up.T + bias
    torch.testing.assert_close(product(x, down, up), expected)


@pytest.mark.parametrize("family", MAKERS)
def test_the_model_is_the_one_that_peft_computes(pipelines, family):
    config = any_config(
        model=str(pipelines[family]), prompt="one rose", method="hero", trained_steps=1
    )
    policy = Policy(config)
    randomised(policy.network)
    z_t = torch.randn(3, *policy.latent_shape, generator=torch.Generator().manual_seed(2))
    timesteps = policy.schedule.timesteps[:1].expand(3)

    def found() -> tuple[torch.Tensor, list[torch.Tensor]]:
        policy.network.zero_grad()
        predicted = policy.denoiser("one rose")(z_t, timesteps)
        predicted.square().mean().backward()
        gradients = [p.grad for p in policy.parameters]
        return predicted.detach(), [each.clone() for each in gradients if each is not None]

    ours, our_gradients = found()
    as_peft(policy.network)
    theirs, their_gradients = found()
    assert not torch.equal(ours, theirs)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=5e-6 * float(theirs.abs().max()))
    assert len(our_gradients) == len(their_gradients) > 0
    for one, other in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * float(other.abs().max()))


def test_without_the_lora_it_is_the_base_to_the_last_bit(hero):
    policy = hero.policy
    randomised(policy.network)
    z_t = torch.randn(2, *policy.latent_shape)
    timesteps = policy.schedule.timesteps[:2]
    denoise = policy.denoiser("one rose")
    with torch.no_grad(), policy.pretrained():
        merged = denoise(z_t, timesteps)
        as_peft(policy.network)
        assert torch.equal(merged, denoise(z_t, timesteps))


def test_in_half_precision_it_is_pefts(hero):
    policy = hero.policy
    randomised(policy.network)
    z_t = torch.randn(2, *policy.latent_shape)
    timesteps = policy.schedule.timesteps[:2]
    denoise = policy.denoiser("one rose")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        merged = denoise(z_t, timesteps)
        as_peft(policy.network)
        assert torch.equal(merged, denoise(z_t, timesteps))


def test_a_layer_of_another_kind_stays_pefts():
    class Quantised(nn.Linear):
        pass

    from diffusers import UNet2DConditionModel

    network = UNet2DConditionModel(
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=8,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        sample_size=8,
    )
    network.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_k"]))
    layers = [layer for layer in network.modules() if isinstance(layer, LoraLinear)]
    layers[0].base_layer.__class__ = Quantised
    merge_in_forward(network)
    assert "forward" not in vars(layers[0])
    assert all("forward" in vars(layer) for layer in layers[1:])


def test_a_copy_of_a_network_has_its_own_layers(hero):
    network = hero.policy.network
    copied = deepcopy(network)
    layer, other = (
        next(each for each in model.modules() if isinstance(each, LoraLinear))
        for model in (network, copied)
    )
    x = torch.randn(2, layer.in_features)
    before = layer(x)
    with torch.no_grad():
        other.lora_B["default"].weight.add_(1.0)
        assert torch.equal(layer(x), before)
        assert not torch.equal(other(x), before)
