"""Methods that keep a noise bank, and an embedding of what people called good (Eq. 3, 4, 5)."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from hero_engine.config import RunConfig
from hero_engine.errors import NoiseBankEmpty
from hero_engine.feedback.embedding import LARGEST_SIDE, Embedding, train_embedding
from hero_engine.feedback.metrics import mean_of
from hero_engine.feedback.noise_bank import NoiseBank, fresh_count, pi_hero
from hero_engine.feedback.reward import REWARDS, RewardDesign, binary, similarity
from hero_engine.feedback.summary import FeedbackSummary
from hero_engine.methods.base import Method, timed
from hero_engine.methods.prompt_memory import PromptMemory, of_prompt
from hero_engine.methods.prompt_parts import PromptPart, parts_of
from hero_engine.methods.shared_settings import FeedbackSettings
from hero_engine.processes import from_first
from hero_engine.report import OnProgress, Report, reporting
from hero_engine.storage.batch import Batch, Feedback
from hero_engine.streams import stream_seed

Settings = TypeVar("Settings", bound=FeedbackSettings)


@dataclass(frozen=True)
class Appraisal:
    """What the feedback on one prompt's images says of them."""

    part: PromptPart
    summary: FeedbackSummary
    note: str
    """Why there are no rewards; empty where there are."""
    anchor: Float[Tensor, "channel height width"] | None
    positives: Float[Tensor, "good channel height width"] | None
    embedding: Embedding
    embedding_loss: float | None
    rewards: Float[Tensor, " batch"] | None
    """None where there was nothing to train E on."""


class FeedbackMethod(Method[Settings]):
    """Draws from pi_HERO (Eq. 5), trains E (Eq. 3), rewards by similarity (Eq. 4)."""

    design: RewardDesign = REWARDS["best"]

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.memories = [
            PromptMemory(self._new_embedding(number)) for number in range(len(config.prompts))
        ]
        """One for each prompt of the run. `embedding`, `bank` and `anchor` are the first one's."""

    def _new_embedding(self, number: int) -> Embedding:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(self.config.seed, 0, "embedding weights", number))
            largest = None if self.config.format == 1 else LARGEST_SIDE
            embedding = Embedding(self.policy.latent_shape, largest)
        return embedding.to(self.policy.device)

    @property
    def embedding(self) -> Embedding:
        """E of the run's prompt."""
        return self.memories[0].embedding

    @property
    def bank(self) -> NoiseBank | None:
        """The noises of the prompt's good images; None before there are any."""
        return self.memories[0].bank

    @property
    def anchor(self) -> Float[Tensor, "channel height width"] | None:
        """The clean latent of the prompt's best image."""
        return self.memories[0].anchor

    def _batch_noises(self, n: int, number: int = 0) -> Float[Tensor, "n channel height width"]:
        """Algorithm 1, first line: z_T from pi_HERO (Eq. 5); the last `_fresh` from N(0, I)."""
        generator, fresh = self._stream("noise", number), self._fresh(n, number)
        if fresh == n:
            return self._normal_noises(n, generator)
        noises = self._bank_noises(n - fresh, generator, number)
        return torch.cat([noises, self._normal_noises(fresh, generator)]) if fresh else noises

    def _fresh(self, n: int, number: int = 0) -> int:
        share = 1.0 if self.settings.noise == "normal" else self.settings.fresh_share
        return fresh_count(self.memories[number].bank, n, share)

    def _success(self, report: Report) -> float | None:
        """By the verdicts on images from N(0, I), if there are some in every batch."""
        return report.success_rate_fresh if self.settings.fresh_share else report.success_rate

    def _appraise(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> list[Appraisal]:
        """Prompt by prompt: train E on the feedback (Eq. 3) and reward the images by it (Eq. 4).

        Changes nothing of the run; the report's note says why there are no rewards.
        """
        parts = parts_of(batch, feedback, self.prompts)
        made = [self._appraise_part(part, report, on_progress) for part in parts]
        report.embedding_loss = mean_of([each.embedding_loss for each in made])
        for each in made:
            report.add_note(about(each.part, parts, each.note))
        return made

    def _appraise_part(
        self, part: PromptPart, report: Report, on_progress: OnProgress | None
    ) -> Appraisal:
        memory, summary = self.memories[part.number], FeedbackSummary.of(part.feedback)
        best, good, latents = part.feedback.best, summary.good, part.batch.latents
        anchor = memory.anchor if best is None else latents[best].clone()
        positives = latents[good] if good else memory.positives
        note = summary.nothing_to_learn(
            has_anchor=anchor is not None or not self.design.embedded,
            bank=self.settings.noise == "mixture",
        )
        if note:
            return Appraisal(part, summary, note, anchor, positives, memory.embedding, None, None)
        embedding, loss = memory.embedding, None
        if self.design.embedded and anchor is not None:
            embedding, loss = self._trained_embedding(part, summary, anchor, report, on_progress)
        rewards = self._rewards(embedding, latents, anchor, positives)
        if rewards is None:
            rewards = binary(part.feedback.good)
        return Appraisal(part, summary, note, anchor, positives, embedding, loss, rewards)

    def _remember(self, appraisals: Sequence[Appraisal], report: Report) -> None:
        """Take over E, the anchors and the noises of an epoch that was learned from."""
        for appraisal in appraisals:
            memory, part = self.memories[appraisal.part.number], appraisal.part
            if appraisal.rewards is not None:
                memory.embedding = appraisal.embedding
                memory.embedding_trained = self.design.embedded
            memory.bank = _kept_noises(
                memory.bank, part.batch, appraisal.summary.good, part.feedback.best
            )
            memory.anchor = appraisal.anchor
            if self.design.needs_positives:
                memory.positives = appraisal.positives
        rewards = rewards_of_all(appraisals)
        if rewards is not None:
            good, bad = rewarded_rows(appraisals)
            report.set_rewards(rewards.tolist(), good, bad)

    def _trained_embedding(
        self,
        part: PromptPart,
        summary: FeedbackSummary,
        anchor: Float[Tensor, "channel height width"],
        report: Report,
        on_progress: OnProgress | None,
    ) -> tuple[Embedding, float]:
        """A copy of E that has learned to tell the good images from the bad ones; its loss."""
        settings, device = self.settings, self.policy.device
        latents, number = part.batch.latents, part.number
        embedding, steps = copy.deepcopy(self.memories[number].embedding), settings.embedding_steps
        with timed(report, "embedding"):
            loss = train_embedding(
                embedding,
                anchor.to(device),
                latents[summary.good].to(device),
                latents[summary.bad].to(device),
                steps=steps,
                learning_rate=settings.embedding_lr,
                batch_size=settings.embedding_batch_size,
                margin=settings.margin,
                generator=self._stream("embedding pairs", number),
                on_step=reporting(
                    on_progress, "embedding", steps * len(self.prompts), before=steps * number
                ),
            )
            from_first(list(embedding.parameters()))
        return embedding, loss

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

    def predict(
        self, latents: Float[Tensor, "batch channel height width"], number: int = 0
    ) -> list[float] | None:
        """Eq. 4 for clean latents; None before the first update, and for binary rewards."""
        memory = self.memories[number]
        if self.design.embedded and not memory.embedding_trained:
            return None
        rewards = self._rewards(memory.embedding, latents, memory.anchor, memory.positives)
        return None if rewards is None else rewards.tolist()

    def _bank_noises(
        self, n: int, generator: torch.Generator, number: int = 0
    ) -> Float[Tensor, "n channel height width"]:
        bank, several = self.memories[number].bank, len(self.prompts) > 1
        if bank is None:
            images = f"image of {self.prompts[number]!r}" if several else "image of this run"
            raise NoiseBankEmpty(
                f"There are no good noises to draw from, since no {images} has been called good "
                "yet; sample with normal noise, or finish an epoch with a good image first."
            )
        return pi_hero(
            bank,
            n,
            self.policy.latent_shape,
            best_image_ratio=self.settings.best_image_ratio,
            noise_variance=self.settings.noise_variance,
            noise_form=self.settings.noise_form,
            generator=generator,
        )

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        files = super()._tensors()
        for number, memory in enumerate(self.memories):
            named = memory.tensors().items()
            files |= {f"{of_prompt(number)}{file}": tensors for file, tensors in named}
        return files

    def _facts(self) -> dict[str, Any]:
        trained = [memory.embedding_trained for memory in self.memories]
        several = {"embeddings_trained": trained} if len(trained) > 1 else {}
        return {**super()._facts(), "embedding_trained": trained[0], **several}

    def _restore(self, tensors: Mapping[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
        super()._restore(tensors, facts)
        trained = facts.get("embeddings_trained", [bool(facts["embedding_trained"])])
        for number, memory in enumerate(self.memories):
            names = {file: f"{of_prompt(number)}{file}" for file in ("embedding", "noise")}
            own = {file: tensors[name] for file, name in names.items()}
            memory.restore(own, embedding_trained=trained[number])


def rewards_of_all(appraisals: Sequence[Appraisal]) -> Float[Tensor, " batch"] | None:
    """Each image's reward, in the order of the batch: NaN where its prompt has none, and None where
    no prompt has any."""
    if all(appraisal.rewards is None for appraisal in appraisals):
        return None
    if len(appraisals) == 1:
        return appraisals[0].rewards
    found = torch.full((sum(len(each.part.rows) for each in appraisals),), float("nan"))
    for appraisal in appraisals:
        if appraisal.rewards is not None:
            found[appraisal.part.rows] = appraisal.rewards
    return found


def rewarded_rows(appraisals: Sequence[Appraisal]) -> tuple[list[int], list[int]]:
    """The good and the bad images that have rewards, by their numbers in the batch."""
    rewarded = [each for each in appraisals if each.rewards is not None]
    good = [each.part.rows[index] for each in rewarded for index in each.summary.good]
    bad = [each.part.rows[index] for each in rewarded for index in each.summary.bad]
    return good, bad


def about(part: PromptPart, parts: Sequence[Any], note: str) -> str:
    """A sentence, with the prompt that it is about where the run has several."""
    return f"{part.prompt}: {note}" if note and len(parts) > 1 else note


def _kept_noises(
    bank: NoiseBank | None, batch: Batch, good: list[int], best: int | None
) -> NoiseBank | None:
    """The noise bank after a batch: its good noises, and its best or else the one before's."""
    if not good or batch.noises is None:
        return bank
    before = bank.best if bank is not None else None
    return NoiseBank(batch.noises[good], before if best is None else batch.noises[best])
