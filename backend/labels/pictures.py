"""Picture files of people's own: whether they can be read, and how they fit a model."""

import warnings
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageOps

from backend.errors import BadInput

UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow raises of a file that is no picture, a damaged one, or one of absurd size."""


def check_pictures(pictures: Iterable[Path]) -> list[tuple[int, int]]:
    """See that all can be read to their end; height and width of each, in pixels, as it is shown.

    Raises:
        BadInput: names those that cannot.
    """
    sizes, unreadable = [], []
    for path in pictures:
        try:
            sizes.append(_upright(path).size[::-1])
        except UNREADABLE:
            unreadable.append(path)
    if unreadable:
        named = ", ".join(map(str, unreadable[:5]))
        more = f" and {len(unreadable) - 5} more" if len(unreadable) > 5 else ""
        raise BadInput(
            f"Cannot read {named}{more}: no picture, or a damaged one; replace or remove it."
        )
    return sizes


def fitted(path: Path, height: int, width: int) -> Image.Image:
    """The picture upright, in RGB on white, cut in the middle to the shape and scaled to the size.

    Raises:
        OSError and others of `UNREADABLE`
    """
    image = _upright(path)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.LANCZOS)


def fitting(sizes: Iterable[tuple[int, int]], height: int, width: int) -> str:
    """What fitting does to pictures of these sizes (height, width), as a sentence; empty for
    nothing."""
    every = list(sizes)
    others = [size for size in every if size != (height, width)]
    if not others:
        return ""
    small = sum(size[0] < height or size[1] < width for size in others)
    enlarged = f" {small} of them are smaller, and become blurred." if small else ""
    return (
        f"{len(others)} of {len(every)} pictures are cut in the middle and scaled to {width} x "
        f"{height} pixels.{enlarged}"
    )


def _upright(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as opened:
            opened.load()
            return ImageOps.exif_transpose(opened)
