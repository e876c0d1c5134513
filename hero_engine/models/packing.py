"""Latents as tokens of 2 x 2, as FLUX and Qwen-Image take them."""

from torch import Tensor

PATCH = 2
"""Side of the square of latents that is one token."""


def packed(latents: Tensor) -> Tensor:
    """[batch channel height width] as tokens of 2 x 2, [batch token 4*channel]."""
    n, channels, height, width = latents.shape
    patches = latents.reshape(n, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """What `packed` was given, for latents of that height and width."""
    n, _, features = tokens.shape
    channels = features // PATCH**2
    patches = tokens.reshape(n, height // PATCH, width // PATCH, channels, PATCH, PATCH)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(n, channels, height, width)
