"""From feedback to rewards (paper, Eq. 4; Table 3 for the ablations), and on to advantages.

A continuous reward is the cosine similarity of an image's representation to a reference point. The
designs differ in what the reference is, and in the space: E's, or that of the clean latents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

DELTA = 1e-8
"""The paper's delta: keeps Eq. 4 finite for an embedding of length zero."""


Represent = Callable[[Tensor], Tensor]
"""Clean latents [batch channel height width] -> their representations [batch feature]."""


def similarity(
    points: Float[Tensor, "batch feature"], reference: Float[Tensor, " feature"]
) -> Float[Tensor, " batch"]:
    """R(z_0) = E(z_0) . E(z_0^best) / max(|E(z_0)| |E(z_0^best)|, delta)  (Eq. 4). In [-1, 1]."""
    norms = points.norm(dim=1) * reference.norm()
    return (points @ reference) / norms.clamp(min=DELTA)


def best_point(
    represent: Represent, best: Float[Tensor, "channel height width"]
) -> Float[Tensor, " feature"]:
    """E(z_0^best), the paper's reference: similarity-to-best."""
    return represent(best[None])[0]


def mean_of_positives(
    represent: Represent, positives: Float[Tensor, "good channel height width"]
) -> Float[Tensor, " feature"]:
    """The mean representation of the good images, the best among them: similarity-to-positives."""
    return represent(positives).mean(dim=0)


def binary(good: Sequence[bool | None]) -> Float[Tensor, " batch"]:
    """1 for a good image and 0 for a bad one (Table 3, HERO-binary).

    An image that nobody judged gets the mean of the others: its advantage is 0.
    """
    judged = [float(verdict) for verdict in good if verdict is not None]
    mean = sum(judged) / len(judged)
    return torch.tensor([mean if verdict is None else float(verdict) for verdict in good])


@dataclass(frozen=True)
class RewardDesign:
    """What the setting `reward` chooses."""

    reference: Callable[[Represent, Tensor], Tensor] | None
    """The point to be similar to; None for binary rewards."""
    embedded: bool
    """Whether E is trained and the similarity measured in its space, or on z_0 as it is."""

    @property
    def needs_positives(self) -> bool:
        """Whether the reference is made of the good images, not of the best one."""
        return self.reference is mean_of_positives


REWARDS = {
    "best": RewardDesign(best_point, embedded=True),
    "positives": RewardDesign(mean_of_positives, embedded=True),
    "binary": RewardDesign(None, embedded=False),
    "no-embedding": RewardDesign(mean_of_positives, embedded=False),
}
"""The paper's design and the ablations of its Table 3, by name."""


def advantages(
    rewards: Float[Tensor, " batch"], *, std_floor: float, clip: float
) -> Float[Tensor, " batch"]:
    """Rewards normalised over the batch, (R - mean) / max(std, std_floor), clipped to +-clip.

    Without the floor, a batch in which every image is as good as the others would turn the
    embedding's noise into advantages of size one.
    """
    std = rewards.std(correction=0)
    return ((rewards - rewards.mean()) / torch.clamp(std, min=std_floor)).clamp(-clip, clip)


def advantages_within(
    captions: Int[Tensor, " batch"] | None,
    rewards: Float[Tensor, " batch"],
    *,
    std_floor: float,
    clip: float,
) -> Float[Tensor, " batch"]:
    """`advantages` among the images of each prompt, so that none has to compete with an easier one.

    `captions` is the number of each image's prompt, None for one prompt. Images whose reward is NaN
    have the advantage 0, and count for nothing.
    """
    if captions is None:
        return advantages(rewards, std_floor=std_floor, clip=clip)
    found, rewarded = torch.zeros_like(rewards), ~rewards.isnan()
    for number in captions.unique():
        rows = (captions == number) & rewarded
        if rows.any():
            found[rows] = advantages(rewards[rows], std_floor=std_floor, clip=clip)
    return found
