"""The clean latents that people have judged so far, of all epochs, and how they are drawn.

The good images of later epochs are the model's own, so drawing all alike makes the commonest kind
commoner with every epoch, until the images are copies of one another. `rarity` works against that.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from hero_engine.storage.batch import Batch, Feedback

KERNEL_WIDTH = 0.25
"""Width of `rarity`'s kernel, as a share of the median of all distances: copies are near, two
images that differ as most do are not."""


@dataclass(frozen=True)
class Replay:
    """Every judged z_0 of a run, with its verdict."""

    latents: Float[Tensor, "judged channel height width"]
    good: Bool[Tensor, " judged"]

    @classmethod
    def empty(cls, shape: tuple[int, int, int]) -> "Replay":
        """Nothing judged yet."""
        return cls(torch.zeros(0, *shape), torch.zeros(0, dtype=torch.bool))

    def add(self, batch: Batch, feedback: Feedback) -> "Replay":
        """With a batch's judged images behind the earlier ones."""
        judged = [index for index, verdict in enumerate(feedback.good) if verdict is not None]
        verdicts = torch.tensor([bool(feedback.good[index]) for index in judged], dtype=torch.bool)
        return Replay(
            torch.cat([self.latents, batch.latents[judged]]), torch.cat([self.good, verdicts])
        )

    @property
    def good_latents(self) -> Float[Tensor, "good channel height width"]:
        """Those that were called good."""
        return self.latents[self.good]


def draw(
    latents: Shaped[Tensor, "good *any"],
    weights: Float[Tensor, " good"],
    n: int,
    generator: torch.Generator,
) -> Shaped[Tensor, "n *any"]:
    """n of the latents, drawn with replacement in proportion to their weights."""
    if n == 0:
        return latents[:0]
    return latents[torch.multinomial(weights, n, replacement=True, generator=generator)]


def rarity(points: Float[Tensor, "good feature"]) -> Float[Tensor, " good"]:
    """One over the density by a Gaussian kernel: every part of what the good images cover is drawn
    alike, and n copies of one image share the weight that it would have alone."""
    if len(points) == 1:
        return torch.ones(1)
    # Exact also for points that nearly coincide, which a product of matrices would blur.
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    n = len(points)
    upper = distances[torch.triu_indices(n, n, offset=1).unbind()]
    width = (KERNEL_WIDTH * upper.median()).clamp(min=torch.finfo(upper.dtype).tiny)
    return 1.0 / (-0.5 * (distances / width).square()).exp().sum(dim=1)
