"""How likely each good latent so far is drawn (`HeroConfig.denoising_weights`).

The good images of later epochs are the model's own, so drawing all alike makes the commonest kind
commoner with every epoch, until the images are copies of one another. `novelty` and `rarity` work
against that. Weights need not sum to one; every one is positive.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from hero_engine.feedback.reward import advantages

NEIGHBOURS = 5
"""Nearest others that `novelty` looks at."""
KERNEL_WIDTH = 0.25
"""Width of `rarity`'s kernel, as a share of the median of all distances: copies are near, two
images that differ as most do are not."""
ADVANTAGE_CLIP = 3.0
"""So that no weight of `reward_weights` is more than e^6 times another."""
FLOOR = 1e-6
"""Smallest weight, as a share of the mean: copies of one latent are still drawn if there is nothing
else."""


def reward_weights(
    rewards: Float[Tensor, " good"], std_floor: float = 1e-6
) -> Float[Tensor, " good"]:
    """exp A with the rewards' advantages A among the good images: reward-weighted regression."""
    return advantages(rewards, std_floor=std_floor, clip=ADVANTAGE_CLIP).exp()


def novelty(points: Float[Tensor, "good feature"]) -> Float[Tensor, " good"]:
    """Mean Euclidean distance to the `NEIGHBOURS` nearest others (Lehman and Stanley's novelty)."""
    if len(points) == 1:
        return torch.ones(1)
    distances = _distances(points).fill_diagonal_(torch.inf)
    nearest = distances.topk(min(NEIGHBOURS, len(points) - 1), largest=False).values
    return _floored(nearest.mean(dim=1))


def rarity(points: Float[Tensor, "good feature"]) -> Float[Tensor, " good"]:
    """One over the density by a Gaussian kernel: every part of what the good images cover is drawn
    alike, and n copies of one image share the weight that it would have alone."""
    if len(points) == 1:
        return torch.ones(1)
    distances = _distances(points)
    upper = distances[torch.triu_indices(*distances.shape, offset=1).unbind()]
    width = (KERNEL_WIDTH * upper.median()).clamp(min=torch.finfo(upper.dtype).tiny)
    return 1.0 / (-0.5 * (distances / width).square()).exp().sum(dim=1)


def _distances(points: Float[Tensor, "good feature"]) -> Float[Tensor, "good good"]:
    """Exact also for points that nearly coincide, which a product of matrices would blur."""
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def _floored(weights: Float[Tensor, " good"]) -> Float[Tensor, " good"]:
    """The weights, none below `FLOOR` of their mean; all alike where all are zero."""
    mean = weights.mean()
    return torch.ones_like(weights) if mean == 0 else weights.clamp(min=FLOOR * float(mean))
