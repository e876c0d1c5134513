"""Learning from clean latents by the forward process: no trajectories, no likelihoods.

Latents that people called good are noised, z_t = alpha_t z_0 + sigma_t epsilon, and the network is
asked what was done to them. Every function but `train` is pure; which terms a method adds up is its
own affair (`hero_plus.py`, `baselines/dreambooth.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from diffusers import DDIMScheduler
from jaxtyping import Float, Int
from torch import Tensor

from hero_engine.report import OnStep

Losses = Callable[["Noised"], Float[Tensor, " batch"]]


@dataclass(frozen=True)
class Noised:
    """Clean latents after the forward process, and what the network should say of them."""

    z_t: Float[Tensor, "batch channel height width"]
    timesteps: Int[Tensor, " batch"]
    target: Float[Tensor, "batch channel height width"]
    snr: Float[Tensor, " batch"]
    optimality: Float[Tensor, " batch"]
    """1 for a good image, 0 for a bad one (DiffusionNFT's r)."""

    def __len__(self) -> int:
        return len(self.z_t)

    def __getitem__(self, rows: Any) -> "Noised":
        return Noised(*(getattr(self, field.name)[rows] for field in fields(self)))

    def to(self, device: torch.device) -> "Noised":
        """The same on a device."""
        return Noised(*(getattr(self, field.name).to(device) for field in fields(self)))


def noised(
    scheduler: DDIMScheduler,
    z_0: Float[Tensor, "batch channel height width"],
    generator: torch.Generator,
    optimality: Float[Tensor, " batch"] | None = None,
) -> Noised:
    """z_0 at uniformly drawn timesteps, with the target of the model's prediction type."""
    timesteps = torch.randint(
        scheduler.config.num_train_timesteps, (len(z_0),), generator=generator
    )
    epsilon = torch.randn(z_0.shape, generator=generator)
    return _noised(scheduler, z_0, epsilon, timesteps, optimality)


def begun(
    scheduler: DDIMScheduler,
    z_0: Float[Tensor, "batch channel height width"],
    generator: torch.Generator,
    *,
    first_timestep: int,
) -> Noised:
    """z_0 with a noise that knows nothing of it, from `first_timestep` on: as sampling begins.

    The forward process never gets there. Its last z_t still has an image's coarse shape in it
    (Lin et al., 2024, "Common Diffusion Noise Schedules and Sample Steps are Flawed"), so a network
    that has only seen the noised images of one kind reads what it likes into noise alone. For z_t
    to be the noise, epsilon has to be (z_t - alpha_t z_0) / sigma_t.
    """
    last = scheduler.config.num_train_timesteps
    timesteps = torch.randint(first_timestep, last, (len(z_0),), generator=generator)
    z_t = torch.randn(z_0.shape, generator=generator)
    alpha = scheduler.alphas_cumprod[timesteps][:, None, None, None]
    epsilon = (z_t - alpha.sqrt() * z_0) / (1 - alpha).sqrt()
    return _noised(scheduler, z_0, epsilon, timesteps)


def _noised(
    scheduler: DDIMScheduler,
    z_0: Float[Tensor, "batch channel height width"],
    epsilon: Float[Tensor, "batch channel height width"],
    timesteps: Int[Tensor, " batch"],
    optimality: Float[Tensor, " batch"] | None = None,
) -> Noised:
    targets = {
        "epsilon": lambda: epsilon,
        "sample": lambda: z_0,
        "v_prediction": lambda: scheduler.get_velocity(z_0, epsilon, timesteps),
    }
    alpha = scheduler.alphas_cumprod[timesteps]
    return Noised(
        z_t=scheduler.add_noise(z_0, epsilon, timesteps),
        timesteps=timesteps,
        target=targets[scheduler.config.prediction_type](),
        snr=alpha / (1 - alpha),
        optimality=torch.ones(len(z_0)) if optimality is None else optimality,
    )


def snr_weights(
    snr: Float[Tensor, " batch"],
    prediction_type: Literal["epsilon", "sample", "v_prediction"],
    *,
    weighting: Literal["min-snr", "snr+1"],
    gamma: float,
) -> Float[Tensor, " batch"]:
    """What the prediction's squared error counts, by the signal-to-noise ratio of its timestep.

    In terms of the error of z_0: min(SNR, gamma) (min-SNR, Hang et al., 2023), or SNR + 1, the
    error of v (Salimans & Ho, 2022), to which the noisiest timesteps contribute most. The squared
    error of epsilon is SNR times that of z_0, that of v SNR + 1 times.
    """
    of_z_0 = snr.clamp(max=gamma) if weighting == "min-snr" else snr + 1
    return of_z_0 / {"sample": 1.0, "epsilon": snr, "v_prediction": snr + 1}[prediction_type]


def squared_errors(
    prediction: Float[Tensor, "batch channel height width"],
    target: Float[Tensor, "batch channel height width"],
) -> Float[Tensor, " batch"]:
    """Mean over the latent's dimensions: the denoising loss, given the forward process's target.

    Given the pretrained model's prediction it is the KL between the two models' steps, up to a
    factor that depends on the timestep.
    """
    return (prediction - target).square().mean(dim=(1, 2, 3))


def nft_losses(
    prediction: Float[Tensor, "batch channel height width"],
    old: Float[Tensor, "batch channel height width"],
    target: Float[Tensor, "batch channel height width"],
    optimality: Float[Tensor, " batch"],
    beta: float,
) -> Float[Tensor, " batch"]:
    """DiffusionNFT (Zheng et al., 2025): r |v+ - v|^2 + (1 - r) |v- - v|^2.

    v+ = (1 - beta) v_old + beta v_phi is the implicit positive policy and
    v- = (1 + beta) v_old - beta v_phi the negative one. With r = 1 and beta = 1 it is the plain
    denoising loss. Linear in the prediction, so that epsilon and z_0 serve as well as v.
    """
    positive = squared_errors(torch.lerp(old, prediction, beta), target)
    negative = squared_errors(torch.lerp(old, prediction, -beta), target)
    return optimality * positive + (1.0 - optimality) * negative


@dataclass(frozen=True)
class Term:
    """One part of a step's loss: the weighted mean of `losses` over the latents."""

    latents: Noised
    losses: Losses
    weight: float = 1.0


Terms = Callable[[], Sequence[Term]]
"""What a step's loss is the sum of, drawn anew at every call."""


def train(
    optimizer: torch.optim.Optimizer,
    terms_of_step: Terms,
    *,
    steps: int,
    learning_rate: float,
    max_grad_norm: float,
    forward_batch_size: int,
    on_step: OnStep | None = None,
    enough: Callable[[], bool] | None = None,
) -> list[float]:
    """Take `steps` steps of the optimizer on terms that are drawn anew for each; their losses.

    `forward_batch_size` latents go through the network at once; the gradient is the same for any.
    Asked after a step, `enough` may end it early.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    made = []
    for step in range(steps):
        optimizer.zero_grad()
        total = 0.0
        for term in terms_of_step():
            for rows in torch.arange(len(term.latents)).split(forward_batch_size):
                part = term.latents[rows].to(parameters[0].device)
                loss = term.weight * term.losses(part).sum() / len(term.latents)
                loss.backward()
                total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
        optimizer.step()
        made.append(total)
        if on_step is not None:
            on_step(step + 1)
        if enough is not None and enough():
            break
    optimizer.zero_grad()
    return made
