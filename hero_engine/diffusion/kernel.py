"""One denoising step as a random choice: mean, deviation and log-probability.

All families share it. A family's process only says what the coefficients of its steps are
(`ddim.py`, `flow.py`), so that the policy gradient never asks which model it trains.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hero_engine.errors import ConfigError

Denoiser = Callable[..., Tensor]
"""(z_t [batch channel height width], timesteps [batch]) -> the guided prediction, same shape.

One that was made for several prompts takes `captions` [batch] as well: the number of each latent's
prompt.
"""


def predicted(
    denoise: Denoiser, z_t: Tensor, timesteps: Tensor, captions: Int[Tensor, " batch"] | None
) -> Tensor:
    """The prediction for latents of one prompt (None), or of several."""
    if captions is None:
        return denoise(z_t, timesteps)
    return denoise(z_t, timesteps, captions)


@dataclass(frozen=True)
class Schedule:
    """The coefficients of each step, in the order in which the steps are taken.

    A step is named by its index here. What the network is told of it is `timesteps[step]`, which
    need not be a whole number.
    """

    timesteps: Tensor
    """[step], of the type that the model's network takes."""
    sqrt_alpha: Float[Tensor, " step"]
    """The share of z_0 in z_t: sqrt(alpha_t), or 1 - sigma for flow matching."""
    sqrt_beta: Float[Tensor, " step"]
    """The share of noise in z_t: sqrt(1 - alpha_t), or sigma for flow matching."""
    sqrt_alpha_prev: Float[Tensor, " step"]
    direction: Float[Tensor, " step"]
    std: Float[Tensor, " step"]
    prediction_type: Literal["epsilon", "v_prediction", "sample", "flow"]
    """`flow` is the velocity epsilon - z_0, which is not the v of `v_prediction`."""
    clip_sample_range: float | None

    def __len__(self) -> int:
        return len(self.timesteps)

    @property
    def trainable(self) -> Int[Tensor, " trainable"]:
        """Indices of the steps that have noise, in order.

        A step of zero deviation (the last one, with some scheduler settings) is taken, but it is no
        random choice of the policy: its log-probability would be infinite.
        """
        return torch.nonzero(self.std > 0).flatten()

    def check_trainable(self, trained_steps: int | Literal["all"]) -> int:
        """The number of steps to train on; `ConfigError` unless that many have noise."""
        if trained_steps == "all":
            return len(self.trainable)
        if len(self.trainable) < trained_steps:
            raise ConfigError(
                f"trained_steps is {trained_steps}, but only {len(self.trainable)} of the "
                f"{len(self)} denoising steps of this model have noise; lower it."
            )
        return trained_steps

    def step_distribution(
        self,
        prediction: Float[Tensor, "batch channel height width"],
        steps: Int[Tensor, " batch"],
        z_t: Float[Tensor, "batch channel height width"],
    ) -> tuple[Float[Tensor, "batch channel height width"], Float[Tensor, "batch 1 1 1"]]:
        """Mean and deviation of p(z_{t-1} | z_t) (DDIM, Eq. 12 and 16), for each row's own step."""

        def at(column: Tensor) -> Tensor:
            return column[steps].to(z_t.device).view(-1, 1, 1, 1)

        sqrt_alpha, sqrt_beta = at(self.sqrt_alpha), at(self.sqrt_beta)
        if self.prediction_type == "epsilon":
            z_0 = (z_t - sqrt_beta * prediction) / sqrt_alpha
            epsilon = prediction
        elif self.prediction_type == "sample":
            z_0 = prediction
            epsilon = (z_t - sqrt_alpha * z_0) / sqrt_beta
        elif self.prediction_type == "flow":
            z_0 = z_t - sqrt_beta * prediction
            epsilon = z_t + sqrt_alpha * prediction
        else:
            z_0 = sqrt_alpha * z_t - sqrt_beta * prediction
            epsilon = sqrt_alpha * prediction + sqrt_beta * z_t
        if self.clip_sample_range is not None:
            z_0 = z_0.clamp(-self.clip_sample_range, self.clip_sample_range)
        mean = at(self.sqrt_alpha_prev) * z_0 + at(self.direction) * epsilon
        return mean, at(self.std)


def log_prob(
    z_prev: Float[Tensor, "batch channel height width"],
    mean: Float[Tensor, "batch channel height width"],
    std: Float[Tensor, "batch 1 1 1"],
) -> Float[Tensor, " batch"]:
    """log N(z_{t-1}; mean, std^2 I), averaged (not summed) over the latent's dimensions.

    The mean is the authors' and DDPO's choice; it is what `clip_range` is stated for.
    """
    squared = ((z_prev - mean) / std).square()
    return (-0.5 * squared - std.log() - 0.5 * math.log(2 * math.pi)).mean(dim=(1, 2, 3))
