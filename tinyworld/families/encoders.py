"""The bundled text encoder as SDXL and SD3 read theirs, and a T5 that says nothing.

Both take the hidden state of the last layer but one, without the final norm. The bundled denoiser
learned on the normed one. So two layers are added: the first makes the norm, the second nothing.
"""

from pathlib import Path

import torch
from torch import nn
from transformers import (  # type: ignore[attr-defined]  # the checker misses T5TokenizerFast
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from tinyworld.text import MAX_LENGTH

SHRINKAGE = 1 / 2048
"""The residual stream is made this much smaller, so that the added norm outweighs it; every layer
begins with a norm, which does not see the difference."""


@torch.no_grad()
def grown_encoder(trained: Path) -> CLIPTextModelWithProjection:
    """The text encoder of a pipeline's folder; `hidden_states[-2]` is about what its last hidden
    state was, and the pooled output is that of the last word's end, normed once more."""
    before = CLIPTextModel.from_pretrained(trained / "text_encoder", torch_dtype=torch.float32)
    settings = before.config.to_dict()
    settings["num_hidden_layers"] += 2
    settings["layer_norm_eps"] *= SHRINKAGE**2
    settings["projection_dim"] = width = before.config.hidden_size
    grown = CLIPTextModelWithProjection(CLIPTextConfig(**settings)).requires_grad_(False)
    text_model = grown.text_model
    text_model.load_state_dict(before.state_dict(), strict=False)
    nn.init.eye_(grown.text_projection.weight)
    text_model.embeddings.token_embedding.weight.mul_(SHRINKAGE)
    text_model.embeddings.position_embedding.weight.mul_(SHRINKAGE)
    *kept, norming, idle = text_model.encoder.layers
    for layer in kept:
        for last in (layer.self_attn.out_proj, layer.mlp.fc2):
            last.weight.mul_(SHRINKAGE)
            last.bias.mul_(SHRINKAGE)
    for layer in (norming, idle):
        for name, weight in layer.named_parameters():
            nn.init.constant_(weight, 1.0 if name.endswith("norm1.weight") else 0.0)
    norming.layer_norm2.load_state_dict(before.final_layer_norm.state_dict())
    nn.init.ones_(idle.layer_norm2.weight)
    nn.init.ones_(text_model.final_layer_norm.weight)
    nn.init.zeros_(text_model.final_layer_norm.bias)
    # x s(ax) - (-x) s(-ax) = x: quick GELU of both signs passes the norm on unchanged.
    both_signs = torch.cat([torch.eye(width), -torch.eye(width)])
    norming.mlp.fc1.weight[: 2 * width] = both_signs
    norming.mlp.fc2.weight[:, : 2 * width] = both_signs.T
    return grown.eval()


@torch.no_grad()
def silent_t5(width: int) -> tuple[T5EncoderModel, T5TokenizerFast]:
    """A third encoder whose output is zeros, as diffusers takes it where there is none: without one
    it loads an SD3 pipeline only if it is told so. Every word is one token, unknown to its
    tokenizer, which reads no more of them than the other encoders."""
    pieces = ["<pad>", "</s>", "<unk>"]
    config = T5Config(
        vocab_size=len(pieces), d_model=width, d_kv=1, d_ff=1, num_layers=1, num_heads=1
    )
    encoder = T5EncoderModel(config)
    for weight in encoder.parameters():
        nn.init.zeros_(weight)
    vocabulary = [(piece, -1.0) for piece in pieces]
    tokenizer = T5TokenizerFast(vocab=vocabulary, extra_ids=0, model_max_length=MAX_LENGTH)
    return encoder.eval(), tokenizer
