"""The latent diffusion model: its parts, its training on the world's latents and captions."""

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from tinyworld.data import Rendered, rendered
from tinyworld.fitting import Plan, fit
from tinyworld.text import grown_text_encoder, new_text_encoder, new_tokenizer, padded_tokens

PLAN = Plan(
    stage="diffusion",
    steps=9000,
    batch_size=64,
    learning_rate=1e-3,
    ema_decay=0.998,
    steps_after_growth=10250,
)
CAPTION_DROP = 0.12
"""Share of captions replaced by the empty one, for classifier-free guidance."""
MIN_SNR_GAMMA = 5.0


def new_unet() -> UNet2DConditionModel:
    """An untrained denoiser of 2.8 M parameters; `attention_head_dim` is the number of heads."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(32, 64, 96),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=4,
        cross_attention_dim=96,
        norm_num_groups=8,
    )


def new_scheduler() -> DDIMScheduler:
    """Ends at a signal-to-noise ratio above zero, so that z_T stays informative; with
    `set_alpha_to_one` False the last step's deviation is above zero too."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.008,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
    )


class DenoisingLoss(nn.Module):
    """Squared error of the predicted noise, weighted by min-SNR (Hang et al. 2023, Eq. 5)."""

    def __init__(
        self,
        latents: Float[Tensor, "count 4 16 16"],
        tokens: Int[Tensor, "count length"],
        empty: Int[Tensor, " length"],
        text_encoder: CLIPTextModel,
        unet: UNet2DConditionModel,
    ) -> None:
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder
        self.latents, self.tokens, self.empty = latents, tokens, empty
        self.alphas_cumprod = new_scheduler().alphas_cumprod

    def forward(self, indices: Int[Tensor, " batch"], generator: torch.Generator) -> Tensor:
        """The mean loss of the images at `indices`."""
        clean = self.latents[indices].float()
        noise = torch.randn(clean.shape, generator=generator)
        timesteps = torch.randint(1000, (len(indices),), generator=generator)
        signal = self.alphas_cumprod[timesteps][:, None, None, None]
        noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
        dropped = torch.rand(len(indices), generator=generator) < CAPTION_DROP
        tokens = torch.where(dropped[:, None], self.empty, self.tokens[indices])
        predicted = self.unet(noisy, timesteps, self.text_encoder(tokens)[0]).sample
        ratio = (signal / (1 - signal)).flatten()
        weight = ratio.clamp(max=MIN_SNR_GAMMA) / ratio
        return (weight * (predicted - noise).square().mean((1, 2, 3))).mean()


@torch.no_grad()
def encode(autoencoder: AutoencoderKL, data: Rendered) -> Float[Tensor, "count 4 16 16"]:
    """Every image's latent (the posterior's mean), in half precision."""
    indices = torch.arange(len(data.images)).split(100)
    means = [autoencoder.encode(data.batch(part)).latent_dist.mean.half() for part in indices]
    return torch.cat(means)


def train(
    rank: int, folder: Path, count: int, seed: int, pipeline: Path, grown_from: Path | None
) -> None:
    """Trains text encoder and denoiser, new ones or those of a pipeline; rank 0 writes the whole
    model to `pipeline` at every checkpoint."""
    torch.manual_seed(seed)
    data = rendered(folder, count, seed)
    tokenizer = new_tokenizer()
    tokens = padded_tokens(tokenizer, data.captions())
    empty = padded_tokens(tokenizer, [""])[0]
    latents = torch.load(folder / "latents.pt", weights_only=True)
    if grown_from is None:
        plan, unet, text_encoder = PLAN, new_unet(), new_text_encoder(tokenizer)
    else:
        plan = PLAN.after_growth()
        unet = UNet2DConditionModel.from_pretrained(grown_from / "unet", torch_dtype=torch.float32)
        text_encoder = grown_text_encoder(tokenizer, grown_from)
    loss = DenoisingLoss(latents, tokens, empty, text_encoder, unet)
    keep = _keep(folder, pipeline) if rank == 0 else None
    fit(rank, plan, loss, folder, seed, len(latents), keep)


def _keep(folder: Path, pipeline: Path) -> Callable[[DenoisingLoss, int], None]:
    def keep(ema: DenoisingLoss, step: int) -> None:
        none_of_these: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
        trained = StableDiffusionPipeline(
            vae=AutoencoderKL.from_pretrained(folder / "vae"),
            text_encoder=deepcopy(ema.text_encoder),
            tokenizer=new_tokenizer(),
            unet=deepcopy(ema.unet),
            scheduler=new_scheduler(),  # type: ignore[arg-type]  # diffusers' hint is an enum
            requires_safety_checker=False,
            **none_of_these,
        )
        write(trained, pipeline)

    return keep


def write(trained: DiffusionPipeline, pipeline: Path) -> None:
    """Saves in half precision; whoever loads `pipeline` meanwhile sees the old or the new one."""
    fresh, old = pipeline.with_suffix(".new"), pipeline.with_suffix(".old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    trained.to(torch.float16).save_pretrained(fresh)
    for name, part in trained.components.items():
        if isinstance(part, CLIPTokenizer):
            part.backend_tokenizer.model.save(str(fresh / name))
    for config in fresh.glob("*/config.json"):
        settings = json.loads(config.read_text())
        settings.pop("_name_or_path", None)  # where on this machine a part was loaded from
        if "dtype" in settings:  # of text encoders: without a word they load as the others do
            settings["dtype"] = "float32"
        config.write_text(json.dumps(settings, indent=2) + "\n")
    if pipeline.exists():
        pipeline.rename(old)
    fresh.rename(pipeline)
    shutil.rmtree(old, ignore_errors=True)
