"""SDXL behind the interface, against diffusers' own pipeline, and its LoRA in other programs."""

import re

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file

from benchmarks.memory_sizes import SDXL
from hero_engine.diffusion.sampling import sample
from hero_engine.methods.base import Method
from hero_engine.models.policy import load_family
from hero_engine.models.sdxl import StableDiffusionXL
from tests.hero_engine.tiny import save_sdxl

CPU = torch.device("cpu")
LAYERS = 70 * 2 * 4
"""Attention layers: 70 transformer blocks, two attentions in each, four layers in those."""
AUTOMATIC1111 = re.compile(
    r"lora_unet_(down_blocks_\d+_attentions_\d+|mid_block_attentions_\d+|up_blocks_\d+_attentions_\d+)"
    r"_transformer_blocks_\d+_attn[12]_to_(q|k|v|out_0)\.(lora_up\.weight|lora_down\.weight|alpha)"
)


@pytest.fixture(scope="module", params=[True, False], ids=["zeros", "encoded"])
def folder(request, tmp_path_factory):
    """The negative prompt that is empty is zeros, or is encoded."""
    folder = tmp_path_factory.mktemp("sdxl") / "pipeline"
    return save_sdxl(folder, zeros_for_empty=request.param)


@pytest.fixture(scope="module")
def family(folder):
    return load_family(str(folder))


@pytest.mark.parametrize("negative", ["", "two cats"])
@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_the_images_are_those_of_the_pipeline_to_the_last_bit(
    family, folder, guidance_scale, negative
):
    noises = torch.randn(3, *family.latent_shape, generator=torch.Generator().manual_seed(0))
    condition = family.encode("one rose", negative if guidance_scale > 1 else None, CPU)
    ours, _ = sample(
        lambda z_t, timesteps: family.predict(z_t, timesteps, condition, guidance_scale),
        family.schedule(5, 1.0),
        noises,
        torch.Generator().manual_seed(5),
    )
    own = StableDiffusionXLPipeline.from_pretrained(folder, scheduler=family.pipe.scheduler)
    own.set_progress_bar_config(disable=True)

    def draw(output_type):
        return own(
            "one rose",
            negative_prompt=negative or None,
            num_images_per_prompt=3,
            latents=noises,
            generator=torch.Generator().manual_seed(5),
            eta=1.0,
            guidance_scale=guidance_scale,
            num_inference_steps=5,
            output_type=output_type,
        ).images

    assert torch.equal(ours, draw("latent"))
    for image, expected in zip(family.decode(ours), draw("pil"), strict=True):
        # the pipeline decodes all at once, which rounds differently
        assert np.abs(np.int16(image) - np.int16(expected)).max() <= 1


def test_an_empty_negative_prompt_is_zeros_where_the_model_was_trained_so(family):
    condition = family.encode("one rose", "", CPU)
    zeros = family.pipe.config.force_zeros_for_empty_prompt
    assert condition["negative"].any() != zeros
    assert condition["negative_pooled"].any() != zeros
    assert family.encode("one rose", "two cats", CPU)["negative"].any()


def test_the_network_is_told_the_size_that_is_drawn(family):
    condition = family.encode("one rose", None, CPU)
    told = family.added(condition, "positive", 2)
    assert told["time_ids"].tolist() == [[16, 16, 0, 0, 16, 16]] * 2


def test_comfyui_and_automatic1111_take_every_key(tmp_path):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SDXL)
    layers = {
        name.removesuffix(".weight").replace(".", "_")
        for name in unet.state_dict()
        if name.endswith(".weight")
    }
    suffixes = ("lora_up.weight", "lora_down.weight", "alpha")
    known = {f"lora_unet_{layer}.{suffix}" for layer in layers for suffix in suffixes}
    targets = list(StableDiffusionXL.lora_targets)
    unet.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=targets))
    trained = {
        name: torch.ones(tensor.shape) for name, tensor in get_peft_model_state_dict(unet).items()
    }
    assert len(trained) == 2 * LAYERS
    path = tmp_path / "rose.safetensors"
    assert StableDiffusionXL.save_lora(trained, path, {}) == "kohya"
    keys = load_file(path).keys()
    assert len(keys) == 3 * LAYERS
    assert keys <= known
    assert all(AUTOMATIC1111.fullmatch(key) for key in keys)


def test_diffusers_draws_the_same_images_with_the_lora(folder, tmp_path, make_config):
    run = Method.create(make_config(model=str(folder)))
    for parameter in run.policy.parameters:
        torch.nn.init.normal_(parameter, std=0.3)
    ours = run.sample(2, scheduler="ddim", seed=1)
    path = run.export_lora(tmp_path / "rose.safetensors")
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, scheduler=run.policy.pipe.scheduler)
    pipe.set_progress_bar_config(disable=True)

    def draw():
        return pipe(
            run.prompt,
            num_images_per_prompt=2,
            latents=ours.noises,
            num_inference_steps=run.config.sampling.num_inference_steps,
            guidance_scale=run.config.sampling.guidance_scale,
            output_type="latent",
        ).images

    without = draw()
    pipe.load_lora_weights(path)
    torch.testing.assert_close(draw(), ours.latents, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(without, ours.latents, atol=1e-2)


def test_a_vae_with_a_mean_and_a_deviation_per_channel(family):
    latents = torch.randn(2, *family.latent_shape)
    plain = [np.int16(image) for image in family.decode(latents)]
    config = {"latents_mean": [0.5] * 4, "latents_std": [2.0] * 4}
    family.pipe.vae.register_to_config(**config)
    try:
        scale = family.pipe.vae.config.scaling_factor
        same = (latents / scale - 0.5) * scale / 2.0
        for image, expected in zip(family.decode(same), plain, strict=True):
            assert np.abs(np.int16(image) - expected).max() <= 1
    finally:
        family.pipe.vae.register_to_config(latents_mean=None, latents_std=None)
