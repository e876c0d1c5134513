"""DDIM sampling with eta, and the log-probabilities of its steps (paper, Sec. 3; DDIM, Eq. 12, 16).

The operations and their order are those of diffusers' `DDIMScheduler.step`, so that the clean
latents are bit-equal to what `StableDiffusionPipeline` makes of the same noises and generator.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from diffusers import DDIMScheduler
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float, Int
from torch import Tensor

from hero_engine.errors import ConfigError, UnsupportedModel

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(z_t [batch channel height width], timesteps [batch]) -> the guided prediction, same shape."""


@dataclass(frozen=True)
class Schedule:
    """The coefficients of each DDIM step, in the order in which the steps are taken."""

    timesteps: Int[Tensor, " step"]
    sqrt_alpha: Float[Tensor, " step"]
    sqrt_beta: Float[Tensor, " step"]
    sqrt_alpha_prev: Float[Tensor, " step"]
    direction: Float[Tensor, " step"]
    std: Float[Tensor, " step"]
    prediction_type: Literal["epsilon", "v_prediction", "sample"]
    clip_sample_range: float | None

    @classmethod
    def of(cls, scheduler: DDIMScheduler, num_inference_steps: int, eta: float) -> "Schedule":
        """The schedule that `scheduler` follows for that many steps.

        Raises `UnsupportedModel` for dynamic thresholding, `ConfigError` for too many steps.
        """
        if scheduler.config.thresholding:
            raise UnsupportedModel(
                "The model's scheduler uses dynamic thresholding, whose steps have no closed "
                "log-probability; set thresholding to false in its scheduler_config.json."
            )
        trained = scheduler.config.num_train_timesteps
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
                scheduler.alphas_cumprod[previous]
                if previous >= 0
                else scheduler.final_alpha_cumprod
            )
            std = eta * scheduler._get_variance(timestep, previous) ** 0.5
            direction = (1 - alpha_prev - std**2) ** 0.5
            rows.append((alpha**0.5, (1 - alpha) ** 0.5, alpha_prev**0.5, direction, std))
        columns = [torch.stack(column) for column in zip(*rows, strict=True)]
        config = scheduler.config
        return cls(
            scheduler.timesteps,
            *columns,
            prediction_type=config.prediction_type,
            clip_sample_range=config.clip_sample_range if config.clip_sample else None,
        )

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
                f"{len(self.timesteps)} denoising steps of this model have noise; lower it."
            )
        return trained_steps

    def steps_of(self, timesteps: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Indices of the steps that begin at these timesteps."""
        return (self.timesteps[None, :] == timesteps.cpu()[:, None]).int().argmax(dim=1)

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

    The mean is the authors' and DDPO's choice; it is what `HeroConfig.clip_range` is stated for.
    """
    squared = ((z_prev - mean) / std).square()
    return (-0.5 * squared - std.log() - 0.5 * math.log(2 * math.pi)).mean(dim=(1, 2, 3))


@dataclass
class Transitions:
    """The K trained steps of each image: all that the update needs of a trajectory."""

    timesteps: Int[Tensor, "batch trained"]
    z_t: Float[Tensor, "batch trained channel height width"]
    z_prev: Float[Tensor, "batch trained channel height width"]
    log_prob: Float[Tensor, "batch trained"]

    def __len__(self) -> int:
        return len(self.timesteps)

    def __getitem__(self, rows: Any) -> "Transitions":
        return Transitions(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: list["Transitions"]) -> "Transitions":
        """Transitions of several batches as those of one."""
        names = [field.name for field in fields(cls)]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def draw_trained_steps(
    schedule: Schedule,
    n: int,
    trained_steps: int,
    choice: Literal["random", "last"],
    generator: torch.Generator,
) -> Int[Tensor, "n trained"]:
    """Which K steps of each of n trajectories will be trained on, decided before they are taken.

    `random` draws them without replacement for each image; `last` takes those before z_0 (Eq. 8,
    whose t = 0 has no transition, so that K remain).
    """
    schedule.check_trainable(trained_steps)
    trainable = schedule.trainable
    if choice == "last":
        return trainable[-trained_steps:].expand(n, trained_steps)
    order = torch.rand(n, len(trainable), generator=generator).argsort(dim=1)
    return trainable[order[:, :trained_steps].sort(dim=1).values]


@torch.no_grad()
def sample(
    denoise: Denoiser,
    schedule: Schedule,
    noises: Float[Tensor, "batch channel height width"],
    generator: torch.Generator,
    trained_steps: Int[Tensor, "batch trained"] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> tuple[Float[Tensor, "batch channel height width"], Transitions | None]:
    """Denoise z_T to z_0 with DDIM; z_0, and the transitions of the steps named in `trained_steps`.

    z_0 is what the final step gives, not what it is given. Memory does not depend on the number of
    steps. `generator` draws one noise of the batch's shape a step, as diffusers does.
    """
    z_t = noises
    transitions = _empty_transitions(trained_steps, noises) if trained_steps is not None else None
    for step, timestep in enumerate(schedule.timesteps):
        timesteps = timestep.to(z_t.device).expand(len(z_t))
        prediction = denoise(z_t, timesteps).to(z_t.dtype)
        mean, std = schedule.step_distribution(prediction, torch.full((len(z_t),), step), z_t)
        z_prev = mean + std * randn_tensor(
            mean.shape, generator=generator, device=mean.device, dtype=mean.dtype
        )
        if transitions is not None and trained_steps is not None:
            rows, slots = torch.nonzero(trained_steps == step, as_tuple=True)
            transitions.timesteps[rows, slots] = timestep
            transitions.z_t[rows, slots] = z_t[rows].cpu()
            transitions.z_prev[rows, slots] = z_prev[rows].cpu()
            transitions.log_prob[rows, slots] = log_prob(z_prev[rows], mean[rows], std[rows]).cpu()
        z_t = z_prev
        if on_step is not None:
            on_step(step + 1)
    return z_t, transitions


def _empty_transitions(
    trained_steps: Int[Tensor, "batch trained"],
    noises: Float[Tensor, "batch channel height width"],
) -> Transitions:
    shape = tuple(trained_steps.shape)
    latents = (*shape, *noises.shape[1:])
    return Transitions(
        torch.zeros(shape, dtype=torch.long),
        torch.zeros(latents),
        torch.zeros(latents),
        torch.zeros(shape),
    )
