"""The exported LoRA of a flow model, as other programs read it."""

import pytest
import torch
from diffusers import (
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file

from hero_engine.methods.base import Method
from hero_engine.models.flux import Flux
from hero_engine.models.flux2 import Flux2Klein
from hero_engine.models.qwen_image import QwenImage
from hero_engine.models.sd3 import StableDiffusion3
from hero_engine.models.z_image import ZImage

SD_3_5_MEDIUM = {
    "sample_size": 128,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 24,
    "attention_head_dim": 64,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048,
    "pos_embed_max_size": 384,
    "dual_attention_layers": tuple(range(13)),
    "qk_norm": "rms_norm",
}
FLUX_DEV = {
    "in_channels": 64,
    "num_layers": 19,
    "num_single_layers": 38,
    "attention_head_dim": 128,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 768,
    "guidance_embeds": True,
}
FLUX_2_KLEIN = {
    "num_layers": 5,
    "num_single_layers": 20,
    "num_attention_heads": 24,
    "joint_attention_dim": 7680,
    "guidance_embeds": False,
}
Z_IMAGE: dict = {}
QWEN_IMAGE: dict = {}
"""What diffusers builds by default."""
QKV = ("to_q", "to_k", "to_v")
BOTH_STREAMS = (
    *(f"attn.{name}" for name in (*QKV, "to_out.0", "to_add_out")),
    *(f"attn.add_{name}_proj" for name in "qkv"),
    *(f"{ff}.net.{layer}" for ff in ("ff", "ff_context") for layer in ("0.proj", "2")),
    "norm1.linear",
    "norm1_context.linear",
)
TAKEN = {
    "SD3.5 medium": {
        "transformer_blocks": (24, (*BOTH_STREAMS, *(f"attn2.{n}" for n in (*QKV, "to_out.0"))))
    },
    "FLUX.1 dev": {
        "transformer_blocks": (19, BOTH_STREAMS),
        "single_transformer_blocks": (
            38,
            (*(f"attn.{name}" for name in QKV), "proj_mlp", "proj_out", "norm.linear"),
        ),
    },
    "FLUX.2 klein": {
        "transformer_blocks": (5, tuple(n for n in BOTH_STREAMS if n.startswith("attn."))),
        "single_transformer_blocks": (20, ("attn.to_qkv_mlp_proj", "attn.to_out")),
    },
    "Qwen-Image": {
        "transformer_blocks": (60, tuple(f"attn.{name}" for name in (*QKV, "to_out.0"))),
    },
    "Z-Image": {
        blocks: (count, tuple(f"attention.{name}" for name in (*QKV, "to_out.0")))
        for blocks, count in [("layers", 30), ("noise_refiner", 2), ("context_refiner", 2)]
    },
}
"""The layers of diffusers' blocks that ComfyUI has a place for in its own."""
MODELS = {
    "SD3.5 medium": (StableDiffusion3, SD3Transformer2DModel, SD_3_5_MEDIUM, 24 * 8 - 1),
    "FLUX.1 dev": (Flux, FluxTransformer2DModel, FLUX_DEV, 19 * 12 + 38 * 3),
    "FLUX.2 klein": (Flux2Klein, Flux2Transformer2DModel, FLUX_2_KLEIN, 5 * 8 + 20),
    "Qwen-Image": (QwenImage, QwenImageTransformer2DModel, QWEN_IMAGE, 60 * 4),
    "Z-Image": (ZImage, ZImageTransformer2DModel, Z_IMAGE, 34 * 4),
}


def keys_that_comfyui_takes(model: str) -> set[str]:
    """Its rule: `transformer.`, a layer's name in diffusers, and one of peft's two suffixes."""
    return {
        f"transformer.{blocks}.{number}.{layer}.lora_{part}.weight"
        for blocks, (count, layers) in TAKEN[model].items()
        for number in range(count)
        for layer in layers
        for part in "AB"
    }


@pytest.mark.parametrize("model", MODELS)
def test_comfyui_takes_every_key_of_the_true_model(tmp_path, model):
    family, network_class, config, layers = MODELS[model]
    with torch.device("meta"):
        network = network_class(**config)
    network.add_adapter(LoraConfig(r=1, lora_alpha=1, target_modules=list(family.lora_targets)))
    trained = {
        name: torch.ones(tensor.shape)
        for name, tensor in get_peft_model_state_dict(network).items()
    }
    assert len(trained) == 2 * layers
    path = tmp_path / "rose.safetensors"
    assert family.save_lora(trained, path, {}) == "diffusers"
    keys = load_file(path).keys()
    assert len(keys) == 2 * layers
    assert keys <= keys_that_comfyui_takes(model)


PIPELINES = {
    "sd3": StableDiffusion3Pipeline,
    "flux": FluxPipeline,
    "z_image": ZImagePipeline,
    "flux2": Flux2KleinPipeline,
}


@pytest.fixture(params=PIPELINES)
def run(request, pipelines, make_config, monkeypatch):
    for family in (StableDiffusion3, Flux, Flux2Klein):
        monkeypatch.setattr(family, "max_sequence_length", 16)
    run = Method.create(make_config(model=str(pipelines[request.param])))
    for parameter in run.policy.parameters:
        torch.nn.init.normal_(parameter, std=0.3)
    return run


def test_the_file_is_what_diffusers_would_have_written(run, tmp_path):
    pipeline = PIPELINES[run.config.model.name.rsplit("/", 1)[1]]
    layers = get_peft_model_state_dict(run.policy.network)
    pipeline.save_lora_weights(tmp_path, transformer_lora_layers=layers, weight_name="theirs")
    theirs = load_file(tmp_path / "theirs")
    ours = load_file(run.export_lora(tmp_path / "rose.safetensors"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_diffusers_draws_the_same_images_with_it(run, tmp_path):
    ours = run.sample(2, scheduler="euler", seed=1)
    path = run.export_lora(tmp_path / "rose.safetensors", {"hero.labels": "512"})
    with safe_open(path, "pt") as file:
        assert file.metadata()["hero.labels"] == "512"
    pipe = type(run.policy.pipe).from_pretrained(run.config.model.name)
    pipe.set_progress_bar_config(disable=True)
    family, sampling = run.policy.family, run.config.sampling
    arguments = family.call_arguments(run.prompt, "", ours.noises, sampling.guidance_scale)

    def draw() -> torch.Tensor:
        steps = sampling.num_inference_steps
        return family.spatial(pipe(**arguments, num_inference_steps=steps).images)

    without = draw()
    pipe.load_lora_weights(path)
    torch.testing.assert_close(draw(), ours.latents, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(without, ours.latents, atol=0.1)
    pipe.unload_lora_weights()
    assert torch.equal(draw(), without)
