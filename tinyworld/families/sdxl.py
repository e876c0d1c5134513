"""`python -m tinyworld.families.sdxl`: the bundled model in Stable Diffusion XL's format.

The denoiser is grown by what SDXL's has more: a second text encoder in its cross-attention, and an
embedding of the pooled text and of sizes and crops. It begins as the bundled denoiser, and then
learns to do the same from either text encoder, and without a prompt from SDXL's zeros.
"""

import argparse
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tinyworld import diffusion
from tinyworld.bundled import PIPELINE, PIPELINE_SDXL
from tinyworld.data import rendered
from tinyworld.diffusion import CAPTION_DROP, MIN_SNR_GAMMA, new_scheduler
from tinyworld.families.encoders import grown_encoder
from tinyworld.families.material import FOLDER, IMAGES, Texts, bundled_denoiser, latents_of
from tinyworld.fitting import Plan, fit, in_ranks

PLAN = Plan(
    stage="sdxl",
    steps=300,
    batch_size=32,
    learning_rate=1e-3,
    warmup=30,
    checkpoint_every=50,
    ema_decay=0.99,
)
TEXT_WIDTH = 96
TIME_WIDTH = 32
ENCODER_DROP = 0.15
"""Share of images that hear of their caption from one of the two text encoders only, for each."""
SIZE = 64


@torch.no_grad()
def grown_unet(before: UNet2DConditionModel) -> UNet2DConditionModel:
    """The same denoiser in SDXL's shape: it does not yet look at what is new."""
    new = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": TIME_WIDTH,
        "projection_class_embeddings_input_dim": TEXT_WIDTH + 6 * TIME_WIDTH,
        "cross_attention_dim": 2 * TEXT_WIDTH,
    }
    grown = UNet2DConditionModel.from_config({**before.config, **new})
    weights = before.state_dict()
    for name, fresh in grown.state_dict().items():
        if name in weights and fresh.shape != weights[name].shape:
            weights[name] = nn.functional.pad(weights[name], (0, TEXT_WIDTH))
    grown.load_state_dict(weights, strict=False)
    for silent in (grown.add_embedding.linear_2.weight, grown.add_embedding.linear_2.bias):
        silent.zero_()
    return grown.requires_grad_(False)


class MatchingLoss(nn.Module):
    """Squared distance to the bundled denoiser's prediction, weighted by min-SNR."""

    def __init__(
        self,
        latents: Float[Tensor, "count 4 16 16"],
        texts: Texts,
        unet: UNet2DConditionModel,
        teacher: UNet2DConditionModel,
    ) -> None:
        super().__init__()
        self.unet, self.latents, self.texts = unet, latents, texts
        self.teacher = [teacher]  # in a list: not a part of what is trained
        self.alphas_cumprod = new_scheduler().alphas_cumprod
        for name, weight in unet.named_parameters():
            weight.requires_grad_("attn2" in name or "add_embedding" in name)

    def forward(self, indices: Int[Tensor, " batch"], generator: torch.Generator) -> Tensor:
        """The mean loss of the images at `indices`."""
        count = len(indices)
        clean = self.latents[indices].float()
        noise = torch.randn(clean.shape, generator=generator)
        timesteps = torch.randint(1000, (count,), generator=generator)
        signal = self.alphas_cumprod[timesteps][:, None, None, None]
        noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
        unprompted, zeros, without = torch.rand(3, count, generator=generator)
        rows = torch.where(unprompted < CAPTION_DROP, 0, self.texts.rows[indices])
        hidden, pooled = self.texts.hidden[rows], self.texts.pooled[rows]
        with torch.no_grad():
            target = self.teacher[0](noisy, timesteps, hidden).sample
        # No prompt is, half the time, the empty one, and else SDXL's zeros for everything.
        silent = (rows == 0) & (zeros < 0.5)
        first = torch.where(silent | (without < ENCODER_DROP), 0.0, 1.0)
        second = torch.where(silent | (without > 1 - ENCODER_DROP), 0.0, 1.0)
        heard = torch.cat([first[:, None, None] * hidden, second[:, None, None] * hidden], dim=-1)
        added = {"text_embeds": second[:, None] * pooled, "time_ids": sizes(count, generator)}
        predicted = self.unet(noisy, timesteps, heard, added_cond_kwargs=added).sample
        ratio = (signal / (1 - signal)).flatten()
        weight = ratio.clamp(max=MIN_SNR_GAMMA) / ratio
        return (weight * (predicted - target).square().mean((1, 2, 3))).mean()


def sizes(count: int, generator: torch.Generator) -> Float[Tensor, "count 6"]:
    """Original size, crop and target size as SDXL is told them. The world has one size; the model
    learns that others change nothing, so that a stranger's do no harm."""
    own = torch.tensor([SIZE, SIZE, 0, 0, SIZE, SIZE]).float().expand(count, 6)
    others = torch.randint(1, 33, (count, 6), generator=generator) * torch.tensor(
        [8, 8, 1, 1, 8, 8]
    )
    return torch.where(torch.rand(count, 1, generator=generator) < 0.5, own, others.float())


def train(rank: int, folder: Path, seed: int, plan: Plan, out: Path) -> None:
    """Trains what is new, and the cross-attention; writes the whole pipeline to `out` at every
    checkpoint."""
    torch.manual_seed(seed)
    data = rendered(folder, IMAGES, seed)
    latents, texts = latents_of(folder, data), Texts(data.captions())
    teacher = bundled_denoiser()
    loss = MatchingLoss(latents, texts, grown_unet(teacher), teacher)
    fit(rank, plan, loss, folder, seed, len(latents), _keep(out))


def _keep(out: Path) -> Callable[[MatchingLoss, int], None]:
    def keep(ema: MatchingLoss, step: int) -> None:
        diffusion.write(pipeline_of(deepcopy(ema.unet)), out)

    return keep


def pipeline_of(unet: UNet2DConditionModel) -> StableDiffusionXLPipeline:
    """The denoiser with the bundled parts around it."""
    tokenizer = CLIPTokenizer.from_pretrained(PIPELINE / "tokenizer")
    second = grown_encoder(PIPELINE)
    first = CLIPTextModel(CLIPTextConfig(**second.config.to_dict()))
    first.load_state_dict(second.text_model.state_dict())
    return StableDiffusionXLPipeline(
        vae=AutoencoderKL.from_pretrained(PIPELINE / "vae"),
        text_encoder=first,
        tokenizer=tokenizer,
        text_encoder_2=second,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=new_scheduler(),  # type: ignore[arg-type]  # diffusers' hint is an enum
        add_watermarker=False,
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tinyworld.families.sdxl", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="renders and checkpoints")
    parser.add_argument("--out", type=Path, default=PIPELINE_SDXL, help="the pipeline to write")
    parser.add_argument("--steps", type=int, default=PLAN.steps, help="training steps in all")
    said = parser.parse_args()
    plan = replace(PLAN, steps=said.steps)
    in_ranks(train, said.folder, said.seed, plan, said.out, ranks=1)


if __name__ == "__main__":
    main()
