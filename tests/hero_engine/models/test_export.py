"""The exported LoRA, as other programs read it."""

import re
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file

from hero_engine.models.stable_diffusion import StableDiffusion

SD_1_5 = {
    "sample_size": 64,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "block_out_channels": (320, 640, 1280, 1280),
}
SD_2_1 = {
    **SD_1_5,
    "sample_size": 96,
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
LAYERS = 128
"""Attention layers of both: 16 transformer blocks, two attentions in each, four layers in those."""
AUTOMATIC1111 = re.compile(
    r"lora_unet_(down_blocks_\d+_attentions_\d+|mid_block_attentions_\d+|up_blocks_\d+_attentions_\d+)"
    r"_transformer_blocks_\d+_attn[12]_to_(q|k|v|out_0)\.(lora_up\.weight|lora_down\.weight|alpha)"
)
"""What it recognises as a layer of diffusers' naming."""


def unet_on_meta(config: dict) -> UNet2DConditionModel:
    with torch.device("meta"):
        return UNet2DConditionModel(**config)


def keys_that_comfyui_takes(unet: UNet2DConditionModel) -> set[str]:
    """Its rule: `lora_unet_` and a layer's name with underscores, and one of three suffixes."""
    layers = [
        name.removesuffix(".weight").replace(".", "_")
        for name in unet.state_dict()
        if name.endswith(".weight")
    ]
    suffixes = ("lora_up.weight", "lora_down.weight", "alpha")
    return {f"lora_unet_{layer}.{suffix}" for layer in layers for suffix in suffixes}


@pytest.mark.parametrize("config", [SD_1_5, SD_2_1], ids=["SD 1.5", "SD 2.1"])
def test_comfyui_and_automatic1111_take_every_key(tmp_path, config):
    unet = unet_on_meta(config)
    known = keys_that_comfyui_takes(unet)
    unet.add_adapter(
        LoraConfig(r=4, lora_alpha=4, target_modules=list(StableDiffusion.lora_targets))
    )
    trained = {
        name: torch.ones(tensor.shape) for name, tensor in get_peft_model_state_dict(unet).items()
    }
    assert len(trained) == 2 * LAYERS
    path = tmp_path / "rose.safetensors"
    assert StableDiffusion.save_lora(trained, path, {}) == "kohya"
    keys = load_file(path).keys()
    assert len(keys) == 3 * LAYERS
    assert keys <= known
    assert all(AUTOMATIC1111.fullmatch(key) for key in keys)


def test_up_down_and_alpha_are_what_was_trained(hero, tmp_path):
    for parameter in hero.policy.parameters:
        torch.nn.init.normal_(parameter)
    file = load_file(hero.export_lora(tmp_path / "rose.safetensors"))
    trained = hero.policy.lora_state()
    assert len(file) == len(trained) / 2 * 3
    for name, tensor in trained.items():
        layer, part, _ = name.rsplit(".", 2)
        key = f"lora_unet_{layer.replace('.', '_')}"
        theirs = {"lora_A": "lora_down", "lora_B": "lora_up"}[part]
        assert torch.equal(file[f"{key}.{theirs}.weight"], tensor)
        assert file[f"{key}.alpha"].item() == hero.config.lora.lora_rank


def test_diffusers_draws_the_same_images_with_it(hero, pipeline, tmp_path):
    for parameter in hero.policy.parameters:
        torch.nn.init.normal_(parameter, std=0.3)
    pipe = StableDiffusionPipeline.from_pretrained(pipeline)
    pipe.set_progress_bar_config(disable=True)
    ours = hero.sample(2, scheduler="ddim", seed=1)
    path = hero.export_lora(tmp_path / "rose.safetensors")
    assert list(tmp_path.iterdir()) == [path]

    def draw() -> list:
        return pipe(
            hero.config.prompt,
            num_images_per_prompt=2,
            latents=ours.noises,
            num_inference_steps=hero.config.sampling.num_inference_steps,
            guidance_scale=hero.config.sampling.guidance_scale,
        ).images

    without = draw()
    pipe.load_lora_weights(path)
    for image, expected, plain in zip(draw(), ours.images, without, strict=True):
        assert image.tobytes() == expected.tobytes()
        assert image.tobytes() != plain.tobytes()


def test_the_file_says_what_it_is(hero, tmp_path):
    path = hero.export_lora(tmp_path / "rose.safetensors", {"hero.labels": "512"})
    with safe_open(path, "pt") as file:
        said = file.metadata()
    assert said["hero.prompt"] == said["modelspec.trigger_phrase"] == hero.config.prompt
    place = Path(hero.config.model.name)
    assert place.is_absolute()
    assert said["hero.base_model"] == said["ss_sd_model_name"] == place.name
    assert (said["hero.method"], said["hero.labels"]) == ("hero", "512")
    assert str(place.parent) not in str(said)
    assert place.name in said["modelspec.license"]
    assert said["ss_network_dim"] == said["ss_network_alpha"] == str(hero.config.lora.lora_rank)
