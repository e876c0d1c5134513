"""Methods that keep a noise bank, and an embedding of what people called good (Eq. 3, 4, 5)."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from hero_engine.config import RunConfig
from hero_engine.errors import NoiseBankEmpty
from hero_engine.feedback.embedding import LARGEST_SIDE, Embedding, train_embedding
from hero_engine.feedback.noise_bank import NoiseBank, fresh_count, pi_hero
from hero_engine.feedback.reward import REWARDS, RewardDesign, binary, similarity
from hero_engine.feedback.summary import FeedbackSummary
from hero_engine.methods.base import Method, timed
from hero_engine.methods.shared_settings import FeedbackSettings
from hero_engine.processes import from_first
from hero_engine.report import OnProgress, Report, reporting
from hero_engine.storage.batch import Batch, Feedback
from hero_engine.streams import stream_seed

Settings = TypeVar("Settings", bound=FeedbackSettings)


@dataclass(frozen=True)
class Appraisal:
    """What a batch's feedback says of its images."""

    summary: FeedbackSummary
    anchor: Float[Tensor, "channel height width"] | None
    positives: Float[Tensor, "good channel height width"] | None
    embedding: Embedding
    rewards: Float[Tensor, " batch"] | None
    """None where there was nothing to train E on."""


class FeedbackMethod(Method[Settings]):
    """Draws from pi_HERO (Eq. 5), trains E (Eq. 3), rewards by similarity (Eq. 4)."""

    design: RewardDesign = REWARDS["best"]

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(config.seed, 0, "embedding weights"))
            largest = None if config.format == 1 else LARGEST_SIDE
            embedding = Embedding(self.policy.latent_shape, largest)
        self.embedding = embedding.to(self.policy.device)
        self.embedding_trained = False
        self.anchor: Float[Tensor, "channel height width"] | None = None
        self.positives: Float[Tensor, "good channel height width"] | None = None

    def _batch_noises(self, n: int) -> Float[Tensor, "n channel height width"]:
        """Algorithm 1, first line: z_T from pi_HERO (Eq. 5); the last `_fresh` from N(0, I)."""
        generator, fresh = self._stream("noise"), self._fresh(n)
        if fresh == n:
            return self._normal_noises(n, generator)
        noises = self._bank_noises(n - fresh, generator)
        return torch.cat([noises, self._normal_noises(fresh, generator)]) if fresh else noises

    def _fresh(self, n: int) -> int:
        share = 1.0 if self.settings.noise == "normal" else self.settings.fresh_share
        return fresh_count(self.bank, n, share)

    def _success(self, report: Report) -> float | None:
        """By the verdicts on images from N(0, I), if there are some in every batch."""
        return report.success_rate_fresh if self.settings.fresh_share else report.success_rate

    def _appraise(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> Appraisal:
        """Train E on the batch's feedback (Eq. 3) and reward its images by it (Eq. 4).

        Changes nothing of the run; the report's note says why there are no rewards.
        """
        summary = FeedbackSummary.of(feedback)
        best, good = feedback.best, summary.good
        anchor = self.anchor if best is None else batch.latents[best].clone()
        positives = batch.latents[good] if good else self.positives
        report.note = summary.nothing_to_learn(
            has_anchor=anchor is not None or not self.design.embedded,
            bank=self.settings.noise == "mixture",
        )
        if report.note:
            return Appraisal(summary, anchor, positives, self.embedding, None)
        embedding = self.embedding
        if self.design.embedded and anchor is not None:
            embedding = self._trained_embedding(batch, summary, anchor, report, on_progress)
        rewards = self._rewards(embedding, batch.latents, anchor, positives)
        if rewards is None:
            rewards = binary(feedback.good)
        return Appraisal(summary, anchor, positives, embedding, rewards)

    def _remember(
        self, batch: Batch, feedback: Feedback, appraisal: Appraisal, report: Report
    ) -> None:
        """Take over E, the anchor and the noises of an epoch that was learned from."""
        summary = appraisal.summary
        if appraisal.rewards is not None:
            self.embedding, self.embedding_trained = appraisal.embedding, self.design.embedded
            report.set_rewards(appraisal.rewards.tolist(), summary.good, summary.bad)
        self.bank = _kept_noises(self.bank, batch, summary.good, feedback.best)
        self.anchor = appraisal.anchor
        if self.design.needs_positives:
            self.positives = appraisal.positives

    def _trained_embedding(
        self,
        batch: Batch,
        summary: FeedbackSummary,
        anchor: Float[Tensor, "channel height width"],
        report: Report,
        on_progress: OnProgress | None,
    ) -> Embedding:
        """A copy of E that has learned to tell the batch's good images from its bad ones."""
        settings, device = self.settings, self.policy.device
        embedding = copy.deepcopy(self.embedding)
        with timed(report, "embedding"):
            report.embedding_loss = train_embedding(
                embedding,
                anchor.to(device),
                batch.latents[summary.good].to(device),
                batch.latents[summary.bad].to(device),
                steps=settings.embedding_steps,
                learning_rate=settings.embedding_lr,
                batch_size=settings.embedding_batch_size,
                margin=settings.margin,
                generator=self._stream("embedding pairs"),
                on_step=reporting(on_progress, "embedding", settings.embedding_steps),
            )
            from_first(list(embedding.parameters()))
        return embedding

    @torch.no_grad()
    def _rewards(
        self,
        embedding: Embedding,
        latents: Float[Tensor, "batch channel height width"],
        anchor: Float[Tensor, "channel height width"] | None,
        positives: Float[Tensor, "good channel height width"] | None,
    ) -> Float[Tensor, " batch"] | None:
        """Eq. 4, or an ablation of it; None where it is not measured on latents, or not yet."""
        centre = positives if self.design.needs_positives else anchor
        if self.design.reference is None or centre is None:
            return None

        def represent(z_0: Tensor) -> Tensor:
            """In E's space, or clean latents as they are."""
            return embedding(z_0.to(self.policy.device)) if self.design.embedded else z_0.flatten(1)

        return similarity(represent(latents), self.design.reference(represent, centre)).cpu()

    def predict(self, latents: Float[Tensor, "batch channel height width"]) -> list[float] | None:
        """Eq. 4 for clean latents; None before the first update, and for binary rewards."""
        if self.design.embedded and not self.embedding_trained:
            return None
        rewards = self._rewards(self.embedding, latents, self.anchor, self.positives)
        return None if rewards is None else rewards.tolist()

    def _bank_noises(
        self, n: int, generator: torch.Generator
    ) -> Float[Tensor, "n channel height width"]:
        if self.bank is None:
            raise NoiseBankEmpty(
                "There are no good noises to draw from, since no image of this run has been called "
                "good yet; sample with normal noise, or finish an epoch with a good image first."
            )
        return pi_hero(
            self.bank,
            n,
            self.policy.latent_shape,
            best_image_ratio=self.settings.best_image_ratio,
            noise_variance=self.settings.noise_variance,
            noise_form=self.settings.noise_form,
            generator=generator,
        )

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        noise = {"anchor": self.anchor, "positives": self.positives}
        if self.bank is not None:
            noise |= {"good": self.bank.good, "best": self.bank.best}
        return {
            **super()._tensors(),
            "embedding": self.embedding.state_dict(),
            "noise": {name: tensor for name, tensor in noise.items() if tensor is not None},
        }

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "embedding_trained": self.embedding_trained}

    def _restore(self, tensors: Mapping[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
        super()._restore(tensors, facts)
        self.embedding.load_state_dict(tensors["embedding"])
        self.embedding_trained = bool(facts["embedding_trained"])
        noise = tensors["noise"]
        self.bank = NoiseBank(noise["good"], noise.get("best")) if "good" in noise else None
        self.anchor, self.positives = noise.get("anchor"), noise.get("positives")


def _kept_noises(
    bank: NoiseBank | None, batch: Batch, good: list[int], best: int | None
) -> NoiseBank | None:
    """The noise bank after a batch: its good noises, and its best or else the one before's."""
    if not good:
        return bank
    before = bank.best if bank is not None else None
    return NoiseBank(batch.noises[good], before if best is None else batch.noises[best])
