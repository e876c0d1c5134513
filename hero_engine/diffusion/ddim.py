"""DDIM with eta (Song et al., 2021, Eq. 12 and 16), as diffusers walks it.

The operations and their order are those of diffusers' `DDIMScheduler.step`, so that the clean
latents are bit-equal to what a `StableDiffusionPipeline` makes of the same noises and generators.
"""

import torch
from diffusers import DDIMScheduler

from hero_engine.diffusion.kernel import Schedule
from hero_engine.errors import ConfigError, UnsupportedModel


def ddim_schedule(scheduler: DDIMScheduler, num_inference_steps: int, eta: float) -> Schedule:
    """The schedule that `scheduler` follows for that many steps.

    Raises `UnsupportedModel` for dynamic thresholding and for epsilon prediction from pure noise,
    `ConfigError` for too many steps.
    """
    if scheduler.config["thresholding"]:
        raise UnsupportedModel(
            "The model's scheduler uses dynamic thresholding, whose steps have no closed "
            "log-probability; set thresholding to false in its scheduler_config.json."
        )
    if scheduler.config["prediction_type"] == "epsilon" and scheduler.alphas_cumprod[-1] <= 0:
        raise UnsupportedModel(
            "The model's scheduler ends in pure noise (rescale_betas_zero_snr), of which a network "
            "that predicts the noise (epsilon) says nothing of the image; set prediction_type to "
            "v_prediction in its scheduler_config.json if that is what it was trained on, or else "
            "rescale_betas_zero_snr to false."
        )
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
