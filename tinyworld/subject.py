"""What a subject of the tiny world is: how it is drawn, captioned and judged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

Attributes = Mapping[str, str]


@dataclass(frozen=True)
class Subject:
    """One kind of picture. Each lives in a module of `tinyworld.subjects` as `SUBJECT`.

    A subject plugs in by its file alone: the world, the judge's heads and the known prompts are
    all built from these fields.
    """

    name: str
    share: float
    """Weight of the subject among the world's images."""
    attributes: Mapping[str, tuple[str, ...]]
    """Every attribute of its own that the judge can tell, with its possible values."""
    sample: Callable[[np.random.Generator], Attributes]
    """Draws one scene's attributes."""
    draw: Callable[[Attributes, np.random.Generator, bool], Image.Image]
    """Renders a scene, 64 x 64 RGB. With True the scene is flawed in the way that this subject
    goes wrong in a poor model (fingers grown together, say): the judge learns to call it unclean.
    """
    caption: Callable[[Attributes, np.random.Generator], str]
    """A caption as the web would have it: the words are true only with some probability."""
    tasks: Mapping[str, Attributes]
    """Prompt -> the attributes that an image must show to be a success: the paper's task first,
    then related prompts, on which it is measured what a run on one prompt does to others."""
