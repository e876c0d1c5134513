"""Ways in which an image goes wrong, to teach the judge what is not clean."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

Images = Float[Tensor, "batch 3 64 64"]


def blurred(images: Images, deviation: float) -> Images:
    """Gaussian blur; `deviation` in pixels."""
    radius = int(3 * deviation) + 1
    offsets = torch.arange(-radius, radius + 1).float()
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = (kernel / kernel.sum()).repeat(3, 1)
    wide = pad(images, (radius,) * 4, mode="replicate")
    wide = conv2d(wide, kernel[:, None, None, :], groups=3)
    return conv2d(wide, kernel[:, None, :, None], groups=3)


def smeared(images: Images, generator: torch.Generator) -> Images:
    """Blurred in a few blobs, sharp elsewhere."""
    coarse = torch.rand(len(images), 1, 5, 5, generator=generator)
    blobs = interpolate(coarse, size=(64, 64), mode="bicubic", align_corners=False)
    mask = ((blobs - 0.55) * 6).clamp(0, 1)
    deviation = 1.5 + 2.0 * torch.rand((), generator=generator).item()
    return images + mask * (blurred(images, deviation) - images)


def ghosted(images: Images, generator: torch.Generator) -> Images:
    """Another image of the batch shines through, anywhere or on one half."""
    strength = 0.25 + 0.25 * torch.rand(len(images), 1, 1, 1, generator=generator)
    half = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    position = torch.linspace(-1, 1, 64)
    turn = 6.3 * torch.rand(len(images), 1, 1, 1, generator=generator)
    plane = turn.cos() * position[None, None, None, :] + turn.sin() * position[None, None, :, None]
    mask = torch.where(half, (plane * 4).clamp(0, 1), 1.0)
    return images + mask * strength * (images.roll(1, 0) - images)


def shuffled(images: Images, generator: torch.Generator) -> Images:
    """The sixteen 16 x 16 patches of each image in a random order: no subject at all."""
    order = torch.randperm(16, generator=generator)
    patches = images.unfold(2, 16, 16).unfold(3, 16, 16).reshape(len(images), 3, 16, 16, 16)
    patches = patches[:, :, order].reshape(len(images), 3, 4, 4, 16, 16)
    return patches.permute(0, 1, 2, 4, 3, 5).reshape(images.shape)


def visible(images: Images, damaged: Images, threshold: float = 0.012) -> Bool[Tensor, " batch"]:
    """Whether the damage shows: squared error of some 16 x 16 window above the threshold."""
    error = (images - damaged).square().mean(1, keepdim=True)
    return avg_pool2d(error, 16, 8).flatten(1).amax(1) > threshold
