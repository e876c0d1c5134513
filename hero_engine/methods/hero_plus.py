"""HERO, and after each of its updates some steps on the denoising loss of the good images so far.

The policy gradient alone teaches the model less on fresh noises than on those of the noise bank;
the forward process on the latents that people called good teaches it everywhere, at the price of
diversity. Everything that holds the price down is a setting: how many steps and how large
(`denoising_*`), and how far they may lead (`max_denoising_change`) or whence (`denoising_anew`);
which good images they draw (`denoising_weights`), and whether also where sampling begins
(`first_step_share`); negatives as in DiffusionNFT (`negative_share`, `nft_beta`); whether the
guided prediction learns or the prompt's alone (`denoising_guided`); and pulls to the pretrained
model, on the judged latents (`pretrained_weight`) and on its own (`preservation_weight`,
`unconditional_weight`).
"""

from math import ceil
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hero_engine.config import HeroConfig
from hero_engine.diffusion import forward_process
from hero_engine.diffusion.forward_process import Losses, Noised, Term, begun, noised
from hero_engine.diffusion.sampling import Denoiser
from hero_engine.feedback import replay_weights
from hero_engine.feedback.contrast import Contrast
from hero_engine.feedback.replay import Replay
from hero_engine.methods.base import adamw, timed
from hero_engine.methods.change_bound import ChangeBound
from hero_engine.methods.hero import Hero
from hero_engine.methods.prior import draw_prior, prior_prompt
from hero_engine.report import OnProgress, Report, reporting
from hero_engine.storage.batch import Batch, Feedback
from hero_engine.storage.checkpoint import load_optimizer_tensors, optimizer_tensors


class HeroPlus(Hero):
    """One run of HERO with denoising steps; they have an AdamW of their own."""

    def __init__(self, config: HeroConfig) -> None:
        super().__init__(config)
        self.replay = Replay.empty(self.policy.latent_shape)
        self.prior: Float[Tensor, "prior channel height width"] | None = None
        self.untrained = self.policy.lora_state()
        self.denoising_optimizer = adamw(self.policy.parameters, config)
        if self.average is not None:
            self.average.follow(self.denoising_optimizer)

    def _keep(self, batch: Batch, feedback: Feedback) -> None:
        empty = Replay.empty(self.policy.latent_shape)
        kept = self.replay if self.config.denoising_replay else empty
        self.replay = kept.add(batch, feedback)

    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        super()._learn(batch, feedback, report, on_progress)
        contrast = Contrast.of(feedback)
        if not contrast.judged or not self.replay.good.any():
            return
        steps = self._steps(report)
        if not steps:
            if contrast.bad and not report.updated:
                report.note = (
                    "All of the fresh images are good, so there is nothing to mend and the model "
                    "was not changed."
                )
            return
        self._draw_prior(report, on_progress)
        config = self.config
        denoise = self.policy.denoiser(
            batch.prompt, config if config.denoising_guided else config.unguided
        )
        with timed(report, "denoising"):
            if config.denoising_anew:
                self._begin_anew()
            bound = self._bound(denoise)
            losses = forward_process.train(
                self.denoising_optimizer,
                self._terms(denoise, self._stream("denoising")),
                steps=steps,
                learning_rate=config.denoising_lr,
                max_grad_norm=config.max_grad_norm,
                forward_batch_size=config.forward_batch_size,
                on_step=reporting(on_progress, "denoising", steps),
                enough=bound,
            )
        report.set_denoising(losses)
        report.denoising_change = bound.change if bound is not None else None
        if not report.updated:
            report.note = self._steps_alone(contrast)
        report.updated = True

    def _steps_alone(self, contrast: Contrast) -> str:
        """What people should know of an epoch in which only denoising steps were made."""
        if self.config.inner_epochs:
            return contrast.only("the denoising steps on the good images so far")
        if self.design.embedded and self.anchor is None:
            return "No best image has been chosen yet, so nothing can be predicted."
        return contrast.unusual(0.0, needs_anchor=self.design.embedded)

    def _steps(self, report: Report) -> int:
        """How many steps there are good latents for (`denoising_repeats`) and reason for
        (`denoising_full_share`)."""
        config, good = self.config, int(self.replay.good.sum())
        steps = config.denoising_steps
        if config.denoising_repeats:
            enough = config.denoising_repeats * good / config.denoising_batch_size
            steps = min(steps, ceil(enough))
        success = self._success(report)
        if config.denoising_full_share and success is not None:
            steps = ceil(steps * min(1.0, (1.0 - success) / config.denoising_full_share))
        return steps

    def _begin_anew(self) -> None:
        """The pretrained model, and an optimizer that knows of no step."""
        self.policy.load_lora_state(self.untrained)
        self.denoising_optimizer.state.clear()
        if self.average is not None:
            self.average.begin()

    def _embedding_examples(
        self, batch: Batch, contrast: Contrast
    ) -> tuple[
        Float[Tensor, "good channel height width"], Float[Tensor, "bad channel height width"]
    ]:
        """The batch's, or those of all epochs (`embedding_replay`)."""
        if not self.config.embedding_replay:
            return super()._embedding_examples(batch, contrast)
        return self.replay.latents[self.replay.good], self.replay.latents[~self.replay.good]

    def _terms(self, denoise: Denoiser, generator: torch.Generator) -> forward_process.Terms:
        """What a step learns from: latents good and bad, and the pretrained model's own."""
        config, scheduler = self.config, self.policy.pipe.scheduler
        size, all_good = config.denoising_batch_size, bool(self.replay.good.all())
        plain = (all_good or not config.negative_share) and config.nft_beta == 1
        losses = self._losses(denoise, plain=plain)
        weights = self._weights()
        pulls = self._pulls()

        def terms() -> list[Term]:
            bad = 0 if all_good else self._bad_latents(size, generator)
            first = self._first_step_latents(size - bad)
            good = size - bad - first
            z_0 = torch.cat(
                [
                    self.replay.draw(good, generator, good=True, weights=weights),
                    self.replay.draw(bad, generator, good=False),
                ]
            )
            optimality = torch.cat([torch.ones(good), torch.zeros(bad)])
            noisy = noised(scheduler, z_0, generator, optimality)
            judged = [Term(noisy, losses, weight=(good + bad) / size)]
            if first:
                z_0 = self.replay.draw(first, generator, good=True, weights=weights)
                judged.append(Term(self._begun(z_0, generator), losses, weight=first / size))
            if not pulls:
                return judged
            own = self._own_latents(size, generator)
            return judged + [
                Term(part, pull, weight=weight * len(part) / size)
                for part in own
                for pull, weight in pulls
            ]

        return terms

    def _own_latents(self, size: int, generator: torch.Generator) -> list[Noised]:
        """A step's latents of the pretrained model, as many of them where sampling begins."""
        z_0 = self.prior[torch.randint(len(self.prior), (size,), generator=generator)]
        first = self._first_step_latents(size)
        noisy = noised(self.policy.pipe.scheduler, z_0[first:], generator)
        return [noisy, self._begun(z_0[:first], generator)] if first else [noisy]

    def _begun(
        self, z_0: Float[Tensor, "batch channel height width"], generator: torch.Generator
    ) -> Noised:
        """Latents where this run's sampling begins."""
        first_timestep = int(self.schedule.timesteps[0])
        return begun(self.policy.pipe.scheduler, z_0, generator, first_timestep=first_timestep)

    def _first_step_latents(self, count: int) -> int:
        """How many of so many latents are put where sampling begins (`first_step_share`)."""
        return min(ceil(self.config.first_step_share * count), max(count - 1, 0))

    def _bad_latents(self, size: int, generator: torch.Generator) -> int:
        """How many of a step's latents are bad ones (`negative_share`)."""
        share = self.config.negative_share
        if share != "judged":
            return round(share * size)
        share_of_bad = (~self.replay.good).float().mean()
        return int((torch.rand(size, generator=generator) < share_of_bad).sum())

    def _weights(self) -> Float[Tensor, " good"] | None:
        """How likely each good latent so far is drawn; None for all alike."""
        chosen = self.config.denoising_weights
        if chosen == "uniform":
            return None
        latents = self.replay.latents[self.replay.good]
        if chosen == "reward":
            rewards = self.predict(latents)
            return None if rewards is None else replay_weights.reward_weights(torch.tensor(rewards))
        return {"novelty": replay_weights.novelty, "rarity": replay_weights.rarity}[chosen](
            self._points(latents)
        )

    @torch.no_grad()
    def _points(
        self, latents: Float[Tensor, "good channel height width"]
    ) -> Float[Tensor, "good feature"]:
        """Clean latents where distances between them are measured (`denoising_space`): their
        directions in E's space, of each E of an ensemble; or as they are, also before E has learned
        anything."""
        if self.config.denoising_space == "latents" or not self.embedding_trained:
            return latents.flatten(1)
        spaces = [self._in_space_of(embedding)(latents) for embedding in self.embeddings]
        return torch.cat([torch.nn.functional.normalize(e, dim=1) for e in spaces], dim=1).cpu()

    def _losses(self, denoise: Denoiser, *, plain: bool) -> Losses:
        """The denoising loss (`plain`) or DiffusionNFT's, weighted by `snr_weighting`, and the pull
        to the pretrained model."""
        config = self.config
        prediction_type = self.policy.pipe.scheduler.config.prediction_type
        before = [parameter.detach().clone() for parameter in self.policy.parameters]

        def losses(part: Noised) -> Tensor:
            old = pretrained = None
            with torch.no_grad():
                if not plain:
                    with self.policy.as_it_was(before):
                        old = denoise(part.z_t, part.timesteps)
                if config.pretrained_weight:
                    with self.policy.pretrained():
                        pretrained = denoise(part.z_t, part.timesteps)
            prediction = denoise(part.z_t, part.timesteps)
            if old is None:
                loss = forward_process.squared_errors(prediction, part.target)
            else:
                loss = forward_process.nft_losses(
                    prediction, old, part.target, part.optimality, config.nft_beta
                )
            loss = loss * forward_process.snr_weights(
                part.snr,
                prediction_type,
                weighting=config.snr_weighting,
                gamma=config.snr_gamma,
            )
            if pretrained is not None:
                pull = forward_process.squared_errors(prediction, pretrained)
                loss = loss + config.pretrained_weight * pull
            return loss

        return losses

    def _pulls(self) -> list[tuple[Losses, float]]:
        """The pulls to the pretrained model on its own latents, and their weights."""
        captions = {
            prior_prompt(self.config): self.config.preservation_weight,
            "": self.config.unconditional_weight,
        }
        return [(self._pull(caption), weight) for caption, weight in captions.items() if weight]

    def _pull(self, caption: str) -> Losses:
        denoise = self.policy.denoiser(caption, self.config.unguided)

        def losses(part: Noised) -> Tensor:
            with torch.no_grad(), self.policy.pretrained():
                pretrained = denoise(part.z_t, part.timesteps)
            return forward_process.squared_errors(denoise(part.z_t, part.timesteps), pretrained)

        return losses

    def _draw_prior(self, report: Report, on_progress: OnProgress | None) -> None:
        """The pretrained model's own latents, once they are needed."""
        config = self.config
        if self.prior is None and (config.preservation_weight or config.unconditional_weight):
            with timed(report, "prior"):
                self.prior = draw_prior(self.policy, self.schedule, config, on_progress)

    def _bound(self, denoise: Denoiser) -> ChangeBound | None:
        """The bound of the denoising steps, measured on judged latents, good and bad."""
        config, generator = self.config, self._stream("denoising probe")
        if not config.max_denoising_change:
            return None
        rows = torch.randint(
            len(self.replay.latents), (config.denoising_batch_size,), generator=generator
        )
        probe = noised(self.policy.pipe.scheduler, self.replay.latents[rows], generator)
        return ChangeBound(denoise, probe, config.max_denoising_change, self.policy.device)

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        prior = {} if self.prior is None else {"prior": {"latents": self.prior}}
        replay = {"latents": self.replay.latents, "good": self.replay.good}
        return {**super()._tensors(), "replay": replay, **prior}

    def _restore(self, tensors: dict[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
        super()._restore(tensors, facts)
        self.replay = Replay(**tensors["replay"])
        self.prior = tensors["prior"]["latents"] if "prior" in tensors else None

    def _policy_tensors(self) -> dict[str, dict[str, Tensor]]:
        return {
            **super()._policy_tensors(),
            "denoising_optimizer": optimizer_tensors(self.denoising_optimizer),
        }

    def _restore_policy(self, tensors: dict[str, dict[str, Tensor]]) -> None:
        super()._restore_policy(tensors)
        load_optimizer_tensors(self.denoising_optimizer, tensors["denoising_optimizer"])
