"""A Qwen-Image pipeline with random weights."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from tests.hero_engine.tiny import parts
from tests.hero_engine.tiny.z_image import PIECES, tokenizer

SCHEDULER = {"use_dynamic_shifting": True, "shift_terminal": 0.02}
"""As Qwen-Image's."""


def save_qwen_image(folder: Path) -> Path:
    """Write a pipeline with latents of 4 channels and images twice as large as they."""
    torch.manual_seed(0)
    text = {
        "vocab_size": len(PIECES),
        "hidden_size": parts.WIDTH,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_scaling": {"type": "default", "mrope_section": [2, 1, 1]},
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    sees = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2}
    encoder = Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(text_config=text, vision_config={**sees, "out_hidden_size": parts.WIDTH})
    )
    transformer = QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=parts.WIDTH,
        axes_dims_rope=(2, 2, 4),
    )
    vae = AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 1],
        num_res_blocks=1,
        temperal_downsample=[False],
        latents_mean=[0.1, -0.1, 0.2, 0.0],
        latents_std=[1.5, 2.0, 1.0, 0.5],
    )
    pipe = QwenImagePipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULER),
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer(),
    )
    pipe.save_pretrained(folder)
    return folder
