"""What an epoch takes, in words."""

from collections.abc import Mapping
from typing import Any

GIGABYTE = 2**30
"""As makers of memory count it, so that a card of 12 GB is called one."""


def in_words(forecast: Mapping[str, Any]) -> str:
    """One line: `about 6 min an epoch, 9.1 GB of 12`."""
    seconds = forecast["drawing_seconds"] + forecast["learning_seconds"]
    peak, memory = (forecast[name] / GIGABYTE for name in ("peak_bytes", "memory_bytes"))
    return f"about {_duration(seconds)} an epoch, {peak:.1f} GB of {memory:.0f}"


def batch_sizes(forecast: Mapping[str, Any]) -> str:
    """What goes through the network in one pass: `32 images and 40 latents at once`."""
    images, latents = forecast["images_at_once"], forecast["latents_at_once"]
    drawn = f"{images} image{'s' * (images != 1)}"
    if latents is None:
        return f"{drawn} at once"
    return f"{drawn} and {latents} latent{'s' * (latents != 1)} at once"


def _duration(seconds: float) -> str:
    """In the unit in which it is a number that people can picture."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
