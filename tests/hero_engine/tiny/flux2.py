"""A FLUX.2 [klein] pipeline with random weights."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from transformers import Qwen3Config, Qwen3ForCausalLM

from tests.hero_engine.tiny import parts
from tests.hero_engine.tiny.z_image import PIECES, chat_tokenizer

LAYERS_READ = 27
"""The last of the language model's layers that the pipeline reads."""


def save_flux2(
    folder: Path, *, latent_size: int = 8, is_distilled: bool = False, **scheduler: object
) -> Path:
    """Write one with latents of 4 x 8 x 8 and images of 16 x 16; a base model unless told."""
    torch.manual_seed(0)
    text_encoder = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(PIECES),
            hidden_size=parts.WIDTH,
            intermediate_size=16,
            num_hidden_layers=LAYERS_READ,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
        )
    )
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=3 * parts.WIDTH,
        timestep_guidance_channels=16,
        guidance_embeds=False,
        axes_dims_rope=(2, 2, 2, 2),
    )
    for modulation in (
        transformer.double_stream_modulation_img,
        transformer.single_stream_modulation,
    ):
        torch.nn.init.normal_(modulation.linear.weight)  # without which its blocks hardly count
    vae = AutoencoderKLFlux2(sample_size=2 * latent_size, **parts.VAE)
    torch.nn.init.normal_(vae.bn.running_mean, std=0.3)
    torch.nn.init.uniform_(vae.bn.running_var, 0.5, 2.0)
    pipe = Flux2KleinPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(
            **{"shift": 3.0, "use_dynamic_shifting": True, **scheduler}
        ),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=chat_tokenizer(),
        is_distilled=is_distilled,
    )
    pipe.save_pretrained(folder)
    return folder
