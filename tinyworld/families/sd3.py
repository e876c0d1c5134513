"""`python -m tinyworld.families.sd3`: a small model in Stable Diffusion 3's format, from the start.

Autoencoder and text encoder are the bundled pipeline's, frozen. The transformer learns the velocity
of the straight path from an image's latent to noise. Resumes where it was stopped; at every
checkpoint `--out` holds the best so far.
"""

import argparse
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import Attention
from diffusers.models.normalization import AdaLayerNormContinuous, AdaLayerNormZero
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import CLIPTokenizer

from tinyworld import diffusion
from tinyworld.bundled import PIPELINE, PIPELINE_SD3
from tinyworld.data import rendered
from tinyworld.diffusion import CAPTION_DROP, new_scheduler
from tinyworld.families.encoders import grown_encoder, silent_t5
from tinyworld.families.material import FOLDER, IMAGES, Texts, bundled_denoiser, latents_of
from tinyworld.fitting import Plan, fit, in_ranks

PLAN = Plan(
    stage="sd3",
    steps=1500,
    batch_size=32,
    learning_rate=1.2e-3,
    checkpoint_every=100,
)
FURTHER = replace(PLAN, stage="sd3-further", steps=2500, learning_rate=8e-4)
"""What follows, from the weights that `PLAN` ended with."""
SHIFT = 3.0
"""Of the scheduler: as Stable Diffusion 3's, it gives the noisy part of the path more steps."""
UNIFORM_SHARE = 0.1
"""Share of training images whose noise level is uniform; the others' is logit-normal."""
TAUGHT_BELOW = 0.85
"""Noise levels at which the bundled denoiser knows the way; it never saw noisier latents."""
ABSENT_TOKENS = 256
"""Length of the third text encoder's output in diffusers, all zeros here."""


def new_transformer() -> SD3Transformer2DModel:
    """An untrained denoiser of 2.3 M parameters for latents up to 32 x 32.

    Every block begins as the identity and the prediction as zero (Peebles and Xie 2023).
    """
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=4,
        attention_head_dim=32,
        num_attention_heads=4,
        joint_attention_dim=192,
        caption_projection_dim=128,
        pooled_projection_dim=192,
        pos_embed_max_size=16,
        qk_norm="rms_norm",
    )
    modulations = [
        module.linear
        for module in transformer.modules()
        if isinstance(module, (AdaLayerNormZero, AdaLayerNormContinuous))
    ]
    for layer in [*modulations, transformer.proj_out]:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return transformer


def trained_transformer(pipeline: Path) -> SD3Transformer2DModel:
    """The denoiser of a pipeline's folder, in float32."""
    return SD3Transformer2DModel.from_pretrained(
        pipeline / "transformer", torch_dtype=torch.float32
    )


class CountingAttention:
    """Joint attention in which the text's last token stands for several alike.

    Tokens without a position that are alike stay alike in every layer, so one of them with its
    attention weighted by their number does the same as all of them.
    """

    def __init__(self) -> None:
        self.bias: Tensor | None = None
        """Added to the attention scores: [batch 1 1 image+text]."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: None = None,
    ) -> tuple[Tensor, Tensor]:
        """As diffusers' `JointAttnProcessor2_0`."""
        sides: list[tuple[Any, ...]] = [
            (hidden_states, attn.to_q, attn.to_k, attn.to_v, attn.norm_q, attn.norm_k),
            (
                encoder_hidden_states,
                attn.add_q_proj,
                attn.add_k_proj,
                attn.add_v_proj,
                attn.norm_added_q,
                attn.norm_added_k,
            ),
        ]
        parts: list[tuple[Tensor, ...]] = []
        for states, to_q, to_k, to_v, norm_q, norm_k in sides:
            query, key, value = (
                layer(states).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
                for layer in (to_q, to_k, to_v)
            )
            parts.append((norm_q(query), norm_k(key), value))
        query, key, value = (torch.cat(pair, dim=2) for pair in zip(*parts, strict=True))
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=self.bias)
        mixed = mixed.transpose(1, 2).flatten(2)
        image, text = mixed.split([hidden_states.shape[1], encoder_hidden_states.shape[1]], dim=1)
        if not attn.context_pre_only:
            text = attn.to_add_out(text)
        return attn.to_out[0](image), text


class FlowLoss(nn.Module):
    """Squared error of the predicted velocity (Esser et al. 2024).

    Where the bundled denoiser knows the way, its prediction is the target: the mean of the
    velocities that lead through this point, with far less noise than one of them.
    """

    def __init__(
        self,
        latents: Float[Tensor, "count 4 16 16"],
        texts: Texts,
        transformer: SD3Transformer2DModel,
        teacher: UNet2DConditionModel,
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.latents, self.texts = latents, texts
        self.teacher = [teacher]  # in a list: not a part of what is trained
        alphas = new_scheduler().alphas_cumprod.double()
        self.levels = ((1 - alphas).sqrt() / (alphas.sqrt() + (1 - alphas).sqrt())).numpy()
        self.attention = CountingAttention()
        transformer.set_attn_processor(self.attention)  # type: ignore[arg-type]  # their own alone

    def forward(self, indices: Int[Tensor, " batch"], generator: torch.Generator) -> Tensor:
        """The mean loss of the images at `indices`."""
        clean = self.latents[indices].float()
        noise = torch.randn(clean.shape, generator=generator)
        level = noise_levels(len(indices), generator)
        sigma = level[:, None, None, None]
        noisy = (1 - sigma) * clean + sigma * noise
        dropped = torch.rand(len(indices), generator=generator) < CAPTION_DROP
        rows = torch.where(dropped, 0, self.texts.rows[indices])
        absent = torch.rand(len(indices), generator=generator) < 0.5
        self.attention.bias = self.zeros_counted(absent)
        hidden = torch.cat([self.texts.hidden[rows]] * 2, dim=-1)
        predicted = self.transformer(
            hidden_states=noisy,
            encoder_hidden_states=torch.cat([hidden, torch.zeros_like(hidden[:, :1])], dim=1),
            pooled_projections=torch.cat([self.texts.pooled[rows]] * 2, dim=-1),
            timestep=1000 * level,
        ).sample
        target = noise - clean
        known = level < TAUGHT_BELOW
        target[known] = self.taught(noisy[known], level[known], self.texts.hidden[rows[known]])
        return (predicted - target).square().mean()

    def zeros_counted(self, absent: Tensor) -> Float[Tensor, "batch 1 1 tokens"]:
        """Half the images see the third encoder's zeros, half do not, as where it is left out."""
        tokens = 64 + self.texts.hidden.shape[1] + 1
        bias = torch.zeros(len(absent), 1, 1, tokens)
        bias[..., -1] = torch.where(absent, -torch.inf, float(np.log(ABSENT_TOKENS)))[:, None, None]
        return bias

    @torch.no_grad()
    def taught(
        self, noisy: Float[Tensor, "batch 4 16 16"], level: Tensor, hidden: Tensor
    ) -> Float[Tensor, "batch 4 16 16"]:
        """The bundled denoiser's velocity: its latents are these, scaled to unit variance."""
        timesteps = torch.from_numpy(np.interp(level.numpy(), self.levels, np.arange(1000))).float()
        sigma = level[:, None, None, None]
        size = ((1 - sigma).square() + sigma.square()).sqrt()
        epsilon = self.teacher[0](noisy / size, timesteps, hidden).sample
        return (epsilon - noisy) / (1 - sigma)


def noise_levels(count: int, generator: torch.Generator) -> Float[Tensor, " count"]:
    """Logit-normal, a little to the noisy side where layout and colours are decided."""
    normal = torch.sigmoid(0.4 + 1.1 * torch.randn(count, generator=generator))
    uniform = torch.rand(count, generator=generator)
    chosen = torch.rand(count, generator=generator) < UNIFORM_SHARE
    return torch.where(chosen, uniform, normal)


def train(rank: int, folder: Path, seed: int, plan: Plan, out: Path, start: Path | None) -> None:
    """Trains the transformer, from the start or from a pipeline's; writes the whole pipeline to
    `out` at every checkpoint."""
    torch.manual_seed(seed)
    data = rendered(folder, IMAGES, seed)
    latents, texts = latents_of(folder, data), Texts(data.captions())
    transformer = new_transformer() if start is None else trained_transformer(start)
    loss = FlowLoss(latents, texts, transformer, bundled_denoiser())
    fit(rank, plan, loss, folder, seed, len(latents), _keep(out))


def _keep(out: Path) -> Callable[[FlowLoss, int], None]:
    def keep(ema: FlowLoss, step: int) -> None:
        diffusion.write(pipeline_of(deepcopy(ema.transformer)), out)

    return keep


def pipeline_of(transformer: SD3Transformer2DModel) -> StableDiffusion3Pipeline:
    """The transformer with the bundled parts around it; the third text encoder says nothing."""
    tokenizer = CLIPTokenizer.from_pretrained(PIPELINE / "tokenizer")
    vae = AutoencoderKL.from_pretrained(PIPELINE / "vae")
    vae.register_to_config(shift_factor=0.0)
    silent, tokenizer_3 = silent_t5(transformer.config["joint_attention_dim"])
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        vae=vae,
        text_encoder=grown_encoder(PIPELINE),
        tokenizer=tokenizer,
        text_encoder_2=grown_encoder(PIPELINE),
        tokenizer_2=tokenizer,
        text_encoder_3=silent,
        tokenizer_3=tokenizer_3,
    )
    # transformers 5 calls it T5Tokenizer, which in version 4 is one that reads other files.
    pipeline.register_to_config(tokenizer_3=("transformers", "T5TokenizerFast"))
    return pipeline


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tinyworld.families.sd3", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="renders and checkpoints")
    parser.add_argument("--out", type=Path, default=PIPELINE_SD3, help="the pipeline to write")
    parser.add_argument(
        "--start", type=Path, help="a pipeline whose transformer is trained further"
    )
    parser.add_argument("--steps", type=int, help="training steps in all")
    said = parser.parse_args()
    plan = PLAN if said.start is None else FURTHER
    plan = replace(plan, steps=said.steps or plan.steps)
    in_ranks(train, said.folder, said.seed, plan, said.out, said.start, ranks=1)


if __name__ == "__main__":
    main()
