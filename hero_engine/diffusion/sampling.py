"""From noise to clean latents by the steps of a schedule, keeping what the update needs of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float, Int
from torch import Tensor

from hero_engine.diffusion.kernel import Denoiser, Schedule, log_prob
from hero_engine.diffusion.rows import Rows


@dataclass
class Transitions(Rows):
    """The K trained steps of each image: all that the update needs of a trajectory."""

    steps: Int[Tensor, "batch trained"]
    """Indices into the schedule."""
    z_t: Float[Tensor, "batch trained channel height width"]
    z_prev: Float[Tensor, "batch trained channel height width"]
    log_prob: Float[Tensor, "batch trained"]


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
    generator: torch.Generator | list[torch.Generator],
    trained_steps: Int[Tensor, "batch trained"] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> tuple[Float[Tensor, "batch channel height width"], Transitions | None]:
    """Denoise z_T to z_0; z_0, and the transitions of the steps named in `trained_steps`.

    z_0 is what the final step gives, not what it is given. Memory does not depend on the number of
    steps. `generator` is one per row, or one for all; each draws its noise once a step, as
    diffusers does.
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
        trained_steps.clone(), torch.zeros(latents), torch.zeros(latents), torch.zeros(shape)
    )
