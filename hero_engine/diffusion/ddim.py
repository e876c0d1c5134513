"""DDIM with eta (Song et al., 2021, Eq. 12 and 16), as diffusers walks it.

The operations and their order are those of diffusers' `DDIMScheduler.step`, so that the clean
latents are bit-equal to what a `StableDiffusionPipeline` makes of the same noises and generators.
"""

import torch
from diffusers import DDIMScheduler

from hero_engine.diffusion.ddim_checks import check_ddim
from hero_engine.diffusion.kernel import Schedule
from hero_engine.errors import ConfigError


def ddim_schedule(scheduler: DDIMScheduler, num_inference_steps: int, eta: float) -> Schedule:
    """The schedule that `scheduler` follows for that many steps.

    Raises `UnsupportedModel` for dynamic thresholding and for epsilon prediction from pure noise,
    `ConfigError` for too many steps.
    """
    ends_in_noise = bool(scheduler.alphas_cumprod[-1] <= 0)
    check_ddim(scheduler.config, ends_in_noise=ends_in_noise)
    trained = scheduler.config["num_train_timesteps"]
    if num_inference_steps > trained:
        raise ConfigError(
            f"num_inference_steps is {num_inference_steps}, but the model was trained with "
            f"{trained} timesteps; set it to {trained} or fewer."
        )
    scheduler.set_timesteps(num_inference_steps)
    rows = []
    for timestep in scheduler.timesteps:
        previous = timestep - trained // num_inference_steps
        alpha = scheduler.alphas_cumprod[timestep]
        alpha_prev = (
            scheduler.alphas_cumprod[previous] if previous >= 0 else scheduler.final_alpha_cumprod
        )
        std = eta * scheduler._get_variance(timestep, previous) ** 0.5
        # From pure noise on and with eta 1, all of the next step's noise is new: the rest is zero,
        # and rounding may leave it a little below.
        direction = (1 - alpha_prev - std**2).clamp(min=0) ** 0.5
        rows.append((alpha**0.5, (1 - alpha) ** 0.5, alpha_prev**0.5, direction, std))
    sqrt_alpha, sqrt_beta, sqrt_alpha_prev, direction, std = (
        torch.stack(column) for column in zip(*rows, strict=True)
    )
    config = scheduler.config
    return Schedule(
        timesteps=scheduler.timesteps,
        sqrt_alpha=sqrt_alpha,
        sqrt_beta=sqrt_beta,
        sqrt_alpha_prev=sqrt_alpha_prev,
        direction=direction,
        std=std,
        prediction_type=config["prediction_type"],
        clip_sample_range=config["clip_sample_range"] if config["clip_sample"] else None,
    )
