"""What an epoch's learning sends through the network, so that its time can be told beforehand."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Workload:
    """The latents that an epoch learns from, and what is done with each."""

    losses: Callable[[Float[Tensor, "batch channel height width"]], Float[Tensor, " batch"]]
    """The method's loss of some latents on the CPU, up to a factor: what one pass computes."""
    latents: int
    """That go forward and backward in an epoch: the most there can be of them, or as many as there
    are where half of the images are good."""
    at_once: int
    """That one optimizer step sees, of which a forward pass takes all or a part."""
    scored: int = 0
    """That go forward alone."""
