"""A FLUX.1 pipeline with random weights."""

from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

from tests.hero_engine.tiny import parts

DEV = {"shift": 3.0, "use_dynamic_shifting": True}
SCHNELL = {"shift": 1.0, "use_dynamic_shifting": False}


def save_flux(
    folder: Path, *, latent_size: int = 8, guidance_embeds: bool = True, **scheduler: object
) -> Path:
    """Write a pipeline with latents of 4 x 8 x 8 and images of 16 x 16; [dev] unless told."""
    torch.manual_seed(0)
    transformer = FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=2 * parts.WIDTH,
        pooled_projection_dim=parts.WIDTH,
        guidance_embeds=guidance_embeds,
        axes_dims_rope=(2, 2, 4),
    )
    pipe = FluxPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(**{**DEV, **scheduler}),
        vae=parts.vae(latent_size, scaling_factor=1.5, shift_factor=0.06),
        text_encoder=parts.clip_encoder(),
        tokenizer=parts.clip_tokenizer(),
        text_encoder_2=parts.t5_encoder(),
        tokenizer_2=parts.t5_tokenizer(),
    )
    pipe.save_pretrained(folder)
    return folder
