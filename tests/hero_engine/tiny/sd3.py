"""A Stable Diffusion 3 pipeline with random weights, of the layers that 3.5 Medium has."""

from pathlib import Path

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)

from tests.hero_engine.tiny import parts


def save_sd3(folder: Path, *, latent_size: int = 8, t5: bool = True, **scheduler: object) -> Path:
    """Write a pipeline with latents of 4 x 8 x 8 and images of 16 x 16."""
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=latent_size,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=2 * parts.WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=2 * parts.WIDTH,
        pos_embed_max_size=latent_size,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    pipe = StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(**{"shift": 3.0, **scheduler}),
        vae=parts.vae(latent_size, scaling_factor=1.5, shift_factor=0.06),
        text_encoder=parts.clip_encoder(projected=True),
        tokenizer=parts.clip_tokenizer(),
        text_encoder_2=parts.clip_encoder(projected=True),
        tokenizer_2=parts.clip_tokenizer(),
        text_encoder_3=parts.t5_encoder() if t5 else None,
        tokenizer_3=parts.t5_tokenizer() if t5 else None,
    )
    pipe.save_pretrained(folder)
    return folder
