"""D3PO: direct preference optimisation of denoising steps (Yang et al., CVPR 2024).

Of a good image w and a bad one l, every trained step t is a preference between two actions:

    L = -E log sigma( beta log p_phi(z^w_{t-1} | z^w_t, c) / p_ref(z^w_{t-1} | z^w_t, c)
                    - beta log p_phi(z^l_{t-1} | z^l_t, c) / p_ref(z^l_{t-1} | z^l_t, c) )

p_ref is the pretrained model, which is the present one with its LoRA off. Each ratio is clipped to
[1 - eps, 1 + eps], outside of which it has no gradient.

As in the authors' code, log-probabilities are means over the latent's dimensions, guidance is used
in training too, and both images of a preference are compared at the same t: the trained steps of a
batch are drawn once for all its images. The authors train on a file of samples with learning rate
3e-5, all steps, beta 0.1, and clip at 0.2 in the loop though their configuration says eps 0.1; set
`learning_rate`, `trained_steps` and `d3po_clip` accordingly. Unlike theirs, a step of the optimizer
sees several preferences at all their trained steps.
"""

from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from hero_engine.diffusion.kernel import Denoiser
from hero_engine.diffusion.sampling import Transitions
from hero_engine.feedback.summary import FeedbackSummary
from hero_engine.methods import policy_gradient
from hero_engine.methods.base import timed
from hero_engine.methods.d3po_settings import D3poSettings
from hero_engine.methods.policy_gradient import Pairs
from hero_engine.methods.steps import take_steps
from hero_engine.methods.trajectory import TrajectoryMethod, transitions_of
from hero_engine.methods.workload import Workload
from hero_engine.processes import shared_gradients
from hero_engine.report import OnProgress, Report, reporting
from hero_engine.storage.batch import Batch, Feedback


class D3po(TrajectoryMethod[D3poSettings]):
    """One run of D3PO; a best image counts as good, and batches are drawn from N(0, I)."""

    def _trained_steps(self, n: int) -> Int[Tensor, "n trained"]:
        return super()._trained_steps(1).expand(n, -1)

    def workload(self) -> Workload:
        """Of preferences between as many good images as bad ones, and of the reference's scores."""
        return policy_gradient.pairs_workload(self, scored=True)

    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        summary = FeedbackSummary.of(feedback)
        report.note = summary.nothing_to_learn()
        if report.note:
            return
        settings, generator = self.settings, self._stream("preferences")
        preferences = [
            part
            for _ in range(settings.inner_epochs)
            for part in draw_preferences(summary.good, summary.bad, generator).split(
                settings.images_in_a_step // 2
            )
        ]
        with timed(report, "update"):
            denoise = self.policy.denoiser(batch.prompt)
            transitions = self._with_reference(denoise, transitions_of(batch), summary)
            made, norms = take_steps(
                self.optimizer,
                [
                    partial(self._accumulate_gradient, denoise, transitions, part)
                    for part in preferences
                ],
                learning_rate=settings.learning_rate,
                max_grad_norm=self.config.lora.max_grad_norm,
                on_step=reporting(on_progress, "update", len(preferences)),
            )
        losses, clipped = zip(*made, strict=True)
        report.updated = True
        report.loss = float(torch.cat(losses).mean())
        report.clip_fraction = float(torch.cat(clipped).float().mean())
        report.grad_norm = float(torch.stack(norms).mean())

    def _with_reference(
        self, denoise: Denoiser, transitions: Transitions, summary: FeedbackSummary
    ) -> Transitions:
        """The judged images' transitions with the pretrained model's log-probabilities."""
        judged = torch.tensor(sorted(summary.good + summary.bad))
        with self.policy.pretrained():
            return policy_gradient.rescored(
                denoise,
                self.schedule,
                transitions,
                list(judged.split(self.settings.minibatch_size)),
                self.settings.latents_at_once,
                self.policy.device,
            )

    def _accumulate_gradient(
        self, denoise: Denoiser, transitions: Transitions, preferences: Int[Tensor, "preference 2"]
    ) -> tuple[Float[Tensor, " pair"], Bool[Tensor, " ratio"]]:
        """Add the gradient of the mean loss of some preferences; losses, and which are clipped."""
        device, settings = self.policy.device, self.settings
        good = policy_gradient.flatten_pairs(transitions[preferences[:, 0]])
        bad = policy_gradient.flatten_pairs(transitions[preferences[:, 1]])
        size = max(1, settings.latents_at_once // 2)

        def backward(both: Pairs) -> tuple[Tensor, Tensor]:
            log_probs = policy_gradient.pair_log_probs(denoise, self.schedule, both, device)
            log_ratios = log_probs - both.log_prob.to(device)
            loss = preference_losses(
                *log_ratios.chunk(2), beta=settings.d3po_beta, clip=settings.d3po_clip
            )
            (loss.sum() / len(good)).backward()
            return loss.detach(), log_ratios.detach().expm1().abs() > settings.d3po_clip

        parts = [
            Pairs.concatenate([better, worse])
            for better, worse in zip(good.split(size), bad.split(size), strict=True)
        ]
        losses, clipped = zip(
            *shared_gradients(self.policy.parameters, parts, backward), strict=True
        )
        return torch.cat(losses), torch.cat(clipped)


def draw_preferences(
    good: list[int], bad: list[int], generator: torch.Generator
) -> Int[Tensor, "preference 2"]:
    """(good, bad) pairs of images in random order, every judged image in one at least.

    There are as many as images of the commoner kind; the rarer kind takes turns.
    """
    n = max(len(good), len(bad))

    def in_turns(images: list[int]) -> Tensor:
        order = torch.tensor(images)[torch.randperm(len(images), generator=generator)]
        return order.repeat(-(-n // len(images)))[:n]

    return torch.stack([in_turns(good), in_turns(bad)], dim=1)


def preference_losses(
    good: Float[Tensor, " pair"], bad: Float[Tensor, " pair"], *, beta: float, clip: float
) -> Float[Tensor, " pair"]:
    """-log sigma(beta (log r^w - log r^l)) of log-ratios to the reference, each r clipped."""

    def clipped(log_ratio: Tensor) -> Tensor:
        return log_ratio.exp().clamp(1.0 - clip, 1.0 + clip).log()

    return -F.logsigmoid(beta * (clipped(good) - clipped(bad)))
