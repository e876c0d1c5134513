"""DDPO: clipped policy gradient on the trained steps (paper, Eq. 2 and 8, App. B.2; PPO)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hero_engine.config import REFERENCE_LATENT_SIZE, HeroConfig
from hero_engine.diffusion.sampling import Denoiser, Schedule, Transitions, log_prob
from hero_engine.errors import RatioError

RATIO_TOLERANCE = 1e-5
"""How far from 1 the importance ratio may be before the first update."""


@dataclass(frozen=True)
class UpdateStats:
    """Means over all (image, step) pairs of an update, except `ratio_error`, a maximum."""

    loss: float
    approx_kl: float
    clip_fraction: float
    grad_norm: float
    ratio_error: float


def scaled_clip_range(clip_range: float, latent_size: int) -> float:
    """The clip of a ratio of mean log-probabilities over `latent_size` dimensions.

    The ratio is exp of a mean over D dimensions, while the policy's own log-ratio is the sum: the
    clip that allows the same change of the policy is the one for 16384 dimensions times 16384 / D.
    """
    return clip_range * REFERENCE_LATENT_SIZE / latent_size


def clipped_losses(
    log_probs: Float[Tensor, " pair"],
    old_log_probs: Float[Tensor, " pair"],
    advantages: Float[Tensor, " pair"],
    clip_range: float,
) -> tuple[Float[Tensor, " pair"], Float[Tensor, " pair"]]:
    """PPO's loss of each pair and its importance ratio p_phi / p_phi_old.

    While the ratio is inside 1 +- clip_range, the gradient of the loss is that of Eq. 2:
    - ratio * A * grad log p_phi.
    """
    ratio = (log_probs - old_log_probs).exp()
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    return torch.maximum(-advantages * ratio, -advantages * clipped), ratio


@dataclass
class Pairs:
    """(image, step) pairs: transitions without their grouping by image."""

    timesteps: Int[Tensor, " pair"]
    z_t: Float[Tensor, "pair channel height width"]
    z_prev: Float[Tensor, "pair channel height width"]
    log_prob: Float[Tensor, " pair"]

    def __len__(self) -> int:
        return len(self.timesteps)

    def split(self, size: int) -> Iterator["Pairs"]:
        """The pairs in order, `size` at a time."""
        columns = (self.timesteps, self.z_t, self.z_prev, self.log_prob)
        for parts in zip(*(column.split(size) for column in columns), strict=True):
            yield Pairs(*parts)

    @classmethod
    def concatenate(cls, parts: list["Pairs"]) -> "Pairs":
        """Pairs one after the other."""
        return cls(
            *(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls))
        )


def flatten_pairs(transitions: Transitions) -> Pairs:
    """[batch, K, ...] as [batch * K, ...]: all steps of the first image, then of the second."""
    return Pairs(
        transitions.timesteps.flatten(),
        transitions.z_t.flatten(0, 1),
        transitions.z_prev.flatten(0, 1),
        transitions.log_prob.flatten(),
    )


def pair_log_probs(
    denoise: Denoiser, schedule: Schedule, pairs: Pairs, device: torch.device
) -> Float[Tensor, " pair"]:
    """log p_phi(z_{t-1} | z_t, c) of (image, step) pairs, each at its own timestep, in one pass."""
    z_t, timesteps = pairs.z_t.to(device), pairs.timesteps.to(device)
    steps = schedule.steps_of(pairs.timesteps)
    mean, std = schedule.step_distribution(denoise(z_t, timesteps), steps, z_t)
    return log_prob(pairs.z_prev.to(device), mean, std)


def accumulate_gradient(
    denoise: Denoiser,
    schedule: Schedule,
    transitions: Transitions,
    advantages: Float[Tensor, " batch"],
    *,
    clip_range: float,
    forward_batch_size: int,
    device: torch.device,
) -> tuple[Float[Tensor, " pair"], Float[Tensor, " pair"]]:
    """Add the gradient of the mean loss over a minibatch's pairs (Eq. 8); losses and log-ratios.

    `forward_batch_size` pairs go through the network at once; the gradient is the same for any.
    """
    pairs = flatten_pairs(transitions)
    pair_advantages = advantages.repeat_interleave(transitions.timesteps.shape[1])
    losses, log_ratios = [], []
    parts = pairs.split(forward_batch_size), pair_advantages.split(forward_batch_size)
    for part, advantage in zip(*parts, strict=True):
        log_probs = pair_log_probs(denoise, schedule, part, device)
        old = part.log_prob.to(device)
        loss, _ = clipped_losses(log_probs, old, advantage.to(device), clip_range)
        (loss.sum() / len(pairs)).backward()
        losses.append(loss.detach())
        log_ratios.append((log_probs - old).detach())
    return torch.cat(losses), torch.cat(log_ratios)


def update(
    denoise: Denoiser,
    schedule: Schedule,
    optimizer: torch.optim.Optimizer,
    transitions: Transitions,
    advantages: Float[Tensor, " batch"],
    config: HeroConfig,
    *,
    generator: torch.Generator,
    recompute_old: bool = False,
    learning_rate_scale: float = 1.0,
    on_step: Callable[[int, int], None] | None = None,
) -> UpdateStats:
    """One epoch's policy update (Eq. 8): `inner_epochs` passes in minibatches of images.

    `recompute_old` takes the old log-probabilities from the network as it stands instead of from
    the sampler: needed where the sampler ran in another precision, whose rounding is many times the
    clip range. Raises `RatioError`, before anything is changed, unless the ratio starts at 1.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    device = parameters[0].device
    clip_range = scaled_clip_range(config.clip_range, transitions.z_t[0, 0].numel())
    minibatches = [
        rows
        for _ in range(config.inner_epochs)
        for rows in torch.randperm(len(transitions), generator=generator).split(
            config.minibatch_size
        )
    ]
    if recompute_old:
        first_pass = minibatches[: len(minibatches) // config.inner_epochs]
        transitions = rescored(
            denoise, schedule, transitions, first_pass, config.forward_batch_size, device
        )
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * learning_rate_scale

    losses, log_ratios, norms = [], [], []
    for step, rows in enumerate(minibatches):
        optimizer.zero_grad()
        loss, log_ratio = accumulate_gradient(
            denoise,
            schedule,
            transitions[rows],
            advantages[rows],
            clip_range=clip_range,
            forward_batch_size=config.forward_batch_size,
            device=device,
        )
        if step == 0:
            check_ratio(log_ratio)
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm))
        optimizer.step()
        losses.append(loss)
        log_ratios.append(log_ratio)
        if on_step is not None:
            on_step(step + 1, len(minibatches))
    optimizer.zero_grad()
    all_ratios = torch.cat(log_ratios)
    return UpdateStats(
        loss=float(torch.cat(losses).mean()),
        approx_kl=float(0.5 * all_ratios.square().mean()),
        clip_fraction=float((all_ratios.expm1().abs() > clip_range).float().mean()),
        grad_norm=float(torch.stack(norms).mean()),
        ratio_error=ratio_error(log_ratios[0]),
    )


def ratio_error(log_ratios: Float[Tensor, " pair"]) -> float:
    """The largest |ratio - 1|."""
    return float(log_ratios.expm1().abs().max())


def check_ratio(log_ratios: Float[Tensor, " pair"]) -> None:
    """Raise `RatioError` unless every ratio is 1 within `RATIO_TOLERANCE`."""
    error = ratio_error(log_ratios)
    if not error <= RATIO_TOLERANCE:
        raise RatioError(
            f"The importance ratio before the first update differs from 1 by {error:.1e} (allowed "
            f"is {RATIO_TOLERANCE:.0e}), so the batch was not drawn from the present policy "
            "in the present precision; resume from the checkpoint with which it was drawn, or draw "
            "the epoch again."
        )


@torch.no_grad()
def rescored(
    denoise: Denoiser,
    schedule: Schedule,
    transitions: Transitions,
    minibatches: list[Int[Tensor, " _rows"]],
    forward_batch_size: int,
    device: torch.device,
) -> Transitions:
    """The same transitions with log-probabilities recomputed in the update's own forward passes.

    The passes have the same members as the update's, so that not even rounding differs. Rows that
    are in no minibatch get NaN.
    """
    fresh = torch.full_like(transitions.log_prob, float("nan"))
    for rows in minibatches:
        pairs = flatten_pairs(transitions[rows])
        parts = [
            pair_log_probs(denoise, schedule, part, device)
            for part in pairs.split(forward_batch_size)
        ]
        fresh[rows] = torch.cat(parts).cpu().view(len(rows), -1)
    return Transitions(transitions.timesteps, transitions.z_t, transitions.z_prev, fresh)
