"""hero+: HERO's feedback, but the model learns by the denoising loss on the good images so far.

The policy gradient alone teaches the model less on fresh noises than on those of the noise bank;
the forward process on the latents that people called good teaches it everywhere, at the price of
variety. What holds the price down is below: few draws of each good image, rare ones first, the
errors of v, some of them where sampling begins, a pull to the pretrained model, and nothing that
people's verdicts do not speak for (`standing.py`, `docs/research.md`).
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from math import ceil
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hero_engine.config import RunConfig
from hero_engine.diffusion.forward_process import Levels, Noised, squared_errors
from hero_engine.diffusion.kernel import Denoiser
from hero_engine.errors import ConfigError
from hero_engine.feedback.replay import Replay, draw, rarity
from hero_engine.feedback.summary import FeedbackSummary
from hero_engine.methods import denoising_loss
from hero_engine.methods.base import timed
from hero_engine.methods.denoising_loss import Kind, Losses, Term
from hero_engine.methods.feedback_method import FeedbackMethod
from hero_engine.methods.hero_plus_settings import HeroPlusSettings
from hero_engine.methods.pretrained_pull import Compared, Pull, compared, latents_in_a_pass
from hero_engine.methods.prior import draw_prior, prior_prompt
from hero_engine.methods.rollback import Rollback, under
from hero_engine.methods.standing import HALF, Standing, came_back
from hero_engine.methods.workload import Workload
from hero_engine.report import OnProgress, Report, reporting
from hero_engine.storage.batch import Batch, Feedback
from hero_engine.storage.checkpoint import Checkpoint

CHAMPION = "champion-"
"""Begins the names of a checkpoint's files that hold the model which people's verdicts speak for,
where it is not the one that the run goes on with."""


Draws = Callable[[int], Float[Tensor, "n channel height width"]]
"""So many of the good latents, by chance."""


class HeroPlus(FeedbackMethod[HeroPlusSettings]):
    """One run of hero+. E is trained for the predictions only."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.replay = Replay.empty(self.policy.latent_shape)
        self.prior: Float[Tensor, "prior channel height width"] | None = None
        self.standing = Standing()
        if self.settings.keep_best:
            self.rollback = Rollback(0.0)

    @contextlib.contextmanager
    def run_model(self) -> Iterator[None]:
        """In the block, the method is the model that people's verdicts speak for."""
        standing = self.standing
        if standing.tensors is None or standing.of_run is standing.current:
            yield
            return
        current = self._policy_tensors()
        self._restore_policy(standing.tensors)
        try:
            yield
        finally:
            self._restore_policy(current)

    @classmethod
    def lora_for_people(cls, saved: Checkpoint) -> dict[str, Tensor]:
        """That of the model that people's verdicts speak for."""
        if "standing" in saved.facts:
            standing = Standing.of(saved.facts["standing"], under(CHAMPION, saved.tensors))
            if standing.tensors is not None and standing.of_run is not standing.current:
                return standing.tensors["lora"]
        return saved.tensors["lora"]

    def recall(self, saved: Checkpoint) -> None:
        """Learn from the images that were judged until that checkpoint, too."""
        replay = Replay(**saved.tensors["replay"])
        if replay.latents.shape[1:] != self.replay.latents.shape[1:]:
            raise ConfigError(
                "The run cannot go on with earlier labels, since its images have another size; "
                "leave --with-labels out, or the size."
            )
        self.replay = replay

    def workload(self) -> Workload:
        """Of `denoising_steps` full steps."""
        settings, generator = self.settings, self._stream("trial")
        denoise = self.policy.denoiser(self.prompt, guided=False)
        losses_of, size = self._losses(denoise), settings.denoising_batch_size
        of_a_step = size * (2 if settings.preservation_weight else 1) + self._held_latents

        def losses(latents: Float[Tensor, "batch c h w"]) -> Float[Tensor, " batch"]:
            parts = self._noised(latents, self._first_step_latents(len(latents)), generator)
            (part,) = self._targets(denoise, [[Noised.concatenate(parts)]])[0]
            return losses_of(part.to(self.policy.device))

        return Workload(losses, latents=settings.denoising_steps * of_a_step, at_once=size)

    def _keep(self, batch: Batch, feedback: Feedback) -> None:
        self.replay = self.replay.add(batch, feedback)

    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        fresh = self._fresh_verdicts(feedback)
        appraisal = self._appraise(batch, feedback, report, on_progress)
        self._remember(batch, feedback, appraisal, report)
        summary, nothing_to_learn = appraisal.summary, report.note
        report.note = self._judge(fresh, report) if self.settings.keep_best else ""
        learns = summary.judged and self.replay.good.any() and not report.good_enough
        steps = self._steps(report) if learns else 0
        if steps:
            before = self._policy_tensors() if self.settings.keep_best else None
            self._take_steps(batch, steps, report, on_progress)
            if before is not None:
                self.standing.updated(before, self.epoch + 1)
            report.add_note(self._note(summary))
        elif not report.good_enough:
            left = learns and (summary.bad or self.settings.keep_best)
            report.add_note(self._left_as_it_is() if left else nothing_to_learn)
        if self.settings.keep_best:
            self.standing.fill_in(report)

    def _judge(self, verdicts: Sequence[bool | None], report: Report) -> str:
        """Let the verdicts on fresh noises say which model the run goes on with, and whether it is
        good enough; what people should know of that."""
        challenger = self.standing.challenger(verdicts)
        back = self.standing.judge(verdicts)
        if back is not None:
            self._restore_policy(back)
            report.stepped_back = True
        until, judged = self.settings.until, self.standing.last_judged
        report.good_enough = until != "never" and judged.tally.proves(until)
        return came_back(challenger, judged) if back is not None else ""

    def _take_steps(
        self, batch: Batch, steps: int, report: Report, on_progress: OnProgress | None
    ) -> None:
        settings = self.settings
        if settings.preservation_weight and self.prior is None:
            with timed(report, "prior"):
                self.prior = draw_prior(self.policy, settings, on_progress)
        with timed(report, "denoising"):
            losses = denoising_loss.train(
                self.optimizer,
                self._terms(self.policy.denoiser(batch.prompt, guided=False), steps),
                learning_rate=settings.denoising_lr,
                max_grad_norm=self.config.lora.max_grad_norm,
                forward_batch_size=settings.latents_at_once,
                on_step=reporting(on_progress, "denoising", steps),
            )
        report.set_denoising(losses)
        report.updated = True

    def _note(self, summary: FeedbackSummary) -> str:
        """What people should know of an epoch in which steps were made."""
        if self.anchor is None:
            return "No best image has been chosen yet, so nothing can be predicted."
        return summary.unusual(0.0, needs_anchor=True)

    def _left_as_it_is(self) -> str:
        if not self.settings.keep_best:
            return (
                "All of the fresh images are good, so there is nothing to mend and the model was "
                "not changed."
            )
        tally = self.standing.last_judged.tally
        return (
            f"{tally.good} of {tally.judged} images from fresh noises are good, so the model was "
            "left as it is."
        )

    def _success(self, report: Report) -> float | None:
        """By all verdicts on what the judged model drew from N(0, I), not this batch's alone."""
        if self.settings.keep_best:
            return self.standing.last_judged.tally.rate
        return super()._success(report)

    def _fresh(self, n: int) -> int:
        rate = self.standing.last_judged.tally.rate
        if self.settings.keep_best and rate is not None and rate >= HALF:
            return n
        return super()._fresh(n)

    def _steps(self, report: Report) -> int:
        """How many steps there are good latents for (`denoising_repeats`) and reason for
        (`denoising_full_share`)."""
        settings, good = self.settings, int(self.replay.good.sum())
        steps, success = settings.denoising_steps, self._success(report)
        if settings.denoising_repeats:
            hard = settings.keep_best and success is not None and success < HALF
            repeats = settings.denoising_repeats * (2 if hard else 1)
            steps = min(steps, ceil(repeats * good / settings.denoising_batch_size))
        if settings.keep_best and success is not None and success >= settings.left_from:
            return 0
        if settings.denoising_full_share and success is not None:
            steps = ceil(steps * min(1.0, (1.0 - success) / settings.denoising_full_share))
        return steps

    def _terms(self, denoise: Denoiser, steps: int) -> Iterator[denoising_loss.Terms]:
        """What each step learns from: good latents, noised and as noise alone, and what is held to
        the pretrained model."""
        settings, generator = self.settings, self._stream("denoising")
        size = settings.denoising_batch_size
        latents = self.replay.good_latents
        weights = rarity(latents.flatten(1))
        draws = partial(draw, latents, weights, generator=generator)
        pulls = self._pulls(denoise, draws, generator)
        losses = self._losses(denoise)
        at_a_time = max(1, latents_in_a_pass(self.config.sampling) // size)
        for ahead in torch.arange(steps).split(at_a_time):
            drawn = [(self._good(draws, generator), list(pulls(step))) for step in ahead.tolist()]
            goods, pulled = zip(*drawn, strict=True)
            targets = self._targets(denoise, goods)
            for of_good, held in zip(targets, self._held_terms(pulled), strict=True):
                yield [*_as_terms(of_good, losses), *held]

    def _good(self, draws: Draws, generator: torch.Generator) -> list[Noised]:
        """A step's good latents, noised and as noise alone."""
        process, size = self.policy.forward_process, self.settings.denoising_batch_size
        first = self._first_step_latents(size)
        parts = [process.noised(draws(size - first), generator, self._learned)]
        if first:
            parts.append(process.noise_only(draws(first), generator))
        return self._passes(parts)

    def _pulls(
        self, denoise: Denoiser, draws: Draws, generator: torch.Generator
    ) -> Callable[[int], Iterator[Pull]]:
        """What a step, by its number, holds to the pretrained model: the cleaner noise levels, the
        prior, and one of the kept prompts in turn."""
        settings, process = self.settings, self.policy.forward_process
        size, held = settings.denoising_batch_size, self._held_latents
        first, few = self._first_step_latents(size), ceil(size / 2)
        of_prior = self.policy.denoiser(prior_prompt(self.policy, settings), guided=False)
        of_kept = [self.policy.denoiser(each, guided=False) for each in settings.kept(self.prompt)]

        def of_step(step: int) -> Iterator[Pull]:
            if held:
                part = process.noised(draws(held), generator, (0.0, settings.held_share))
                yield Pull(denoise, [part], settings.held_weight)
            if self.prior is not None:
                rows = torch.randint(len(self.prior), (size,), generator=generator)
                parts = self._passes(self._noised(self.prior[rows], first, generator))
                yield Pull(of_prior, parts, settings.preservation_weight)
            if of_kept:
                parts = self._noised(draws(few), self._first_step_latents(few), generator)
                of_one = of_kept[step % len(of_kept)]
                yield Pull(of_one, self._passes(parts), settings.keep_weight)

        return of_step

    def _held_terms(self, steps: Sequence[Sequence[Pull]]) -> list[list[Term[Compared]]]:
        """The terms of several steps' pulls. The pretrained model's predictions are made together
        for all latents of one prompt."""
        every = list(chain(*steps))
        made: dict[int, list[Compared]] = {}
        for denoise in dict.fromkeys(pull.denoise for pull in every):
            own = [number for number, pull in enumerate(every) if pull.denoise is denoise]
            parts = self._with_pretrained(denoise, [every[number].parts for number in own])
            made |= dict(zip(own, parts, strict=True))
        terms = (_held(pull, made[number]) for number, pull in enumerate(every))
        return [list(chain(*islice(terms, len(step)))) for step in steps]

    def _noised(
        self, z_0: Float[Tensor, "batch c h w"], first: int, generator: torch.Generator
    ) -> list[Noised]:
        """Clean latents, noised; the `first` of them as noise alone."""
        process = self.policy.forward_process
        parts = [process.noised(z_0[first:], generator)]
        return [*parts, process.noise_only(z_0[:first], generator)] if first else parts

    def _passes(self, parts: list[Noised]) -> list[Noised]:
        """All in one pass through the network; in format 1, each in one of its own."""
        return parts if self.config.format == 1 else [Noised.concatenate(parts)]

    def _targets(
        self, denoise: Denoiser, steps: Sequence[Sequence[Noised]]
    ) -> Sequence[Sequence[Noised]]:
        """The good latents of several steps, with all that `_losses` compares them with."""
        return self._with_pretrained(denoise, steps) if self.settings.pretrained_weight else steps

    def _with_pretrained(
        self, denoise: Denoiser, steps: Sequence[Sequence[Noised]]
    ) -> list[list[Compared]]:
        """The parts of several steps with the pretrained model's predictions."""
        if self.config.format == 1:
            at_once = self.settings.latents_at_once
            return [
                [each for part in parts for each in compared(self.policy, denoise, [part], at_once)]
                for parts in steps
            ]
        at_once = latents_in_a_pass(self.config.sampling)
        made = iter(compared(self.policy, denoise, list(chain(*steps)), at_once))
        return [list(islice(made, len(parts))) for parts in steps]

    def _first_step_latents(self, count: int) -> int:
        """How many of so many latents are put where sampling begins (`first_step_share`)."""
        return min(ceil(self.settings.first_step_share * count), max(count - 1, 0))

    def _losses(self, denoise: Denoiser) -> Losses[Any]:
        """The error of v, and the pull to the pretrained model."""
        weight = self.settings.pretrained_weight

        def errors(part: Noised, prediction: Tensor) -> Float[Tensor, " batch"]:
            return squared_errors(prediction, part.target) * part.v_weight

        def alone(part: Noised) -> Float[Tensor, " batch"]:
            return errors(part, denoise(part.z_t, part.timesteps))

        def with_pull(part: Compared) -> Float[Tensor, " batch"]:
            prediction = denoise(part.z_t, part.timesteps)
            return errors(part, prediction) + weight * part.change(prediction)

        return with_pull if weight else alone

    @property
    def _learned(self) -> Levels:
        """The noise levels that good images are learned from."""
        return self.settings.held_share, 1.0

    @property
    def _held_latents(self) -> int:
        """How many latents a step has at the others."""
        return ceil(self.settings.denoising_batch_size / 2) if self.settings.held_share else 0

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        prior = {} if self.prior is None else {"prior": {"latents": self.prior}}
        replay = {"latents": self.replay.latents, "good": self.replay.good}
        champion = self.standing.tensors or {}
        return {
            **super()._tensors(),
            "replay": replay,
            **prior,
            **{f"{CHAMPION}{file}": tensors for file, tensors in champion.items()},
        }

    def _facts(self) -> dict[str, Any]:
        standing = {"standing": self.standing.facts()} if self.settings.keep_best else {}
        return {**super()._facts(), **standing}

    def _restore(self, tensors: Mapping[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
        super()._restore(tensors, facts)
        self.replay = Replay(**tensors["replay"])
        self.prior = tensors["prior"]["latents"] if "prior" in tensors else None
        if self.settings.keep_best:
            self.standing = Standing.of(facts["standing"], under(CHAMPION, tensors))


def _held(pull: Pull, parts: Sequence[Compared]) -> list[Term[Compared]]:
    """A pull to the pretrained model, whose predictions are known."""
    return _as_terms(
        parts, lambda part: part.change(pull.denoise(part.z_t, part.timesteps)), pull.weight
    )


def _as_terms(parts: Sequence[Kind], losses: Losses[Kind], weight: float = 1.0) -> list[Term[Kind]]:
    """One term for each part, by its share of the latents."""
    size = sum(map(len, parts))
    return [Term(part, losses, weight * len(part) / size) for part in parts]
