"""Flow matching with a likelihood: DDIM's Eq. 12 and 16 (Song et al., 2021) on a straight path.

Flow models noise by z_t = (1 - sigma) z_0 + sigma epsilon and are sampled by an ODE, whose steps
have no likelihood. DDIM's steps only need the shares of signal and noise before and after, so they
fit this path as well, with 1 - sigma in place of sqrt(alpha_t) and sigma in place of
sqrt(1 - alpha_t):

    std  = eta (sigma' / sigma) sqrt(sigma^2 - ((1 - sigma) / (1 - sigma'))^2 sigma'^2)
    mean = (1 - sigma') (z_t - sigma v) + sqrt(sigma'^2 - std^2) (z_t + (1 - sigma) v)

v is the network's velocity, epsilon - z_0. eta = 0 is the Euler step of the ODE; eta = 1 draws
the new noise as ancestral sampling does. Nothing divides by 1 - sigma, so sigma = 1 is a step like
any other. The last step ends at sigma' = 0 and has no noise.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from jaxtyping import Float
from torch import Tensor

from hero_engine.diffusion.forward_process import ALL_LEVELS, Levels, Noised
from hero_engine.diffusion.kernel import Schedule
from hero_engine.errors import ConfigError, UnsupportedModel

_REFUSED = {
    "invert_sigmas": "counts its noise levels the other way round",
    "stochastic_sampling": "draws all noise anew in every step",
}


def flow_schedule(
    scheduler: FlowMatchEulerDiscreteScheduler,
    num_inference_steps: int,
    eta: float,
    mu: float | None = None,
    sigmas: list[float] | None = None,
) -> Schedule:
    """The schedule that `scheduler` follows for that many steps.

    `mu` is what a scheduler with dynamic shifting shifts by (`dynamic_shift`); `sigmas` are the
    noise levels before the shift, where the model's pipeline does not leave them to its scheduler.
    Raises `UnsupportedModel` for options that give other steps than these, and `ConfigError` for a
    number of steps that the scheduler has no noise levels for.
    """
    for option, what in _REFUSED.items():
        if scheduler.config.get(option):
            raise UnsupportedModel(
                f"The model's scheduler {what} ({option}), which is not supported; set {option} to "
                "false in its scheduler_config.json."
            )
    if sigmas is None:
        scheduler.set_timesteps(num_inference_steps, mu=mu)
    else:
        scheduler.set_timesteps(sigmas=sigmas, mu=mu)
    levels = scheduler.sigmas.double().cpu()
    sigma, after = levels[:-1], levels[1:]
    if not (sigma > after).all():
        raise ConfigError(
            f"The model's scheduler has no falling noise levels for {num_inference_steps} steps "
            f"({', '.join(f'{level:.3g}' for level in levels[:4])} ...); choose another "
            "num_inference_steps."
        )
    kept = (1 - sigma) / (1 - after) * after
    std = eta * after / sigma * (sigma**2 - kept**2).clamp(min=0).sqrt()
    direction = (after**2 - std**2).clamp(min=0).sqrt()
    return Schedule(
        timesteps=torch.as_tensor(scheduler.timesteps),
        sqrt_alpha=(1 - sigma).float(),
        sqrt_beta=sigma.float(),
        sqrt_alpha_prev=(1 - after).float(),
        direction=direction.float(),
        std=std.float(),
        prediction_type="flow",
        clip_sample_range=None,
    )


def dynamic_shift(scheduler: FlowMatchEulerDiscreteScheduler, tokens: int) -> float | None:
    """What a scheduler with dynamic shifting shifts by (mu) for latents of that many tokens; None
    for one with a fixed shift."""
    config = scheduler.config
    if not config["use_dynamic_shifting"]:
        return None
    least, most = config["base_image_seq_len"], config["max_image_seq_len"]
    slope = (config["max_shift"] - config["base_shift"]) / (most - least)
    return float(tokens * slope + (config["base_shift"] - slope * least))


_LEAST = 1e-6
"""Share of the normal distribution whose quantile is still finite in float32."""


@dataclass(frozen=True)
class FlowMatching:
    """z_t = (1 - sigma) z_0 + sigma epsilon, with the velocity epsilon - z_0 as the target."""

    scheduler: FlowMatchEulerDiscreteScheduler
    mu: float | None
    density: Literal["logit-normal", "uniform"] = "logit-normal"
    """How sigma is drawn, before the model's shift: logit-normal(0, 1) as in "Scaling Rectified
    Flow Transformers" (Esser et al., 2024), or uniform."""

    def noised(
        self,
        z_0: Float[Tensor, "batch channel height width"],
        generator: torch.Generator,
        levels: Levels = ALL_LEVELS,
    ) -> Noised:
        """z_0 at drawn noise levels."""
        low, high = levels
        if self.density == "uniform":
            sigma = high - (high - low) * torch.rand(len(z_0), generator=generator)
        elif levels == ALL_LEVELS:
            sigma = torch.randn(len(z_0), generator=generator).sigmoid()
        else:
            shares = low + (high - low) * torch.rand(len(z_0), generator=generator)
            sigma = torch.special.ndtri(shares.clamp(_LEAST, 1 - _LEAST)).sigmoid()
        return self._noised(z_0, self.shifted(sigma), generator)

    def noise_only(
        self, z_0: Float[Tensor, "batch channel height width"], generator: torch.Generator
    ) -> Noised:
        """z_0 at sigma = 1, where sampling begins and z_t is the noise."""
        return self._noised(z_0, torch.ones(len(z_0)), generator)

    def shifted(self, sigma: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Noise levels as the model's scheduler shifts them."""
        if self.mu is not None:
            shifted: Any = self.scheduler.time_shift(self.mu, 1.0, sigma)
            return shifted
        shift = self.scheduler.shift
        return shift * sigma / (1 + (shift - 1) * sigma)

    def _noised(
        self,
        z_0: Float[Tensor, "batch channel height width"],
        sigma: Float[Tensor, " batch"],
        generator: torch.Generator,
    ) -> Noised:
        epsilon = torch.randn(z_0.shape, generator=generator)
        level = sigma[:, None, None, None]
        return Noised(
            z_t=(1 - level) * z_0 + level * epsilon,
            timesteps=sigma * self.scheduler.config["num_train_timesteps"],
            target=epsilon - z_0,
            v_weight=torch.ones_like(sigma),
        )
