"""The one loop of optimizer steps: gradient, clip, step."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from hero_engine.report import OnStep

Made = TypeVar("Made")


def take_steps(
    optimizer: torch.optim.Optimizer,
    gradients: Iterable[Callable[[], Made]],
    *,
    learning_rate: float,
    max_grad_norm: float,
    on_step: OnStep | None = None,
) -> tuple[list[Made], list[torch.Tensor]]:
    """A step of the optimizer for each of `gradients`, which add to the parameters' gradients.

    Gradients are scaled down to `max_grad_norm` (2-norm over all parameters). Returns what they
    gave, and their norms before that.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    made, norms = [], []
    for step, add_gradient in enumerate(gradients):
        optimizer.zero_grad()
        made.append(add_gradient())
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm))
        optimizer.step()
        if on_step is not None:
            on_step(step + 1)
    optimizer.zero_grad()
    return made, norms
