"""What was drawn is an image: finite numbers, and not one colour."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from hero_engine.errors import UnusableImages


def check_latents(latents: Float[Tensor, "batch channel height width"], precision: str) -> None:
    """Raise `UnusableImages` if clean latents hold anything but numbers."""
    bad = (~torch.isfinite(latents.flatten(1)).all(dim=1)).sum().item()
    if bad:
        raise UnusableImages(
            f"{bad} of {len(latents)} images came out of the network as no numbers (NaN or "
            f"infinite), so nothing is shown to anybody; {_half(precision)}its weights may be "
            "damaged: try the model in another program, or download it again."
        )


def check_images(images: Sequence[Image.Image], precision: str) -> None:
    """Raise `UnusableImages` if most of a batch's images are of one colour each, as a VAE's are
    that overflows. Single ones are a matter of taste: people shall judge them."""
    blank = sum(all(low == high for low, high in _extrema(image)) for image in images)
    if images and 2 * blank > len(images):
        raise UnusableImages(
            f"{blank} of {len(images)} images are of one colour each, so nothing is shown to "
            f"anybody; {_half(precision)}the model's VAE may be damaged or of another model: try "
            "the model in another program, or replace its vae folder."
        )


def _extrema(image: Image.Image) -> list[tuple[int, int]]:
    return [channel.getextrema() for channel in image.split()]  # type: ignore[misc]


def _half(precision: str) -> str:
    return (
        f"set mixed_precision to no, since {precision} may overflow; if that does not help, "
        if precision != "no"
        else ""
    )
