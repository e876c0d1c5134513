"""Prompts, each encoded once; and pipelines that are given them encoded."""

from typing import Any

import torch
from diffusers import DiffusionPipeline

from hero_engine.models.base import Condition, Family


class Prompts:
    """What a family makes of prompts, kept by their texts.

    Encoders that are kept off the accelerator stay on the CPU for as long as the model is loaded,
    so that a new prompt can be encoded at any time; it is encoded there, and moved.
    """

    def __init__(
        self, family: Family, device: torch.device, encoders_on: torch.device | None = None
    ) -> None:
        self._family = family
        self._device = device
        self._encoders_on = encoders_on or device
        self._known: dict[tuple[str, str | None], Condition] = {}

    def __call__(self, prompt: str, negative_prompt: str | None) -> Condition:
        """A prompt, and what guidance leads away from (None for no guidance), on the device."""
        key = (prompt, negative_prompt)
        if key not in self._known:
            encoded = self._family.encode(prompt, negative_prompt, self._encoders_on)
            self._known[key] = {name: part.to(self._device) for name, part in encoded.items()}
        return self._known[key]


def pipeline_for_encoded(family: Family, scheduler: str) -> DiffusionPipeline:
    """A plain pipeline with another sampler and without text encoders, which lie elsewhere."""
    pipe: Any = family.pipeline(scheduler)
    for name in family.encoders:
        setattr(pipe, name, None)
    return pipe
