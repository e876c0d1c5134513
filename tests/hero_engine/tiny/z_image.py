"""A Z-Image pipeline with random weights."""

from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

from tests.hero_engine.tiny import parts

PIECES = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "Ġ", *parts.LETTERS]
"""What the language model's tokenizer knows."""
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)


def tokenizer() -> Qwen2Tokenizer:
    """A token a letter."""
    return Qwen2Tokenizer(vocab={piece: i for i, piece in enumerate(PIECES)}, merges=[])


def chat_tokenizer() -> Qwen2Tokenizer:
    """The same, for a pipeline that asks in a conversation."""
    made = tokenizer()
    made.chat_template = CHAT
    return made


def save_z_image(folder: Path, *, latent_size: int = 8, **scheduler: object) -> Path:
    """Write a pipeline with latents of 4 x 8 x 8 and images of 16 x 16."""
    torch.manual_seed(0)
    text_encoder = Qwen3Model(
        Qwen3Config(
            vocab_size=len(PIECES),
            hidden_size=parts.WIDTH,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
        )
    )
    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=16,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=parts.WIDTH,
        axes_dims=[2, 2, 4],
        axes_lens=[128, 16, 16],
    )
    torch.nn.init.normal_(transformer.x_pad_token)
    torch.nn.init.normal_(transformer.cap_pad_token)
    pipe = ZImagePipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(**{"shift": 3.0, **scheduler}),
        vae=parts.vae(latent_size, scaling_factor=1.5, shift_factor=0.06),
        text_encoder=text_encoder,
        tokenizer=chat_tokenizer(),
    )
    pipe.save_pretrained(folder)
    return folder
