"""Stable Diffusion 3 and 3.5: a transformer with two CLIP encoders and T5, by flow matching."""

from typing import Any, ClassVar

import torch
from diffusers import StableDiffusion3Pipeline
from torch import Tensor

from hero_engine.errors import ConfigError
from hero_engine.models.base import Condition, Configs, for_each, pixels_of
from hero_engine.models.files import INDEX, names_part
from hero_engine.models.flow_family import JOINT_ATTENTION, FlowFamily


class StableDiffusion3(FlowFamily):
    """A StableDiffusion3Pipeline. T5 may be left out of it, as its authors allow."""

    lora_targets = JOINT_ATTENTION
    pipeline_class = StableDiffusion3Pipeline
    left_out = ("image_encoder", "feature_extractor")
    embedded_as: ClassVar = {
        "embeds": "prompt_embeds",
        "pooled": "pooled_prompt_embeds",
        "negative_embeds": "negative_prompt_embeds",
        "negative_pooled": "negative_pooled_prompt_embeds",
    }
    may_lack = ("text_encoder_3", "tokenizer_3")
    max_sequence_length = 256
    """Tokens that the network gets from T5, unless its tokenizer says that it reads fewer; of zeros
    where there is no T5, as in diffusers."""

    @classmethod
    def tokenizer_of(cls, configs: Configs) -> tuple[str, int | None]:
        """T5's, or CLIP's where there is no T5."""
        index = configs(INDEX)
        if not all(names_part(index, name) for name in cls.may_lack):
            return "tokenizer", None
        reads = configs("tokenizer_3/tokenizer_config.json").get("model_max_length")
        return "tokenizer_3", min(cls.max_sequence_length, reads or cls.max_sequence_length)

    @classmethod
    def shape_of(cls, transformer: Any, vae: Any) -> tuple[int, int, int]:
        """By the size that the transformer was trained with."""
        size = transformer["sample_size"]
        height, width = (size, size) if isinstance(size, int) else size
        most = transformer["pos_embed_max_size"] * transformer["patch_size"]
        if max(height, width) > most:
            pixels = most * pixels_of(vae)
            raise ConfigError(
                f"The model knows no place beyond {pixels} pixels, in height and in width; set "
                f"height and width to {pixels} or less."
            )
        return transformer["in_channels"], height, width

    @classmethod
    def patch(cls, configs: Configs) -> int:
        """The transformer's."""
        return int(configs("transformer/config.json").get("patch_size", 2))

    @classmethod
    def tokens_of(cls, transformer: Any, shape: tuple[int, int, int]) -> int:
        """One a patch."""
        patch = transformer["patch_size"]
        return (shape[1] // patch) * (shape[2] // patch)

    @property
    def tokens_of_t5(self) -> int:
        """How many tokens the network gets from T5."""
        most, tokenizer = self.max_sequence_length, self.pipe.tokenizer_3
        return most if tokenizer is None else min(most, tokenizer.model_max_length)

    @torch.no_grad()
    def encode(self, prompt: str, negative_prompt: str | None, device: torch.device) -> Condition:
        """`embeds` [1 token feature] and `pooled` [1 feature], and those of the negative prompt."""
        embeds, negative, pooled, negative_pooled = self.pipe.encode_prompt(
            prompt=prompt,
            prompt_2=None,
            prompt_3=None,
            device=device,
            do_classifier_free_guidance=negative_prompt is not None,
            negative_prompt=negative_prompt,
            max_sequence_length=self.tokens_of_t5,
        )
        condition = {"embeds": embeds, "pooled": pooled}
        if negative is not None:
            condition |= {"negative_embeds": negative, "negative_pooled": negative_pooled}
        return condition

    def predict(
        self, z_t: Tensor, timesteps: Tensor, condition: Condition, guidance_scale: float
    ) -> Tensor:
        """The transformer's velocity under classifier-free guidance."""
        n = len(z_t)
        embeds, pooled = for_each(condition["embeds"], n), for_each(condition["pooled"], n)
        if "negative_embeds" not in condition:
            return self._velocity(z_t, timesteps, embeds, pooled)
        both = self._velocity(
            torch.cat([z_t, z_t]),
            timesteps.repeat(2),
            torch.cat([for_each(condition["negative_embeds"], n), embeds]),
            torch.cat([for_each(condition["negative_pooled"], n), pooled]),
        )
        unconditional, conditional = both.chunk(2)
        return unconditional + guidance_scale * (conditional - unconditional)

    def _velocity(self, z_t: Tensor, timesteps: Tensor, embeds: Tensor, pooled: Tensor) -> Tensor:
        velocity: Tensor = self.pipe.transformer(
            hidden_states=z_t,
            timestep=timesteps,
            encoder_hidden_states=embeds,
            pooled_projections=pooled,
            return_dict=False,
        )[0]
        return velocity

    def call_arguments(
        self, prompt: str, negative_prompt: str, noises: Tensor, guidance_scale: float
    ) -> dict[str, Any]:
        """As of other families, with the length of the prompt."""
        return {
            **super().call_arguments(prompt, negative_prompt, noises, guidance_scale),
            "max_sequence_length": self.tokens_of_t5,
        }
