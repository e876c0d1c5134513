"""The models that people use, by their configurations alone, on torch's meta device: it has shapes
and no memory, so that weights and activations can be counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from diffusers import (
    AutoencoderKL,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from peft import LoraConfig
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
)

from hero_engine.models.base import Family
from hero_engine.models.flux import Flux
from hero_engine.models.half_storage import store_in_half
from hero_engine.models.merged_lora import merge_in_forward
from hero_engine.models.sd3 import StableDiffusion3
from hero_engine.models.sdxl import StableDiffusionXL
from hero_engine.models.stable_diffusion import StableDiffusion

RANK = 4
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}
CLIP_L: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
CLIP_G: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}
T5_XXL: dict[str, Any] = {
    "d_model": 4096,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
SDXL: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD3_5_MEDIUM: dict[str, Any] = {
    "sample_size": 128,
    "num_layers": 24,
    "num_attention_heads": 24,
    "caption_projection_dim": 1536,
    "pos_embed_max_size": 384,
    "dual_attention_layers": tuple(range(13)),
    "qk_norm": "rms_norm",
}


@dataclass(frozen=True)
class Model:
    """One model: how its parts are built, and what its network is given of one latent."""

    network: Callable[[], Any]
    encoders: tuple[Callable[[], nn.Module], ...]
    channels: int
    family: type[Family]
    inputs: Callable[[int], dict[str, Any]]
    """By the side of a latent."""
    pixels: int = 1024
    """Side of the images that it was trained with."""
    scaling_factor: float = 0.18215
    """Of its latents."""
    guided: bool = True
    """By a second prompt, so that a pair of the update is two latents."""


def clip(config: dict[str, Any], kind: Any = CLIPTextModel) -> Callable[[], nn.Module]:
    return lambda: kind(CLIPTextConfig(vocab_size=49408, max_position_embeddings=77, **config))


def t5() -> nn.Module:
    return T5EncoderModel(T5Config(**T5_XXL))


def _unet(features: int, *, size_told: bool = False) -> Callable[[int], dict[str, Any]]:
    def inputs(side: int) -> dict[str, Any]:
        given = {"text_embeds": torch.zeros(1, 1280), "time_ids": torch.zeros(1, 6)}
        return {
            "sample": torch.zeros(1, 4, side, side),
            "timestep": torch.zeros(1),
            "encoder_hidden_states": torch.zeros(1, 77, features),
            **({"added_cond_kwargs": given} if size_told else {}),
        }

    return inputs


def _sd3(side: int) -> dict[str, Any]:
    return {
        "hidden_states": torch.zeros(1, 16, side, side),
        "timestep": torch.zeros(1),
        "encoder_hidden_states": torch.zeros(1, 333, 4096),
        "pooled_projections": torch.zeros(1, 2048),
    }


def _flux(side: int) -> dict[str, Any]:
    tokens = (side // 2) ** 2
    return {
        "hidden_states": torch.zeros(1, tokens, 64),
        "timestep": torch.zeros(1),
        "guidance": torch.zeros(1),
        "encoder_hidden_states": torch.zeros(1, 512, 4096),
        "pooled_projections": torch.zeros(1, 768),
        "txt_ids": torch.zeros(512, 3),
        "img_ids": torch.zeros(tokens, 3),
    }


MODELS: dict[str, Model] = {
    "SD 1.5": Model(
        lambda: UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
        (clip(CLIP_L),),
        4,
        StableDiffusion,
        _unet(768),
        pixels=512,
    ),
    "SDXL": Model(
        lambda: UNet2DConditionModel(**SDXL),
        (clip(CLIP_L), clip(CLIP_G, CLIPTextModelWithProjection)),
        4,
        StableDiffusionXL,
        _unet(2048, size_told=True),
        scaling_factor=0.13025,
    ),
    "SD 3.5 medium": Model(
        lambda: SD3Transformer2DModel(**SD3_5_MEDIUM),
        (clip(CLIP_L, CLIPTextModelWithProjection), clip(CLIP_G, CLIPTextModelWithProjection), t5),
        16,
        StableDiffusion3,
        _sd3,
    ),
    "FLUX.1 dev": Model(
        lambda: FluxTransformer2DModel(guidance_embeds=True),
        (clip(CLIP_L), t5),
        16,
        Flux,
        _flux,
        guided=False,
    ),
}


def parameters(part: nn.Module) -> int:
    return sum(each.numel() for each in part.parameters())


@dataclass(frozen=True)
class Counted:
    """A model's numbers of parameters."""

    network: int
    encoders: int
    vae: int
    lora: int


def count(model: Model) -> Counted:
    """Of a model built on the meta device."""
    with torch.device("meta"):
        network = model.network()
        before = parameters(network)
        encoders = sum(parameters(build()) for build in model.encoders)
        vae = parameters(AutoencoderKL(latent_channels=model.channels, **VAE))
        add_lora(network, model)
    return Counted(before, encoders, vae, parameters(network) - before)


def add_lora(network: Any, model: Model) -> None:
    """The LoRA that a run trains."""
    network.requires_grad_(False)
    targets = list(model.family.lora_targets)
    network.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=targets))
    merge_in_forward(network)


class _Fused(torch.autograd.Function):
    """Attention that keeps what fused kernels keep: its inputs, its output, a sum for each row."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out = torch.empty(*query.shape[:-1], value.shape[-1], device=query.device)
        ctx.save_for_backward(query, key, value, out, torch.empty(query.shape[:-1], device="meta"))
        return out


@contextmanager
def counting() -> Iterator[None]:
    """In the block, new networks have no memory, and attention keeps no matrix of all pairs of
    tokens."""

    def fused(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Any:
        return apply(query, key, value)

    apply: Callable[..., Any] = _Fused.apply
    with (
        torch.device("meta"),
        patch.object(functional, "scaled_dot_product_attention", fused),
        patch.object(torch, "is_autocast_enabled", lambda *_: False),  # knows no meta device
    ):
        yield


@contextmanager
def kept(without: set[int]) -> Iterator[dict[int, int]]:
    """The bytes of what autograd keeps in the block, by storage; `without` those storages."""
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in without:
            found[storage._cdata] = storage.nbytes()
        held.append(storage)
        return tensor

    held: list[Any] = []
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield found


def activations(model: Model, pixels: int, *, lean: bool) -> int:
    """The bytes that the backward pass of one latent keeps, counted on the meta device.

    Lean: weights in 16 bits, of each block its inputs alone, and all of the largest block.
    """
    with counting():
        network = model.network()
        if lean:
            store_in_half(network, torch.bfloat16)
        add_lora(network, model)
        return kept_by(network, model.inputs(pixels // 8), lean=lean)


def kept_by(network: Any, inputs: dict[str, Any], *, lean: bool) -> int:
    """The bytes that autograd keeps of a pass of a network."""
    own = {each.untyped_storage()._cdata for each in (*network.parameters(), *network.buffers())}
    entered: dict[int, int] = {}
    held: list[Any] = []
    largest = [0]

    def block(call: Any, *given: Any) -> Any:
        for each in given:
            if isinstance(each, Tensor):
                storage = each.untyped_storage()
                held.append(storage)
                entered[storage._cdata] = storage.nbytes()
        with kept(own) as inside:
            made = call(*given)
        largest[0] = max(largest[0], sum(inside.values()))
        return made

    if lean:
        network.enable_gradient_checkpointing(block)
    with kept(own) as outside:
        made = network(**inputs, return_dict=False)[0]
    assert made.requires_grad
    return sum({**outside, **entered}.values()) + largest[0]
