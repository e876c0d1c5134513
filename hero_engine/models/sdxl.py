"""Stable Diffusion XL: a UNet with two text encoders that is told the image's size, by DDIM."""

from typing import Any, ClassVar

import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor

from hero_engine.models.base import Condition, Configs, for_each
from hero_engine.models.unet import UNetFamily


class StableDiffusionXL(UNetFamily):
    """A StableDiffusionXLPipeline; not a refiner, which knows no image from its beginning."""

    pipeline_class = StableDiffusionXLPipeline
    pipeline_options: ClassVar = {"add_watermarker": False}
    left_out = ("feature_extractor", "image_encoder")
    embedded_as: ClassVar = {
        "positive": "prompt_embeds",
        "positive_pooled": "pooled_prompt_embeds",
        "negative": "negative_prompt_embeds",
        "negative_pooled": "negative_pooled_prompt_embeds",
    }

    @classmethod
    def tokenizer_of(cls, configs: Configs) -> tuple[str, int | None]:
        """Both read alike; the second's, since a pipeline may lack the first."""
        return "tokenizer_2", None

    def flags(self) -> dict[str, Any]:
        """Also how the model takes an empty prompt."""
        zeros = self.pipe.config["force_zeros_for_empty_prompt"]
        return {**super().flags(), "force_zeros_for_empty_prompt": zeros}

    @torch.no_grad()
    def encode(self, prompt: str, negative_prompt: str | None, device: torch.device) -> Condition:
        """`positive` [1 token feature], of both encoders, and `positive_pooled` [1 feature]; for
        guidance `negative` and `negative_pooled`, zeros for an empty prompt if the model was
        trained so."""
        positive, negative, pooled, negative_pooled = self.pipe.encode_prompt(
            prompt=prompt,
            device=device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=negative_prompt is not None,
            negative_prompt=negative_prompt or None,
        )
        condition = {"positive": positive, "positive_pooled": pooled}
        if negative is not None:
            condition |= {"negative": negative, "negative_pooled": negative_pooled}
        return condition

    def added(self, condition: Condition, sign: str, n: int) -> dict[str, Any] | None:
        """The pooled prompt, and the image's size: drawn in that size, and nothing cut off."""
        pooled = condition[f"{sign}_pooled"]
        height, width = self.image_size
        sizes = torch.tensor([[height, width, 0, 0, height, width]], dtype=pooled.dtype)
        return {
            "text_embeds": for_each(pooled, n),
            "time_ids": sizes.to(pooled.device).repeat(n, 1),
        }

    def _unscaled(self, latents: Tensor) -> Tensor:
        """Some VAEs have a mean and a deviation for each channel."""
        moments = self._moments(latents)
        if moments is None:
            return super()._unscaled(latents)
        mean, std = moments
        return latents * std / self.pipe.vae.config.scaling_factor + mean

    def scaled(self, latents: Tensor) -> Tensor:
        """As the network knows them."""
        moments = self._moments(latents)
        if moments is None:
            return super().scaled(latents)
        mean, std = moments
        return (latents - mean) * self.pipe.vae.config.scaling_factor / std

    def _moments(self, latents: Tensor) -> tuple[Tensor, Tensor] | None:
        """The mean and the deviation of each channel, if the VAE has them."""
        config = self.pipe.vae.config
        mean, std = config.get("latents_mean"), config.get("latents_std")
        if mean is None or std is None:
            return None
        mean, std = (latents.new_tensor(values).view(1, -1, 1, 1) for values in (mean, std))
        return mean, std

    def call_arguments(
        self, prompt: str, negative_prompt: str, noises: Tensor, guidance_scale: float
    ) -> dict[str, Any]:
        """Arguments by which that pipeline makes clean latents of these noises."""
        return {
            **super().call_arguments(prompt, negative_prompt, noises, guidance_scale),
            "negative_prompt": negative_prompt or None,
        }
