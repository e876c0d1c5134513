"""How far rounding alone moves the importance ratio: below that, its clip means nothing."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

MOVE = 1e-5
"""How far the LoRA is moved, as a part of itself: so little that log-ratios should hardly move."""


@torch.no_grad()
def noise_floor(
    log_probs: Callable[[], Float[Tensor, " pair"]], parameters: list[torch.nn.Parameter]
) -> float:
    """The root mean square of log-ratios between the policy and itself moved by `MOVE`.

    In float32 arithmetic some 1e-7; what is far above comes from rounding, not from the move. The
    parameters end as they were, to the last bit.
    """
    before, kept = log_probs(), [each.detach().clone() for each in parameters]
    try:
        for each in parameters:
            each.mul_(1 + MOVE)
        moved = log_probs()
    finally:
        for each, value in zip(parameters, kept, strict=True):
            each.copy_(value)
    return float((moved - before).double().square().mean().sqrt())


def drowned(floor: float, clip_range: float) -> str:
    """A sentence where rounding takes up more than half of the clip range; else nothing."""
    if not floor > clip_range / 2:
        return ""
    return (
        f"Rounding alone moves the importance ratio by {floor:.0e} here, and the clip range is "
        f"{clip_range:.0e}, so the policy gradient learns mostly noise: in a new run, set a larger "
        "clip_range, or choose the method hero+, which needs no ratio."
    )
