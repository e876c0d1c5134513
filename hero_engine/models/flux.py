"""FLUX.1: a transformer on packed latents, with CLIP and T5, by flow matching."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from diffusers import FluxPipeline
from torch import Tensor

from hero_engine.models.base import Condition, Configs, for_each
from hero_engine.models.flow_family import JOINT_ATTENTION, vae_latents
from hero_engine.models.patched_flow import PATCH, PatchedFlowFamily, packed, unpacked


class Flux(PatchedFlowFamily):
    """A FluxPipeline: [dev], whose guidance is an input of the network, or one without that.

    [dev] was distilled from a guided model and is told the scale as a number, in sampling and in
    training alike: there is no negative prompt, and `unguided` means nothing to it. A model without
    that input is guided by a negative prompt, unless it is [schnell], which takes no guidance.
    """

    lora_targets = (
        *JOINT_ATTENTION,
        "ff.net.0.proj",
        "ff.net.2",
        "ff_context.net.0.proj",
        "ff_context.net.2",
    )
    pipeline_class = FluxPipeline
    left_out = ("image_encoder", "feature_extractor")
    embedded_as: ClassVar = {
        "embeds": "prompt_embeds",
        "pooled": "pooled_prompt_embeds",
        "negative_embeds": "negative_prompt_embeds",
        "negative_pooled": "negative_pooled_prompt_embeds",
    }
    max_sequence_length = 512

    @classmethod
    def tokenizer_of(cls, configs: Configs) -> tuple[str, int | None]:
        """T5's."""
        return "tokenizer_2", cls.max_sequence_length

    @classmethod
    def few_steps(cls, configs: Configs) -> bool:
        """[schnell] has neither a guidance input nor [dev]'s dynamic shift."""
        return _is_schnell(*_told(configs))

    @classmethod
    def takes_negative_prompt(cls, configs: Configs) -> bool:
        """Only a model that has no guidance input and is not [schnell]."""
        return _is_guided_by_prompts(*_told(configs))

    @classmethod
    def shape_of(cls, transformer: Any, vae: Any) -> tuple[int, int, int]:
        """By the size that the VAE was trained with; both sides are whole patches."""
        return transformer["in_channels"] // PATCH**2, *vae_latents(vae, PATCH)

    @property
    def has_guidance_input(self) -> bool:
        """Whether the network takes the guidance scale as a number."""
        return bool(self.pipe.transformer.config.guidance_embeds)

    @torch.no_grad()
    def encode(self, prompt: str, negative_prompt: str | None, device: torch.device) -> Condition:
        """`embeds` [1 token feature] and `pooled` [1 feature], and those of the negative prompt
        where the model is guided by one."""
        embeds, pooled = self._encoded(prompt, device)
        condition = {"embeds": embeds, "pooled": pooled}
        if negative_prompt is not None and self._is_guided_by_prompts:
            negative, negative_pooled = self._encoded(negative_prompt, device)
            condition |= {"negative_embeds": negative, "negative_pooled": negative_pooled}
        return condition

    def _encoded(self, prompt: str, device: torch.device) -> tuple[Tensor, Tensor]:
        embeds, pooled, _ = self.pipe.encode_prompt(
            prompt=prompt, device=device, max_sequence_length=self.max_sequence_length
        )
        return embeds, pooled

    @property
    def _is_guided_by_prompts(self) -> bool:
        return _is_guided_by_prompts(self.pipe.transformer.config, self.pipe.scheduler.config)

    def predict(
        self, z_t: Tensor, timesteps: Tensor, condition: Condition, guidance_scale: float
    ) -> Tensor:
        """The transformer's velocity, told the guidance scale or guided by the negative prompt."""
        velocity = self._velocity(
            z_t, timesteps, condition["embeds"], condition["pooled"], guidance_scale
        )
        if "negative_embeds" not in condition:
            return velocity
        negative = self._velocity(
            z_t,
            timesteps,
            condition["negative_embeds"],
            condition["negative_pooled"],
            guidance_scale,
        )
        return negative + guidance_scale * (velocity - negative)

    def _velocity(
        self, z_t: Tensor, timesteps: Tensor, embeds: Tensor, pooled: Tensor, guidance_scale: float
    ) -> Tensor:
        n, height, width = len(z_t), z_t.shape[2], z_t.shape[3]
        guidance = torch.full([n], guidance_scale, device=z_t.device, dtype=torch.float32)
        velocity = self.pipe.transformer(
            hidden_states=packed(z_t),
            timestep=timesteps / self.pipe.scheduler.config.num_train_timesteps,
            guidance=guidance if self.has_guidance_input else None,
            pooled_projections=for_each(pooled, n),
            encoder_hidden_states=for_each(embeds, n),
            txt_ids=torch.zeros(embeds.shape[1], 3, device=z_t.device, dtype=embeds.dtype),
            img_ids=image_ids(height, width).to(z_t.device, embeds.dtype),
            return_dict=False,
        )[0]
        return unpacked(velocity, height, width)

    def call_arguments(
        self, prompt: str, negative_prompt: str, noises: Tensor, guidance_scale: float
    ) -> dict[str, Any]:
        """Arguments by which that pipeline makes clean latents of these noises."""
        scale = self.pipe.vae_scale_factor
        arguments = {
            "prompt": prompt,
            "num_images_per_prompt": len(noises),
            "latents": packed(noises),
            "height": scale * noises.shape[2],
            "width": scale * noises.shape[3],
            "guidance_scale": guidance_scale,
            "output_type": "latent",
            "max_sequence_length": self.max_sequence_length,
        }
        if self._is_guided_by_prompts:
            arguments |= {"negative_prompt": negative_prompt, "true_cfg_scale": guidance_scale}
        return arguments

    def spatial(self, latents: Tensor) -> Tensor:
        """What that pipeline gives, unpacked."""
        return unpacked(latents, *self.latent_shape[1:])

    def samplers(self) -> list[str]:
        """Without a dynamic shift only the model's own, since the pipeline always gives mu."""
        dynamic = self.pipe.scheduler.config.use_dynamic_shifting
        return super().samplers() if dynamic else ["euler"]


def image_ids(height: int, width: int) -> Tensor:
    """(0, row, column) of each token of latents of that height and width."""
    rows, columns = torch.meshgrid(
        torch.arange(height // PATCH), torch.arange(width // PATCH), indexing="ij"
    )
    return torch.stack([torch.zeros_like(rows), rows, columns], dim=-1).flatten(0, 1).float()


def _told(configs: Configs) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return configs("transformer/config.json"), configs("scheduler/scheduler_config.json")


def _is_schnell(transformer: Mapping[str, Any], scheduler: Mapping[str, Any]) -> bool:
    return not transformer.get("guidance_embeds") and not scheduler.get("use_dynamic_shifting")


def _is_guided_by_prompts(transformer: Mapping[str, Any], scheduler: Mapping[str, Any]) -> bool:
    return not transformer.get("guidance_embeds") and not _is_schnell(transformer, scheduler)
