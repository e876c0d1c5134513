"""DDPO: clipped policy gradient on the trained steps (paper, Eq. 2 and 8, App. B.2; PPO)."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hero_engine.config import REFERENCE_LATENT_SIZE
from hero_engine.diffusion.kernel import Denoiser, Schedule, log_prob, predicted
from hero_engine.diffusion.rows import Rows
from hero_engine.diffusion.sampling import Transitions
from hero_engine.errors import RatioError
from hero_engine.feedback.reward import advantages_within
from hero_engine.methods.base import timed
from hero_engine.methods.noise_floor import drowned, noise_floor
from hero_engine.methods.shared_settings import PolicyGradientSettings
from hero_engine.methods.steps import take_steps
from hero_engine.methods.trajectory import TrajectoryMethod, transitions_of
from hero_engine.methods.workload import Workload
from hero_engine.processes import shared_gradients
from hero_engine.report import OnProgress, OnStep, Report, reporting
from hero_engine.storage.batch import Batch

RATIO_TOLERANCE = 1e-5
"""How far from 1 the importance ratio may be before the first update, at most; never more than a
tenth of the clip range."""


NOISE_FLOOR_IMAGES = 4
"""Of how many images the steps are looked at for it (`noise_floor.py`)."""

Captions = Int[Tensor, " batch"] | None
"""The number of each image's prompt; None where all have the same."""

logger = logging.getLogger(__name__)


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
class Pairs(Rows):
    """(image, step) pairs: transitions without their grouping by image."""

    steps: Int[Tensor, " pair"]
    z_t: Float[Tensor, "pair channel height width"]
    z_prev: Float[Tensor, "pair channel height width"]
    log_prob: Float[Tensor, " pair"]
    captions: Int[Tensor, " pair"] | None = None
    """The number of each one's prompt; None where all have the same."""

    def split(self, size: int) -> Iterator["Pairs"]:
        """The pairs in order, `size` at a time."""
        for begin in range(0, len(self), size):
            yield self[begin : begin + size]


def flatten_pairs(transitions: Transitions, captions: Captions = None) -> Pairs:
    """[batch, K, ...] as [batch * K, ...]: all steps of the first image, then of the second."""
    return Pairs(
        transitions.steps.flatten(),
        transitions.z_t.flatten(0, 1),
        transitions.z_prev.flatten(0, 1),
        transitions.log_prob.flatten(),
        None if captions is None else captions.repeat_interleave(transitions.steps.shape[1]),
    )


def pair_log_probs(
    denoise: Denoiser, schedule: Schedule, pairs: Pairs, device: torch.device
) -> Float[Tensor, " pair"]:
    """log p_phi(z_{t-1} | z_t, c) of (image, step) pairs, each at its own step, in one pass."""
    z_t, timesteps = pairs.z_t.to(device), schedule.timesteps[pairs.steps].to(device)
    prediction = predicted(denoise, z_t, timesteps, pairs.captions)
    mean, std = schedule.step_distribution(prediction, pairs.steps, z_t)
    return log_prob(pairs.z_prev.to(device), mean, std)


def log_probs_in_parts(
    denoise: Denoiser, schedule: Schedule, pairs: Pairs, at_once: int, device: torch.device
) -> Float[Tensor, " pair"]:
    """The same of many pairs, `at_once` in a pass."""
    parts = pairs.split(at_once)
    return torch.cat([pair_log_probs(denoise, schedule, part, device) for part in parts])


def accumulate_gradient(
    denoise: Denoiser,
    schedule: Schedule,
    transitions: Transitions,
    advantages: Float[Tensor, " batch"],
    parameters: list[torch.nn.Parameter],
    *,
    clip_range: float,
    forward_batch_size: int,
    captions: Captions = None,
) -> tuple[Float[Tensor, " pair"], Float[Tensor, " pair"]]:
    """Add the gradient of the mean loss over a minibatch's pairs (Eq. 8); losses and log-ratios.

    `forward_batch_size` pairs go through the network at once; the gradient is the same for any.
    """
    device = parameters[0].device
    pairs = flatten_pairs(transitions, captions)
    pair_advantages = advantages.repeat_interleave(transitions.steps.shape[1])
    parts = list(
        zip(pairs.split(forward_batch_size), pair_advantages.split(forward_batch_size), strict=True)
    )

    def backward(part: tuple[Pairs, Tensor]) -> tuple[Tensor, Tensor]:
        chosen, advantage = part
        log_probs = pair_log_probs(denoise, schedule, chosen, device)
        old = chosen.log_prob.to(device)
        loss, _ = clipped_losses(log_probs, old, advantage.to(device), clip_range)
        (loss.sum() / len(pairs)).backward()
        return loss.detach(), (log_probs - old).detach()

    losses, log_ratios = zip(*shared_gradients(parameters, parts, backward), strict=True)
    return torch.cat(losses), torch.cat(log_ratios)


def update(
    denoise: Denoiser,
    schedule: Schedule,
    optimizer: torch.optim.Optimizer,
    transitions: Transitions,
    advantages: Float[Tensor, " batch"],
    settings: PolicyGradientSettings,
    *,
    max_grad_norm: float,
    generator: torch.Generator,
    recompute_old: bool = False,
    learning_rate_scale: float = 1.0,
    captions: Captions = None,
    on_step: Callable[[int], OnStep | None] | None = None,
) -> UpdateStats:
    """One epoch's policy update (Eq. 8): `inner_epochs` passes in minibatches of images.

    `recompute_old` takes the old log-probabilities from the network as it stands instead of from
    the sampler: needed where the sampler ran in another precision, whose rounding is many times the
    clip range. `on_step` is asked once, with the number of optimizer steps. Raises `RatioError`,
    before anything is changed, unless the ratio starts at 1.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    clip_range = scaled_clip_range(settings.clip_range, transitions.z_t[0, 0].numel())
    minibatches = [
        rows
        for _ in range(settings.inner_epochs)
        for rows in torch.randperm(len(transitions), generator=generator).split(
            settings.minibatch_size
        )
    ]
    if recompute_old:
        first_pass = minibatches[: len(minibatches) // settings.inner_epochs]
        transitions = rescored(
            denoise,
            schedule,
            transitions,
            first_pass,
            settings.latents_at_once,
            parameters[0].device,
            captions,
        )

    def gradient_of(step: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        loss, log_ratio = accumulate_gradient(
            denoise,
            schedule,
            transitions[rows],
            advantages[rows],
            parameters,
            clip_range=clip_range,
            forward_batch_size=settings.latents_at_once,
            captions=None if captions is None else captions[rows],
        )
        if step == 0:
            check_ratio(log_ratio, clip_range)
        return loss, log_ratio

    made, norms = take_steps(
        optimizer,
        [partial(gradient_of, step, rows) for step, rows in enumerate(minibatches)],
        learning_rate=settings.learning_rate * learning_rate_scale,
        max_grad_norm=max_grad_norm,
        on_step=on_step(len(minibatches)) if on_step is not None else None,
    )
    losses, log_ratios = zip(*made, strict=True)
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


def check_ratio(log_ratios: Float[Tensor, " pair"], clip_range: float) -> None:
    """Raise `RatioError` unless every ratio is 1, within `RATIO_TOLERANCE` and a tenth of the
    (rescaled) clip range."""
    error, allowed = ratio_error(log_ratios), min(RATIO_TOLERANCE, clip_range / 10)
    if not error <= allowed:
        raise RatioError(
            f"The importance ratio before the first update differs from 1 by {error:.1e} (allowed "
            f"is {allowed:.0e}), so the batch was not drawn from the present policy "
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
    captions: Captions = None,
) -> Transitions:
    """The same transitions with log-probabilities recomputed in the update's own forward passes.

    The passes have the same members as the update's, so that not even rounding differs. Rows that
    are in no minibatch get NaN.
    """
    fresh = torch.full_like(transitions.log_prob, float("nan"))
    for rows in minibatches:
        pairs = flatten_pairs(transitions[rows], None if captions is None else captions[rows])
        scored = log_probs_in_parts(denoise, schedule, pairs, forward_batch_size, device)
        fresh[rows] = scored.cpu().view(len(rows), -1)
    return Transitions(transitions.steps, transitions.z_t, transitions.z_prev, fresh)


def pairs_workload(method: TrajectoryMethod[Any], *, scored: bool) -> Workload:
    """Of `inner_epochs` passes over all trained steps of all images; `scored` is whether all pairs
    go forward once before."""
    denoise = method.policy.denoiser(method.prompt)
    step, trained = method.schedule.trainable[-1], method.trained_steps
    pairs = method.config.images_per_epoch * trained

    def losses(latents: Float[Tensor, "batch c h w"]) -> Float[Tensor, " batch"]:
        steps = step.expand(len(latents))
        chosen = Pairs(steps, latents, latents, torch.zeros(len(latents)))
        return pair_log_probs(denoise, method.schedule, chosen, method.policy.device)

    return Workload(
        losses,
        latents=method.settings.inner_epochs * pairs,
        at_once=trained * min(method.settings.images_in_a_step, method.config.images_per_epoch),
        scored=pairs if scored else 0,
    )


Settings = TypeVar("Settings", bound=PolicyGradientSettings)


class PolicyGradientMethod(TrajectoryMethod[Settings]):
    """Learns by one update from the rewards of a batch."""

    def workload(self) -> Workload:
        """The update's, and that of scoring again where the sampler rounds unlike it."""
        return pairs_workload(self, scored=self.policy.sampler_differs)

    def _policy_gradient(
        self,
        batch: Batch,
        rewards: Float[Tensor, " batch"],
        report: Report,
        on_progress: OnProgress | None,
        *,
        learning_rate_scale: float = 1.0,
    ) -> None:
        """One epoch's DDPO update (Eq. 2, 8) from the rewards of the batch.

        Rewards are compared within a prompt. An image whose reward is NaN has the advantage 0.
        """
        settings, captions = self.settings, self.captions(batch)
        denoise = self.policy.denoiser(batch.prompt if captions is None else self.prompts)
        transitions, first = transitions_of(batch), not self.optimizer.state
        with timed(report, "update"):
            stats = update(
                denoise,
                self.schedule,
                self.optimizer,
                transitions,
                advantages_within(
                    captions,
                    rewards,
                    std_floor=settings.reward_std_floor,
                    clip=settings.advantage_clip,
                ),
                settings,
                max_grad_norm=self.config.lora.max_grad_norm,
                generator=self._stream("minibatches"),
                recompute_old=self.policy.sampler_differs,
                learning_rate_scale=learning_rate_scale,
                captions=captions,
                on_step=partial(reporting, on_progress, "update"),
            )
        report.updated = True
        for name, value in asdict(stats).items():
            setattr(report, name, value)
        if first:
            looked_at = slice(NOISE_FLOOR_IMAGES)
            of_looked_at = None if captions is None else captions[looked_at]
            pairs = flatten_pairs(transitions[looked_at], of_looked_at)
            self._note_noise_floor(denoise, pairs, report)

    def _note_noise_floor(self, denoise: Denoiser, pairs: Pairs, report: Report) -> None:
        """Once a run: what rounding does to the ratio, and whether the clip is above it."""
        parameters, at_once = self.policy.parameters, self.settings.latents_at_once

        def log_probs() -> Tensor:
            return log_probs_in_parts(denoise, self.schedule, pairs, at_once, self.policy.device)

        floor = noise_floor(log_probs, parameters)
        clip_range = scaled_clip_range(self.settings.clip_range, pairs.z_t[0].numel())
        report.noise_floor = floor
        if said := drowned(floor, clip_range):
            report.add_note(said)
            logger.warning("%s", said)
