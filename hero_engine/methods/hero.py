"""HERO (paper, Sec. 4 and App. D.1, Algorithm 1): generate, ask people, learn; again."""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hero_engine.config import HeroConfig
from hero_engine.errors import NoiseBankEmpty
from hero_engine.feedback.contrast import Contrast
from hero_engine.feedback.embedding import Embedding, train_embedding
from hero_engine.feedback.noise_bank import NoiseBank, fresh_count, pi_hero
from hero_engine.feedback.reward import REWARDS, Represent, binary, cautious, similarity
from hero_engine.methods.base import Method, timed
from hero_engine.report import OnProgress, Report, reporting
from hero_engine.storage.batch import Batch, Feedback
from hero_engine.streams import stream_seed


class Hero(Method):
    """One run of HERO. Algorithm 1 is, for every epoch:

    1. draw z_T from pi_HERO (Eq. 5; N(0, I) in the first), denoise, decode: `generate`;
    2. people say which images are good, and which is the best;
    3. train E on that (Eq. 3), reward each image by its similarity to the best (Eq. 4), update
       the policy (Eq. 8), keep the good noises (Eq. 5): `learn`.
    """

    def __init__(self, config: HeroConfig) -> None:
        super().__init__(config)
        self.design = REWARDS[config.reward]
        self.embeddings = [self._new_embedding(i) for i in range(config.embedding_ensemble)]
        self.embedding_trained = False
        self.anchor: Float[Tensor, "channel height width"] | None = None
        self.positives: Float[Tensor, "good channel height width"] | None = None

    def _new_embedding(self, member: int) -> Embedding:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(self.config.seed, 0, "embedding weights", member))
            return Embedding(self.policy.latent_shape).to(self.policy.device)

    def _batch_noises(self, n: int) -> Float[Tensor, "n channel height width"]:
        """Algorithm 1, first line: z_T from pi_HERO (Eq. 5); the last `_fresh` from N(0, I)."""
        generator, fresh = self._stream("noise"), self._fresh(n)
        if fresh == n:
            return self._normal_noises(n, generator)
        noises = self._bank_noises(n - fresh, generator)
        return torch.cat([noises, self._normal_noises(fresh, generator)]) if fresh else noises

    def _fresh(self, n: int) -> int:
        return fresh_count(
            self.bank, n, 1.0 if self.config.noise == "normal" else self.config.fresh_share
        )

    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        """Algorithm 1, second half: Eq. 3, 4, 8, and the noises for Eq. 5."""
        contrast, share = Contrast.of(feedback), self.config.full_update_share
        best, good = feedback.best, contrast.good
        anchor = self.anchor if best is None else batch.latents[best].clone()
        positives = batch.latents[good] if good else self.positives
        report.note = contrast.nothing_to_learn(
            has_anchor=anchor is not None or not self.design.embedded,
            bank=self.config.noise == "mixture",
        )
        if not report.note:
            embeddings = self.embeddings
            if self.design.embedded:
                embeddings = self._train_embeddings(batch, contrast, anchor, report, on_progress)
            rewards = self._rewards(embeddings, batch.latents, anchor, positives)
            if rewards is None:
                rewards = binary(feedback.good)
            self._policy_gradient(
                batch,
                rewards,
                report,
                on_progress,
                learning_rate_scale=contrast.learning_rate_scale(share),
            )
            self.embeddings, self.embedding_trained = embeddings, self.design.embedded
            report.note = contrast.unusual(share, needs_anchor=self.design.embedded)
            report.set_rewards(rewards.tolist(), good, contrast.bad)
        self.bank = _kept_noises(self.bank, batch, good, best)
        self.anchor = anchor
        if self.design.needs_positives:
            self.positives = positives

    def _train_embeddings(
        self,
        batch: Batch,
        contrast: Contrast,
        anchor: Float[Tensor, "channel height width"],
        report: Report,
        on_progress: OnProgress | None,
    ) -> list[Embedding]:
        """A copy of E that has learned to tell good from bad (Eq. 3); of each E of the ensemble."""
        config, device = self.config, self.policy.device
        embeddings = copy.deepcopy(self.embeddings)
        good, bad = self._embedding_examples(batch, contrast)
        steps = config.embedding_steps
        with timed(report, "embedding"):
            losses = [
                train_embedding(
                    embedding,
                    anchor.to(device),
                    good.to(device),
                    bad.to(device),
                    steps=steps,
                    learning_rate=config.embedding_lr,
                    batch_size=config.embedding_batch_size,
                    margin=config.margin,
                    generator=self._stream("embedding pairs", member),
                    on_step=reporting(
                        on_progress, "embedding", len(embeddings) * steps, member * steps
                    ),
                )
                for member, embedding in enumerate(embeddings)
            ]
        report.embedding_loss = sum(losses) / len(losses)
        return embeddings

    def _embedding_examples(
        self, batch: Batch, contrast: Contrast
    ) -> tuple[
        Float[Tensor, "good channel height width"], Float[Tensor, "bad channel height width"]
    ]:
        """The good and the bad latents that E learns from: the batch's."""
        return batch.latents[contrast.good], batch.latents[contrast.bad]

    @torch.no_grad()
    def _rewards(
        self,
        embeddings: list[Embedding],
        latents: Float[Tensor, "batch channel height width"],
        anchor: Float[Tensor, "channel height width"] | None,
        positives: Float[Tensor, "good channel height width"] | None,
    ) -> Float[Tensor, " batch"] | None:
        """Eq. 4, or an ablation of it; None where it is not measured on latents, or not yet.

        Of an ensemble, each E's reward, merged by `cautious`.
        """
        centre = positives if self.design.needs_positives else anchor
        if self.design.reference is None or centre is None:
            return None
        spaces = [self._in_space_of(e) for e in embeddings] if self.design.embedded else [_flat]
        rewards = [similarity(to(latents), self.design.reference(to, centre)) for to in spaces]
        return cautious(torch.stack(rewards), self.config.disagreement_weight).cpu()

    def _in_space_of(self, embedding: Embedding) -> Represent:
        return lambda z_0: embedding(z_0.to(self.policy.device))

    def predict(self, latents: Float[Tensor, "batch channel height width"]) -> list[float] | None:
        """Eq. 4 for clean latents; None before the first update, and for binary rewards."""
        if self.design.embedded and not self.embedding_trained:
            return None
        rewards = self._rewards(self.embeddings, latents, self.anchor, self.positives)
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
            best_image_ratio=self.config.best_image_ratio,
            noise_variance=self.config.noise_variance,
            noise_form=self.config.noise_form,
            generator=generator,
        )

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        noise = {"anchor": self.anchor, "positives": self.positives}
        if self.bank is not None:
            noise |= {"good": self.bank.good, "best": self.bank.best}
        return {
            **super()._tensors(),
            **{
                _embedding_file(member): embedding.state_dict()
                for member, embedding in enumerate(self.embeddings)
            },
            "noise": {name: tensor for name, tensor in noise.items() if tensor is not None},
        }

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "embedding_trained": self.embedding_trained}

    def _restore(self, tensors: dict[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
        super()._restore(tensors, facts)
        for member, embedding in enumerate(self.embeddings):
            embedding.load_state_dict(tensors[_embedding_file(member)])
        self.embedding_trained = bool(facts["embedding_trained"])
        noise = tensors["noise"]
        self.bank = NoiseBank(noise["good"], noise.get("best")) if "good" in noise else None
        self.anchor, self.positives = noise.get("anchor"), noise.get("positives")


def _flat(
    z_0: Float[Tensor, "batch channel height width"],
) -> Float[Tensor, "batch feature"]:
    """Clean latents as they are, instead of E of them."""
    return z_0.flatten(1)


def _embedding_file(member: int) -> str:
    """Name of an embedding's file in the checkpoint; the first has no number."""
    return "embedding" if not member else f"embedding-{member + 1}"


def _kept_noises(
    bank: NoiseBank | None, batch: Batch, good: list[int], best: int | None
) -> NoiseBank | None:
    """The noise bank after a batch: its good noises, and its best or else the one before's."""
    if not good:
        return bank
    before = bank.best if bank is not None else None
    return NoiseBank(batch.noises[good], before if best is None else batch.noises[best])
