"""What the pretrained model draws by itself, and shall not forget: DreamBooth's prior."""

import torch
from jaxtyping import Float
from torch import Tensor

from hero_engine.config import HeroConfig
from hero_engine.diffusion import sampling
from hero_engine.diffusion.sampling import Schedule
from hero_engine.models.stable_diffusion import Policy
from hero_engine.report import OnProgress, reporting
from hero_engine.streams import stream


def prior_prompt(config: HeroConfig) -> str:
    """What it is drawn for."""
    return config.class_prompt or config.prompt


def draw_prior(
    policy: Policy, schedule: Schedule, config: HeroConfig, on_progress: OnProgress | None = None
) -> Float[Tensor, "prior channel height width"]:
    """`prior_images` clean latents of the pretrained model; the same in every epoch."""
    denoise = policy.denoiser(prior_prompt(config), config)
    noises = torch.randn(
        config.prior_images, *policy.latent_shape, generator=stream(config.seed, 0, "prior noise")
    )
    parts = noises.split(config.sample_batch_size)
    steps = len(schedule.timesteps)
    latents = []
    with policy.pretrained(), policy.autocast():
        for part, rows in enumerate(parts):
            z_0, _ = sampling.sample(
                denoise,
                schedule,
                rows.to(policy.device),
                stream(config.seed, 0, "prior sampling", part),
                on_step=reporting(on_progress, "prior", len(parts) * steps, part * steps),
            )
            latents.append(z_0.cpu())
    return torch.cat(latents)
