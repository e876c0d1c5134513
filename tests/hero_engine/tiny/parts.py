"""Text encoders, tokenizers and VAEs with random weights, smaller than anything that learned."""

import string

from diffusers import AutoencoderKL
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

LETTERS = string.ascii_lowercase + string.digits
CLIP_TOKENS = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{c}</w>" for c in LETTERS)]
T5_PIECES = ["<pad>", "</s>", "<unk>", "▁", *LETTERS]
WIDTH = 16


def clip_tokenizer() -> CLIPTokenizer:
    """A token a letter, twelve of them with the two at the ends."""
    vocab = {token: number for number, token in enumerate(CLIP_TOKENS)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=12)


def clip_encoder(
    *, projected: bool = False, width: int = WIDTH
) -> CLIPTextModel | CLIPTextModelWithProjection:
    config = CLIPTextConfig(
        vocab_size=len(CLIP_TOKENS),
        hidden_size=width,
        projection_dim=width,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=12,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return CLIPTextModelWithProjection(config) if projected else CLIPTextModel(config)


def t5_tokenizer() -> T5TokenizerFast:
    """A token a letter."""
    return T5TokenizerFast(vocab=[(piece, -1.0) for piece in T5_PIECES], extra_ids=0)


def t5_encoder() -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=len(T5_PIECES), d_model=2 * WIDTH, d_kv=4, d_ff=16, num_layers=1, num_heads=2
        )
    )


VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "block_out_channels": (8, 8),
    "latent_channels": 4,
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "mid_block_add_attention": False,
}
"""Latents of 4 channels, images twice as large."""


def vae(latent_size: int, **config: object) -> AutoencoderKL:
    return AutoencoderKL(sample_size=2 * latent_size, **VAE, **config)
