"""Models that were distilled to a few steps, by what they are called.

Such a model often has the configuration of the one that it was distilled from: Z-Image-Turbo and
Stable Diffusion 3.5 Large Turbo do.
"""

import re

_WORDS = {"lcm", "lightning", "schnell", "turbo"}
_COUNTED = re.compile(r"(?<!\d)0?[1-8][-_ ]?steps?(?![a-z]|[-_ ]?\d)", re.IGNORECASE)
"""Up to 8 steps, which the longest of them have; `epoch-3-step-500` counts those of training."""


def name_says_few_steps(name: str) -> bool:
    """Whether the last part of a hub id or a path has a word that such models go by, or a number of
    steps.

    >>> name_says_few_steps("stabilityai/sdxl-turbo")
    True
    >>> name_says_few_steps("/models/roseXL_v21TurboDPMSDE.safetensors")
    True
    >>> name_says_few_steps("me/rose-4steps"), name_says_few_steps("me/rose-40steps")
    (True, False)
    """
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", last)}
    return bool(_COUNTED.search(last)) or not _WORDS.isdisjoint(words)
