"""Steps on the denoising loss of clean latents: no trajectories, no likelihoods."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from hero_engine.diffusion.forward_process import Noised
from hero_engine.methods.steps import take_steps
from hero_engine.processes import shared_gradients
from hero_engine.report import OnStep

Kind = TypeVar("Kind", bound=Noised)
Losses = Callable[[Kind], Float[Tensor, " batch"]]


@dataclass(frozen=True)
class Term(Generic[Kind]):
    """One part of a step's loss: the weighted mean of `losses` over the latents."""

    latents: Kind
    losses: Losses[Kind]
    weight: float = 1.0

    def parts(self, size: int) -> list["TermPart[Kind]"]:
        """The latents, `size` at a time."""
        rows = torch.arange(len(self.latents)).split(size)
        return [TermPart(self, self.latents[each]) for each in rows]


@dataclass(frozen=True)
class TermPart(Generic[Kind]):
    """Some latents of a term, which go through the network at once."""

    term: Term[Kind]
    latents: Kind

    def backward(self, device: torch.device) -> float:
        """Add the gradient of these latents' share of the loss; that share."""
        losses = self.term.losses(self.latents.to(device))
        loss = self.term.weight * losses.sum() / len(self.term.latents)
        loss.backward()
        return float(loss.detach())


Terms = Sequence[Term[Any]]
"""What a step's loss is the sum of."""


def train(
    optimizer: torch.optim.Optimizer,
    terms_of_steps: Iterable[Terms],
    *,
    learning_rate: float,
    max_grad_norm: float,
    forward_batch_size: int,
    on_step: OnStep | None = None,
) -> list[float]:
    """Take a step of the optimizer on each of `terms_of_steps`; their losses.

    `forward_batch_size` latents go through the network at once; the gradient is the same for any.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    device = parameters[0].device

    def add_gradient(terms: Terms) -> float:
        parts = [part for term in terms for part in term.parts(forward_batch_size)]
        return sum(shared_gradients(parameters, parts, lambda part: part.backward(device)))

    losses, _ = take_steps(
        optimizer,
        (partial(add_gradient, terms) for terms in terms_of_steps),
        learning_rate=learning_rate,
        max_grad_norm=max_grad_norm,
        on_step=on_step,
    )
    return losses
