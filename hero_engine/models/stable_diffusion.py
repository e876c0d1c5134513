"""Stable Diffusion 1.x and 2.x: a UNet with one text encoder, by DDIM."""

from typing import Any, ClassVar

import torch
from diffusers import StableDiffusionPipeline

from hero_engine.models.base import Condition
from hero_engine.models.unet import UNetFamily


class StableDiffusion(UNetFamily):
    """A StableDiffusionPipeline, without its safety checker."""

    pipeline_class = StableDiffusionPipeline
    pipeline_options: ClassVar = {"requires_safety_checker": False}
    left_out = ("safety_checker", "feature_extractor", "image_encoder")
    embedded_as: ClassVar = {"positive": "prompt_embeds", "negative": "negative_prompt_embeds"}

    @torch.no_grad()
    def encode(self, prompt: str, negative_prompt: str | None, device: torch.device) -> Condition:
        """`positive` and, for guidance, `negative`: [1 token feature]."""
        positive, negative = self.pipe.encode_prompt(
            prompt=prompt,
            device=device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=negative_prompt is not None,
            negative_prompt=negative_prompt,
        )
        return {"positive": positive} | ({} if negative is None else {"negative": negative})

    def added(self, condition: Condition, sign: str, n: int) -> dict[str, Any] | None:
        """Nothing."""
        return None
