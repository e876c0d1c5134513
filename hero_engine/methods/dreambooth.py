"""DreamBooth (Ruiz et al., CVPR 2023) on the four best images of the run so far (paper, App. E.1).

    L = E |epsilon_phi(z_t, t, c_instance) - epsilon|^2
        + lambda E |epsilon_phi(z'_t, t, c_class) - epsilon'|^2

z_0 is one of the four images, z'_0 one that the pretrained model drew for the class prompt: the
loss on those is the prior preservation. As in the paper it is the LoRA that learns.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hero_engine.config import HeroConfig
from hero_engine.diffusion import forward_process
from hero_engine.diffusion.forward_process import Losses, Noised, Term, noised
from hero_engine.diffusion.sampling import Denoiser
from hero_engine.methods.base import Method, timed
from hero_engine.methods.prior import draw_prior, prior_prompt
from hero_engine.report import OnProgress, Report, reporting
from hero_engine.storage.batch import Batch, Feedback

REFERENCES = 4
"""Images that are learned; the paper's number."""


class DreamBooth(Method):
    """One run of DreamBooth, which goes on for `denoising_steps` steps in every epoch."""

    def __init__(self, config: HeroConfig) -> None:
        super().__init__(config)
        self.references: Float[Tensor, "reference channel height width"] = torch.zeros(
            0, *self.policy.latent_shape
        )
        self.is_best: Bool[Tensor, " reference"] = torch.zeros(0, dtype=torch.bool)
        self.prior: Float[Tensor, "prior channel height width"] | None = None

    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        references, is_best = four_best(self.references, self.is_best, batch.latents, feedback)
        if not len(references):
            report.note = (
                "No image of this run has been called good yet, so there is nothing to learn from; "
                "the next batch is drawn as this one."
            )
            return
        config = self.config
        if self.prior is None and config.prior_weight:
            with timed(report, "prior"):
                self.prior = draw_prior(self.policy, self.schedule, config, on_progress)
        with timed(report, "denoising"):
            losses = forward_process.train(
                self.optimizer,
                self._terms(references, self._stream("denoising")),
                steps=config.denoising_steps,
                learning_rate=config.denoising_lr,
                max_grad_norm=config.max_grad_norm,
                forward_batch_size=config.forward_batch_size,
                on_step=reporting(on_progress, "denoising", config.denoising_steps),
            )
        report.set_denoising(losses)
        self.references, self.is_best = references, is_best
        report.updated = True

    def _terms(
        self,
        references: Float[Tensor, "reference channel height width"],
        generator: torch.Generator,
    ) -> forward_process.Terms:
        config, n = self.config, self.config.denoising_batch_size
        instance = self._losses(config.instance_prompt or config.prompt)
        preservation = self._losses(prior_prompt(config))

        def drawn(latents: Tensor) -> Noised:
            rows = torch.randint(len(latents), (n,), generator=generator)
            return noised(self.policy.pipe.scheduler, latents[rows], generator)

        def terms() -> list[Term]:
            learned = [Term(drawn(references), instance)]
            if self.prior is not None:
                learned.append(Term(drawn(self.prior), preservation, config.prior_weight))
            return learned

        return terms

    def _losses(self, prompt: str) -> Losses:
        denoise: Denoiser = self.policy.denoiser(prompt, self.config.unguided)

        def losses(part: Noised) -> Tensor:
            return forward_process.squared_errors(denoise(part.z_t, part.timesteps), part.target)

        return losses

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        kept = {"latents": self.references, "is_best": self.is_best}
        if self.prior is not None:
            kept["prior"] = self.prior
        return {**super()._tensors(), "references": kept}

    def _restore(self, tensors: dict[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
        super()._restore(tensors, facts)
        kept = tensors["references"]
        self.references, self.is_best = kept["latents"], kept["is_best"]
        self.prior = kept.get("prior")


def four_best(
    references: Float[Tensor, "before channel height width"],
    is_best: Bool[Tensor, " before"],
    latents: Float[Tensor, "batch channel height width"],
    feedback: Feedback,
) -> tuple[Float[Tensor, "after channel height width"], Bool[Tensor, " after"]]:
    """The references after another batch: best images before good ones, earlier before later.

    So a best image replaces one that is only good, and four best ones stay.
    """
    good = [index for index, verdict in enumerate(feedback.good) if verdict]
    chosen = torch.tensor([index == feedback.best for index in good], dtype=torch.bool)
    latents, is_best = torch.cat([references, latents[good]]), torch.cat([is_best, chosen])
    order = is_best.int().argsort(descending=True, stable=True)[:REFERENCES]
    return latents[order], is_best[order]
