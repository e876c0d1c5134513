"""A Stable Diffusion XL pipeline with random weights."""

from pathlib import Path

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

from tests.hero_engine.tiny import parts

BASE_1_0 = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


def save_sdxl(
    folder: Path,
    *,
    latent_size: int = 8,
    zeros_for_empty: bool = True,
    second_width: int = parts.WIDTH,
    **scheduler: object,
) -> Path:
    """Write a pipeline with latents of 4 x 8 x 8 and images of 16 x 16."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=latent_size,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=(2, 2),
        cross_attention_dim=parts.WIDTH + second_width,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + second_width,
        transformer_layers_per_block=(1, 2),
    )
    pipe = StableDiffusionXLPipeline(
        vae=parts.vae(latent_size, scaling_factor=0.13025, force_upcast=True),
        text_encoder=parts.clip_encoder(),
        text_encoder_2=parts.clip_encoder(projected=True, width=second_width),
        tokenizer=parts.clip_tokenizer(),
        tokenizer_2=parts.clip_tokenizer(),
        unet=unet,
        scheduler=EulerDiscreteScheduler(**{**BASE_1_0, **scheduler}),
        force_zeros_for_empty_prompt=zeros_for_empty,
        add_watermarker=False,
    )
    pipe.save_pretrained(folder)
    return folder
