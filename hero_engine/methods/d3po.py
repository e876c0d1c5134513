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

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from hero_engine.diffusion.sampling import Denoiser, Transitions, draw_trained_steps
from hero_engine.feedback.contrast import Contrast
from hero_engine.methods import policy_gradient
from hero_engine.methods.base import Method, timed
from hero_engine.methods.policy_gradient import Pairs
from hero_engine.report import OnProgress, Report, reporting
from hero_engine.storage.batch import Batch, Feedback


class D3po(Method):
    """One run of D3PO; a best image counts as good, and batches are drawn from N(0, I)."""

    def _trained_steps(self, n: int) -> Int[Tensor, "n trained"]:
        config = self.config
        shared = draw_trained_steps(
            self.schedule,
            1,
            self.trained_steps,
            config.trained_steps_choice,
            self._stream("trained steps"),
        )
        return shared.expand(n, -1)

    def _learn(
        self, batch: Batch, feedback: Feedback, report: Report, on_progress: OnProgress | None
    ) -> None:
        contrast = Contrast.of(feedback)
        report.note = contrast.nothing_to_learn()
        if report.note:
            return
        config, generator = self.config, self._stream("preferences")
        preferences = [
            part
            for _ in range(config.inner_epochs)
            for part in draw_preferences(contrast.good, contrast.bad, generator).split(
                max(1, config.minibatch_size // 2)
            )
        ]
        with timed(report, "update"):
            denoise = self.policy.denoiser(batch.prompt, config)
            transitions = self._with_reference(denoise, batch.transitions, contrast)
            told = reporting(on_progress, "update", len(preferences))
            losses, clipped, norms = [], [], []
            for step, part in enumerate(preferences):
                self.optimizer.zero_grad()
                loss, outside = self._accumulate_gradient(denoise, transitions, part)
                norms.append(
                    torch.nn.utils.clip_grad_norm_(self.policy.parameters, config.max_grad_norm)
                )
                self.optimizer.step()
                losses.append(loss)
                clipped.append(outside)
                if told is not None:
                    told(step + 1)
            self.optimizer.zero_grad()
        report.updated = True
        report.loss = float(torch.cat(losses).mean())
        report.clip_fraction = float(torch.cat(clipped).float().mean())
        report.grad_norm = float(torch.stack(norms).mean())

    def _with_reference(
        self, denoise: Denoiser, transitions: Transitions, contrast: Contrast
    ) -> Transitions:
        """The judged images' transitions with the pretrained model's log-probabilities."""
        judged = torch.tensor(sorted(contrast.good + contrast.bad))
        with self.policy.pretrained():
            return policy_gradient.rescored(
                denoise,
                self.schedule,
                transitions,
                list(judged.split(self.config.minibatch_size)),
                self.config.forward_batch_size,
                self.policy.device,
            )

    def _accumulate_gradient(
        self, denoise: Denoiser, transitions: Transitions, preferences: Int[Tensor, "preference 2"]
    ) -> tuple[Float[Tensor, " pair"], Bool[Tensor, " ratio"]]:
        """Add the gradient of the mean loss of some preferences; losses, and which are clipped."""
        device, config = self.policy.device, self.config
        good = policy_gradient.flatten_pairs(transitions[preferences[:, 0]])
        bad = policy_gradient.flatten_pairs(transitions[preferences[:, 1]])
        losses, clipped = [], []
        size = max(1, config.forward_batch_size // 2)
        for better, worse in zip(good.split(size), bad.split(size), strict=True):
            both = Pairs.concatenate([better, worse])
            log_probs = policy_gradient.pair_log_probs(denoise, self.schedule, both, device)
            log_ratios = log_probs - both.log_prob.to(device)
            loss = preference_losses(
                *log_ratios.chunk(2), beta=config.d3po_beta, clip=config.d3po_clip
            )
            (loss.sum() / len(good)).backward()
            losses.append(loss.detach())
            clipped.append(log_ratios.detach().expm1().abs() > config.d3po_clip)
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
