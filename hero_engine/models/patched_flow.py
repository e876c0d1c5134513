"""Flow families whose network takes 2 x 2 latents as one token: FLUX, Z-Image, Qwen-Image ..."""

from typing import Any

import torch
from torch import Tensor

from hero_engine.models.base import Configs
from hero_engine.models.flow_family import FlowFamily, equal_steps

PATCH = 2
"""Side of the square of latents that is one token."""


class PatchedFlowFamily(FlowFamily):
    """Its pipeline begins at noise levels in equal steps."""

    @classmethod
    def patch(cls, configs: Configs) -> int:
        """Two latents."""
        return PATCH

    @classmethod
    def tokens_of(cls, transformer: Any, shape: tuple[int, int, int]) -> int:
        """One a patch."""
        return (shape[1] // PATCH) * (shape[2] // PATCH)

    @classmethod
    def start_sigmas(cls, num_inference_steps: int) -> list[float]:
        """From 1 in equal steps, as the pipeline says."""
        return equal_steps(num_inference_steps)


class LanguageModelFlow(PatchedFlowFamily):
    """One whose prompt a language model reads."""

    max_sequence_length = 512

    @classmethod
    def tokenizer_of(cls, configs: Configs) -> tuple[str, int | None]:
        """The language model's."""
        return "tokenizer", cls.max_sequence_length

    def _encoded(self, prompt: str, device: torch.device | None = None) -> Tensor:
        """[1 token feature]."""
        embeds: Tensor = self.pipe.encode_prompt(
            prompt=prompt, device=device, max_sequence_length=self.max_sequence_length
        )[0]
        return embeds


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
