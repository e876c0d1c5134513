"""Steps on the denoising loss of clean latents: no trajectories, no likelihoods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hero_engine.diffusion.forward_process import Noised
from hero_engine.methods.steps import take_steps
from hero_engine.processes import shared_gradients
from hero_engine.report import OnStep

Losses = Callable[[Noised], Float[Tensor, " batch"]]


@dataclass(frozen=True)
class Term:
    """One part of a step's loss: the weighted mean of `losses` over the latents."""

    latents: Noised
    losses: Losses
    weight: float = 1.0

    def parts(self, size: int) -> list["TermPart"]:
        """The latents, `size` at a time."""
        rows = torch.arange(len(self.latents)).split(size)
        return [TermPart(self, self.latents[each]) for each in rows]


@dataclass(frozen=True)
class TermPart:
    """Some latents of a term, which go through the network at once."""

    term: Term
    latents: Noised

    def backward(self, device: torch.device) -> float:
        """Add the gradient of these latents' share of the loss; that share."""
        losses = self.term.losses(self.latents.to(device))
        loss = self.term.weight * losses.sum() / len(self.term.latents)
        loss.backward()
        return float(loss.detach())


Terms = Callable[[], Sequence[Term]]
"""What a step's loss is the sum of, drawn anew at every call."""


def train(
    optimizer: torch.optim.Optimizer,
    terms_of_step: Terms,
    *,
    steps: int,
    learning_rate: float,
    max_grad_norm: float,
    forward_batch_size: int,
    on_step: OnStep | None = None,
) -> list[float]:
    """Take `steps` steps of the optimizer on terms that are drawn anew for each; their losses.

    `forward_batch_size` latents go through the network at once; the gradient is the same for any.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    device = parameters[0].device

    def add_gradient() -> float:
        parts = [part for term in terms_of_step() for part in term.parts(forward_batch_size)]
        return sum(shared_gradients(parameters, parts, lambda part: part.backward(device)))

    losses, _ = take_steps(
        optimizer,
        (add_gradient for _ in range(steps)),
        learning_rate=learning_rate,
        max_grad_norm=max_grad_norm,
        on_step=on_step,
    )
    return losses
