"""The date that cameras print into a corner of a photo: on every subject, told by no caption.

It is the world's concept to avoid: what people who dislike it teach on one prompt can be looked for
on all the others.
"""

import numpy as np
from PIL import Image, ImageDraw

SHARE = 0.3
"""Probability of a stamp, whatever the subject."""
COLOUR, SHADOW = (255, 138, 24), (70, 34, 12)
DIGITS = (
    "###/# #/# #/# #/###",
    " # / # / # / # / # ",
    "###/  #/###/#  /###",
    "###/  #/ ##/  #/###",
    "# #/# #/###/  #/  #",
    "###/#  /###/  #/###",
    "###/#  /###/# #/###",
    "###/  #/ # / # / # ",
    "###/# #/###/# #/###",
    "###/# #/###/  #/###",
)
"""3 x 5 pixels each, row by row."""
LENGTH = 4


def put_on(image: Image.Image, rng: np.random.Generator) -> None:
    """Print a date of four digits into the lower right corner of a 64 x 64 image."""
    draw = ImageDraw.Draw(image)
    left, top = 64 - 4 * LENGTH - 3 + int(rng.integers(-1, 2)), 56 + int(rng.integers(-1, 2))
    pixels = [
        (left + 4 * number + x, top + y)
        for number, digit in enumerate(rng.integers(10, size=LENGTH))
        for y, row in enumerate(DIGITS[digit].split("/"))
        for x, ink in enumerate(row)
        if ink == "#"
    ]
    draw.point([(x + 1, y + 1) for x, y in pixels], fill=SHADOW)
    draw.point(pixels, fill=COLOUR)
