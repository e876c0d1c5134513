"""Images from the model as it stands: for any prompt, by any sampler, from given noises."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from hero_engine.config import HeroConfig
from hero_engine.diffusion import sampling
from hero_engine.diffusion.sampling import Schedule
from hero_engine.models.stable_diffusion import Policy
from hero_engine.report import OnProgress, OnStep, reporting
from hero_engine.streams import stream

OnImage = Callable[[int, Image.Image], None]
"""Called with an image's number and the image as soon as it is decoded."""


@dataclass
class Samples:
    """Images drawn from a fine-tuned model, with the latents they came from."""

    images: list[Image.Image]
    latents: Float[Tensor, "batch channel height width"]
    noises: Float[Tensor, "batch channel height width"]


def draw_samples(
    policy: Policy,
    schedule: Schedule,
    config: HeroConfig,
    noises: Float[Tensor, "batch channel height width"],
    *,
    prompt: str,
    scheduler: str | None,
    seed: int,
    on_image: OnImage | None = None,
    on_progress: OnProgress | None = None,
) -> Samples:
    """Denoise and decode `noises`; the options are those of `Method.sample`."""
    draw = _sampler(policy, schedule, config, prompt, scheduler)
    parts = torch.arange(len(noises)).split(config.sample_batch_size)
    steps = len(schedule.timesteps)
    images, latents = [], []
    for part, rows in enumerate(parts):
        z_0 = draw(
            noises[rows].to(policy.device),
            stream(seed, 0, "fresh sampling", part),
            reporting(on_progress, "sampling", len(parts) * steps, part * steps),
        )
        for image in policy.decode(z_0):
            if on_image is not None:
                on_image(len(images), image)
            images.append(image)
        latents.append(z_0.cpu())
    return Samples(images, torch.cat(latents), noises)


def _sampler(
    policy: Policy, schedule: Schedule, config: HeroConfig, prompt: str, scheduler: str | None
) -> Callable[[Tensor, torch.Generator, OnStep | None], Tensor]:
    if scheduler is None:
        denoise = policy.denoiser(prompt, config)

        def draw(noises: Tensor, generator: torch.Generator, on_step: OnStep | None) -> Tensor:
            with policy.autocast():
                return sampling.sample(denoise, schedule, noises, generator, on_step=on_step)[0]
    else:
        pipe = policy.with_scheduler(scheduler)

        def draw(noises: Tensor, generator: torch.Generator, on_step: OnStep | None) -> Tensor:
            with policy.autocast():
                return pipe(
                    prompt,
                    negative_prompt=config.negative_prompt,
                    num_images_per_prompt=len(noises),
                    num_inference_steps=config.num_inference_steps,
                    guidance_scale=config.guidance_scale,
                    latents=noises,
                    generator=generator,
                    output_type="latent",
                ).images

    return draw
