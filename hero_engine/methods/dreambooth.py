"""DreamBooth (Ruiz et al., CVPR 2023) on the four best images of the run so far (paper, App. E.1).

    L = E |epsilon_phi(z_t, t, c_instance) - epsilon|^2
        + lambda E |epsilon_phi(z'_t, t, c_class) - epsilon'|^2

z_0 is one of the four images, z'_0 one that the pretrained model drew for the class prompt: the
loss on those is the prior preservation. As in the paper it is the LoRA that learns.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hero_engine.config import RunConfig
from hero_engine.diffusion.forward_process import Noised, squared_errors
from hero_engine.methods import denoising_loss
from hero_engine.methods.base import Method, timed
from hero_engine.methods.denoising_loss import Losses, Term
from hero_engine.methods.dreambooth_settings import DreamBoothSettings
from hero_engine.methods.prior import draw_prior, prior_prompt
from hero_engine.methods.workload import Workload
from hero_engine.report import OnProgress, Report, reporting
from hero_engine.storage.batch import Batch, Feedback

REFERENCES = 4
"""Images that are learned; the paper's number."""


class DreamBooth(Method[DreamBoothSettings]):
    """One run of DreamBooth, which goes on for `denoising_steps` steps in every epoch."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config)
        self.references: Float[Tensor, "reference channel height width"] = torch.zeros(
            0, *self.policy.latent_shape
        )
        self.is_best: Bool[Tensor, " reference"] = torch.zeros(0, dtype=torch.bool)
        self.prior: Float[Tensor, "prior channel height width"] | None = None

    def workload(self) -> Workload:
        """Of `denoising_steps` steps."""
        settings, generator = self.settings, self._stream("trial")
        process, device = self.policy.forward_process, self.policy.device
        losses = self._losses(settings.instance_prompt or self.config.prompt)
        size = settings.denoising_batch_size
        of_a_step = size * (2 if settings.prior_weight else 1)
        return Workload(
            lambda latents: losses(process.noised(latents, generator).to(device)),
            latents=settings.denoising_steps * of_a_step,
            at_once=size,
        )

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
        settings = self.settings
        if self.prior is None and settings.prior_weight:
            with timed(report, "prior"):
                self.prior = draw_prior(self.policy, settings, on_progress)
        with timed(report, "denoising"):
            losses = denoising_loss.train(
                self.optimizer,
                self._terms(references, self._stream("denoising")),
                learning_rate=settings.denoising_lr,
                max_grad_norm=self.config.lora.max_grad_norm,
                forward_batch_size=settings.latents_at_once,
                on_step=reporting(on_progress, "denoising", settings.denoising_steps),
            )
        report.set_denoising(losses)
        self.references, self.is_best = references, is_best
        report.updated = True

    def _terms(
        self,
        references: Float[Tensor, "reference channel height width"],
        generator: torch.Generator,
    ) -> Iterator[denoising_loss.Terms]:
        """What each step learns from: the references, and images that shall not be forgotten."""
        settings, n = self.settings, self.settings.denoising_batch_size
        instance = self._losses(settings.instance_prompt or self.config.prompt)
        preservation = self._losses(prior_prompt(self.policy, settings))

        process = self.policy.forward_process

        def drawn(latents: Tensor) -> Noised:
            rows = torch.randint(len(latents), (n,), generator=generator)
            return process.noised(latents[rows], generator)

        for _ in range(settings.denoising_steps):
            learned = [Term(drawn(references), instance)]
            if self.prior is not None:
                learned.append(Term(drawn(self.prior), preservation, settings.prior_weight))
            yield learned

    def _losses(self, prompt: str) -> Losses[Noised]:
        denoise = self.policy.denoiser(prompt, guided=False)

        def losses(part: Noised) -> Tensor:
            return squared_errors(denoise(part.z_t, part.timesteps), part.target)

        return losses

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        kept = {"latents": self.references, "is_best": self.is_best}
        if self.prior is not None:
            kept["prior"] = self.prior
        return {**super()._tensors(), "references": kept}

    def _restore(self, tensors: Mapping[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
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
