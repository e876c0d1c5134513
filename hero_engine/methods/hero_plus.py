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
from jaxtyping import Float, Int
from torch import Tensor

from hero_engine.config import RunConfig
from hero_engine.diffusion.forward_process import Levels, Noised, squared_errors
from hero_engine.diffusion.kernel import Denoiser
from hero_engine.errors import ConfigError
from hero_engine.feedback.evidence import Tally
from hero_engine.feedback.examples import Examples
from hero_engine.feedback.replay import Replay
from hero_engine.feedback.summary import FeedbackSummary
from hero_engine.feedback.tallies import Tallies
from hero_engine.methods import denoising_loss
from hero_engine.methods.base import timed
from hero_engine.methods.denoising_loss import Kind, Losses, Term
from hero_engine.methods.feedback_method import Appraisal, FeedbackMethod, about
from hero_engine.methods.hero_plus_settings import HeroPlusSettings
from hero_engine.methods.pretrained_pull import Compared, Pull, compared, latents_in_a_pass
from hero_engine.methods.prior import draw_prior, prior_prompt
from hero_engine.methods.prompt_memory import of_prompt
from hero_engine.methods.prompt_parts import PromptPart
from hero_engine.methods.rollback import Rollback, under
from hero_engine.methods.shared_steps import draws_by_prompt, mending, repeats
from hero_engine.methods.standing import HALF, Judged, Standing, Verdicts, came_back
from hero_engine.methods.workload import Workload
from hero_engine.report import OnProgress, Report, reporting
from hero_engine.storage.batch import Batch, Feedback
from hero_engine.storage.checkpoint import Checkpoint

CHAMPION = "champion-"
"""Begins the names of a checkpoint's files that hold the model which people's verdicts speak for,
where it is not the one that the run goes on with."""


Draws = Callable[[int], tuple[Float[Tensor, "n channel height width"], Int[Tensor, " n"] | None]]
"""So many of the good latents, by chance, and the numbers of their prompts."""


class HeroPlus(FeedbackMethod[HeroPlusSettings]):
    """One run of hero+. E is trained for the predictions only."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.replays = [Replay.empty(self.policy.latent_shape) for _ in config.prompts]
        """One for each prompt of the run."""
        self.prior: Float[Tensor, "prior channel height width"] | None = None
        several = len(config.prompts) > 1
        none = Tallies.none(len(config.prompts)) if several else Tally()
        self.standing = Standing(Judged(0, none))
        if self.settings.keep_best:
            self.rollback = Rollback(0.0)

    @property
    def replay(self) -> Replay:
        """That of the run's prompt."""
        return self.replays[0]

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
        theirs = [saved.config["prompt"], *saved.config.get("further_prompts", ())]
        for number, prompt in enumerate(self.prompts):
            if prompt not in theirs and len(self.prompts) + len(theirs) > 2:
                continue
            own = theirs.index(prompt) if prompt in theirs else 0
            replay = Replay(**saved.tensors[f"{of_prompt(own)}replay"])
            if replay.latents.shape[1:] != self.replay.latents.shape[1:]:
                raise ConfigError(
                    "The run cannot go on with earlier labels, since its images have another size; "
                    "leave --with-labels out, or the size."
                )
            self.replays[number] = replay

    def workload(self) -> Workload:
        """Of `denoising_steps` full steps."""
        settings, generator = self.settings, self._stream("trial")
        denoise = self.policy.denoiser(self.prompt, guided=False)
        steps, size, pulled = settings.denoising_steps, settings.denoising_batch_size, self._pulled

        def losses(latents: Float[Tensor, "batch c h w"]) -> Float[Tensor, " batch"]:
            parts = self._noised(latents, self._first_step_latents(len(latents)), generator)
            part = Noised.concatenate(parts).to(self.policy.device)
            return _errors(part, part.predicted(denoise))

        return Workload(
            losses,
            latents=steps * (size + pulled),
            at_once=size,
            scored=steps * (pulled + (size if settings.pretrained_weight else 0)),
        )

    def _keep(self, part: PromptPart) -> None:
        self.replays[part.number] = self.replays[part.number].add(part.batch, part.feedback)

    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        appraisals = self._appraise(batch, feedback, report, on_progress)
        parts = [appraisal.part for appraisal in appraisals]
        fresh = [self._fresh_verdicts(part) for part in parts]
        self._remember(appraisals, report)
        summary, nothing_to_learn = FeedbackSummary.of(feedback), report.note
        verdicts: Verdicts = fresh if len(parts) > 1 else fresh[0]
        report.note = self._judge(verdicts, report) if self.settings.keep_best else ""
        any_good = any(replay.good.any() for replay in self.replays)
        learns = summary.judged and any_good and not report.good_enough
        steps = self._steps(report) if learns else 0
        if steps:
            before = self._policy_tensors() if self.settings.keep_best else None
            self._take_steps(batch, steps, report, on_progress)
            if before is not None:
                self.standing.updated(before, self.epoch + 1)
            report.add_note(self._note(appraisals))
        elif not report.good_enough:
            left = learns and (summary.bad or self.settings.keep_best)
            report.add_note(self._left_as_it_is() if left else nothing_to_learn)
        if self.settings.keep_best:
            self.standing.fill_in(report)

    def _judge(self, verdicts: Verdicts, report: Report) -> str:
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
                self._terms(self._unguided(batch), steps),
                learning_rate=settings.denoising_lr,
                max_grad_norm=self.config.lora.max_grad_norm,
                forward_batch_size=settings.latents_at_once,
                on_step=reporting(on_progress, "denoising", steps),
            )
        report.set_denoising(losses)
        report.updated = True

    def _unguided(self, batch: Batch) -> Denoiser:
        """The network for a batch's prompts."""
        return self.policy.denoiser(self.prompts if batch.prompts else batch.prompt, guided=False)

    def _note(self, appraisals: Sequence[Appraisal]) -> str:
        """What people should know of an epoch in which steps were made."""
        if all(memory.anchor is None for memory in self.memories):
            return "No best image has been chosen yet, so nothing can be predicted."
        said = [
            about(each.part, appraisals, each.summary.unusual(0.0, needs_anchor=True))
            for each in appraisals
            if each.anchor is not None
        ]
        return " ".join(filter(None, said))

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

    def _fresh(self, n: int, number: int = 0) -> int:
        rate = self._tally(number).rate
        if self.settings.keep_best and rate is not None and rate >= HALF:
            return n
        return super()._fresh(n, number)

    def _tally(self, number: int) -> Tally:
        """The verdicts on the judged model's images of a prompt."""
        tally = self.standing.last_judged.tally
        return tally.of_prompts[number] if isinstance(tally, Tallies) else tally

    def _draws(self) -> list[float]:
        """How often each prompt's good latents are drawn in this epoch."""
        numbers, judged = range(len(self.prompts)), self.latest
        if self.settings.keep_best:
            judged = [self._tally(number) for number in numbers]
        good = [int(replay.good.sum()) for replay in self.replays]
        return draws_by_prompt(self.settings, good, judged)

    def _steps(self, report: Report) -> int:
        """How many steps there are good latents for (`denoising_repeats`) and reason for
        (`denoising_full_share`)."""
        if len(self.prompts) > 1:
            return ceil(sum(self._draws()) / self.settings.denoising_batch_size)
        settings, good = self.settings, int(self.replay.good.sum())
        steps, success = settings.denoising_steps, self._success(report)
        if settings.denoising_repeats:
            draws = repeats(settings, success) * good
            steps = min(steps, ceil(draws / settings.denoising_batch_size))
        return ceil(steps * mending(settings, success))

    def _terms(self, denoise: Denoiser, steps: int) -> Iterator[denoising_loss.Terms]:
        """What each step learns from: good latents, noised and as noise alone, and what is held to
        the pretrained model."""
        settings, generator = self.settings, self._stream("denoising")
        size = settings.denoising_batch_size
        examples = Examples.of(self.replays, self._draws())
        draws = partial(examples.draw, generator=generator)
        pulls = self._pulls(denoise, examples, generator)
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
        z_0, captions = draws(size - first)
        parts = [process.noised(z_0, generator, self._learned).captioned(captions)]
        if first:
            z_0, captions = draws(first)
            parts.append(process.noise_only(z_0, generator).captioned(captions))
        return self._passes(parts)

    def _pulls(
        self, denoise: Denoiser, examples: Examples, generator: torch.Generator
    ) -> Callable[[int], Iterator[Pull]]:
        """What a step, by its number, holds to the pretrained model: the cleaner noise levels, the
        prior, and one of the kept prompts in turn."""
        settings, process = self.settings, self.policy.forward_process
        size, held, few = settings.denoising_batch_size, self._held_latents, self._kept_latents
        first = self._first_step_latents(size)
        of_prior = self.policy.denoiser(prior_prompt(self.policy, settings), guided=False)
        of_kept = [
            (self.policy.denoiser(kept, guided=False), examples.only(number))
            for kept, number in settings.kept_beside(self.prompts).items()
        ]

        def of_step(step: int) -> Iterator[Pull]:
            if held:
                z_0, captions = examples.draw(held, generator)
                part = process.noised(z_0, generator, (0.0, settings.held_share))
                yield Pull(denoise, [part.captioned(captions)], settings.held_weight)
            if self.prior is not None:
                rows = torch.randint(len(self.prior), (size,), generator=generator)
                parts = self._passes(self._noised(self.prior[rows], first, generator))
                yield Pull(of_prior, parts, settings.preservation_weight)
            if of_kept:
                of_one, near = of_kept[step % len(of_kept)]
                z_0, _ = near.draw(few, generator)
                parts = self._noised(z_0, self._first_step_latents(few), generator)
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

        def alone(part: Noised) -> Float[Tensor, " batch"]:
            return _errors(part, part.predicted(denoise))

        def with_pull(part: Compared) -> Float[Tensor, " batch"]:
            prediction = part.predicted(denoise)
            return _errors(part, prediction) + weight * part.change(prediction)

        return with_pull if weight else alone

    @property
    def _learned(self) -> Levels:
        """The noise levels that good images are learned from."""
        return self.settings.held_share, 1.0

    @property
    def _held_latents(self) -> int:
        """How many latents a step has at the others."""
        return ceil(self.settings.denoising_batch_size / 2) if self.settings.held_share else 0

    @property
    def _kept_latents(self) -> int:
        """How many it has of a prompt that shall stay as it is."""
        kept = self.settings.kept_beside(self.prompts)
        return ceil(self.settings.denoising_batch_size / 2) if kept else 0

    @property
    def _pulled(self) -> int:
        """How many latents of a step are held to the pretrained model, beside the good ones."""
        of_prior = self.settings.denoising_batch_size if self.settings.preservation_weight else 0
        return self._held_latents + of_prior + self._kept_latents

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        prior = {} if self.prior is None else {"prior": {"latents": self.prior}}
        champion = self.standing.tensors or {}
        return {
            **super()._tensors(),
            **{
                f"{of_prompt(number)}replay": {"latents": replay.latents, "good": replay.good}
                for number, replay in enumerate(self.replays)
            },
            **prior,
            **{f"{CHAMPION}{file}": tensors for file, tensors in champion.items()},
        }

    def _facts(self) -> dict[str, Any]:
        standing = {"standing": self.standing.facts()} if self.settings.keep_best else {}
        return {**super()._facts(), **standing}

    def _restore(self, tensors: Mapping[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
        super()._restore(tensors, facts)
        self.replays = [
            Replay(**tensors[f"{of_prompt(number)}replay"]) for number in range(len(self.prompts))
        ]
        self.prior = tensors["prior"]["latents"] if "prior" in tensors else None
        if self.settings.keep_best:
            self.standing = Standing.of(facts["standing"], under(CHAMPION, tensors))


def _errors(part: Noised, prediction: Float[Tensor, "batch c h w"]) -> Float[Tensor, " batch"]:
    """Of v, in a network's prediction."""
    return squared_errors(prediction, part.target) * part.v_weight


def _held(pull: Pull, parts: Sequence[Compared]) -> list[Term[Compared]]:
    """A pull to the pretrained model, whose predictions are known."""
    return _as_terms(parts, lambda part: part.change(part.predicted(pull.denoise)), pull.weight)


def _as_terms(parts: Sequence[Kind], losses: Losses[Kind], weight: float = 1.0) -> list[Term[Kind]]:
    """One term for each part, by its share of the latents."""
    size = sum(map(len, parts))
    return [Term(part, losses, weight * len(part) / size) for part in parts]
