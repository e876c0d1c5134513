"""Qwen-Image: a transformer on packed latents with a language model that reads the prompt, by flow
matching."""

from typing import Any, ClassVar

import torch
from diffusers import QwenImagePipeline
from torch import Tensor

from hero_engine.models.base import Condition, for_each, pixels_of
from hero_engine.models.patched_flow import PATCH, LanguageModelFlow, packed, unpacked


class QwenImage(LanguageModelFlow):
    """A QwenImagePipeline. Guidance changes the direction of the prediction and not its size."""

    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
    pipeline_class = QwenImagePipeline
    embedded_as: ClassVar = {"positive": "prompt_embeds", "negative": "negative_prompt_embeds"}

    @classmethod
    def shape_of(cls, transformer: Any, vae: Any) -> tuple[int, int, int]:
        """Of 128 x 128, as the pipeline draws, unless the images have another size."""
        scale = pixels_of(vae)
        height, width = vae.get("sample_size") or (128 * scale, 128 * scale)
        return vae["z_dim"], height // scale, width // scale

    @torch.no_grad()
    def encode(self, prompt: str, negative_prompt: str | None, device: torch.device) -> Condition:
        """`positive` and, for guidance, `negative`: [1 token feature], each of its own length."""
        condition = {"positive": self._encoded(prompt, device)}
        if negative_prompt is not None:
            condition["negative"] = self._encoded(negative_prompt, device)
        return condition

    def predict(
        self, z_t: Tensor, timesteps: Tensor, condition: Condition, guidance_scale: float
    ) -> Tensor:
        """The transformer's velocity under classifier-free guidance, each token's as long as it is
        without guidance."""
        velocity = self._velocity(z_t, timesteps, condition["positive"])
        if "negative" in condition:
            negative = self._velocity(z_t, timesteps, condition["negative"])
            guided = negative + guidance_scale * (velocity - negative)
            length, of_guided = (v.norm(dim=-1, keepdim=True) for v in (velocity, guided))
            velocity = guided * (length / of_guided)
        return unpacked(velocity, *z_t.shape[2:])

    def _velocity(self, z_t: Tensor, timesteps: Tensor, embeds: Tensor) -> Tensor:
        n, height, width = len(z_t), z_t.shape[2], z_t.shape[3]
        velocity: Tensor = self.pipe.transformer(
            hidden_states=packed(z_t),
            timestep=timesteps / self.pipe.scheduler.config.num_train_timesteps,
            encoder_hidden_states=for_each(embeds, n),
            img_shapes=[[(1, height // PATCH, width // PATCH)]] * n,
            return_dict=False,
        )[0]
        return velocity

    def _unscaled(self, latents: Tensor) -> Tensor:
        """The VAE has a mean and a deviation for each channel, and draws films of one image."""
        mean, std = self._moments(latents)
        return (latents * std + mean).unsqueeze(2)

    def scaled(self, latents: Tensor) -> Tensor:
        """As the network knows them."""
        latents = latents.squeeze(2)
        mean, std = self._moments(latents)
        return (latents - mean) / std

    def _moments(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the deviation of each channel."""
        config = self.pipe.vae.config
        return (
            latents.new_tensor(config.latents_mean).view(1, -1, 1, 1),
            latents.new_tensor(config.latents_std).view(1, -1, 1, 1),
        )

    def call_arguments(
        self, prompt: str, negative_prompt: str, noises: Tensor, guidance_scale: float
    ) -> dict[str, Any]:
        """As of other families, with packed latents and guidance by its own name."""
        told = super().call_arguments(prompt, negative_prompt, packed(noises), guidance_scale)
        return {
            **told,
            "guidance_scale": None,
            "true_cfg_scale": guidance_scale,
            "max_sequence_length": self.max_sequence_length,
        }

    def spatial(self, latents: Tensor) -> Tensor:
        """What that pipeline gives, unpacked."""
        return unpacked(latents, *self.latent_shape[1:])

    def samplers(self) -> list[str]:
        """Only the model's own: the pipeline always gives mu and its own noise levels."""
        return ["euler"]
