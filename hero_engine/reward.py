"""From embeddings to rewards (paper, Eq. 4) and from rewards to advantages."""

import torch
from jaxtyping import Float
from torch import Tensor

DELTA = 1e-8
"""The paper's delta: keeps Eq. 4 finite for an embedding of length zero."""


def similarity_to_best(
    embeddings: Float[Tensor, "batch feature"], best: Float[Tensor, " feature"]
) -> Float[Tensor, " batch"]:
    """R(z_0) = E(z_0) . E(z_0^best) / max(|E(z_0)| |E(z_0^best)|, delta)  (Eq. 4). In [-1, 1]."""
    norms = embeddings.norm(dim=1) * best.norm()
    return (embeddings @ best) / norms.clamp(min=DELTA)


def advantages(
    rewards: Float[Tensor, " batch"], *, std_floor: float, clip: float
) -> Float[Tensor, " batch"]:
    """Rewards normalised over the batch, (R - mean) / max(std, std_floor), clipped to +-clip.

    Without the floor, a batch in which every image is as good as the others would turn the
    embedding's noise into advantages of size one.
    """
    std = rewards.std(correction=0)
    return ((rewards - rewards.mean()) / torch.clamp(std, min=std_floor)).clamp(-clip, clip)
