"""Z-Image: a transformer with a language model that reads the prompt, by flow matching."""

from typing import Any, ClassVar

import torch
from diffusers import ZImagePipeline
from torch import Tensor

from hero_engine.models.base import Condition, Configs, for_each
from hero_engine.models.flow_family import vae_latents
from hero_engine.models.patched_flow import PATCH, PatchedFlowFamily

CHAT = 12
"""Tokens, at most, that the language model's chat puts round a prompt."""


class ZImage(PatchedFlowFamily):
    """A ZImagePipeline. Its network counts time from noise to image, and predicts -v.

    The pipeline's guidance scale says how far beyond the prompt guidance leads; here, as for other
    families, 1 is none, so that the pipeline's is one less.
    """

    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
    pipeline_class = ZImagePipeline
    embedded_as: ClassVar = {"positive": "prompt_embeds", "negative": "negative_prompt_embeds"}
    max_sequence_length = 512

    @classmethod
    def tokenizer_of(cls, configs: Configs) -> tuple[str, int | None]:
        """The language model's."""
        return "tokenizer", cls.max_sequence_length - CHAT

    @classmethod
    def shape_of(cls, transformer: Any, vae: Any) -> tuple[int, int, int]:
        """By the size that the VAE was trained with; both sides are whole patches."""
        return transformer["in_channels"], *vae_latents(vae, PATCH)

    @torch.no_grad()
    def encode(self, prompt: str, negative_prompt: str | None, device: torch.device) -> Condition:
        """`positive` and, for guidance, `negative`: [1 token feature], each of its own length."""
        positive, negative = self.pipe.encode_prompt(
            prompt=prompt,
            device=device,
            do_classifier_free_guidance=negative_prompt is not None,
            negative_prompt=negative_prompt,
            max_sequence_length=self.max_sequence_length,
        )
        return {"positive": positive[0][None]} | (
            {"negative": negative[0][None]} if negative_prompt is not None else {}
        )

    def predict(
        self, z_t: Tensor, timesteps: Tensor, condition: Condition, guidance_scale: float
    ) -> Tensor:
        """The transformer's velocity under classifier-free guidance."""
        positive = list(for_each(condition["positive"], len(z_t)))
        if "negative" not in condition:
            return self._velocity(z_t, timesteps, positive)
        negative = list(for_each(condition["negative"], len(z_t)))
        both = self._velocity(torch.cat([z_t, z_t]), timesteps.repeat(2), positive + negative)
        conditional, unconditional = both.chunk(2)
        return conditional + (guidance_scale - 1) * (conditional - unconditional)

    def _velocity(self, z_t: Tensor, timesteps: Tensor, embeds: list[Tensor]) -> Tensor:
        trained = self.pipe.scheduler.config.num_train_timesteps
        made = self.pipe.transformer(
            list(z_t.unsqueeze(2).unbind(0)),
            (trained - timesteps) / trained,
            embeds,
            return_dict=False,
        )[0]
        return -torch.stack(list(made)).squeeze(2)

    def call_arguments(
        self, prompt: str, negative_prompt: str, noises: Tensor, guidance_scale: float
    ) -> dict[str, Any]:
        """As of other families, with the length of the prompt."""
        return {
            **super().call_arguments(prompt, negative_prompt, noises, guidance_scale),
            "guidance_scale": guidance_scale - 1,
            "max_sequence_length": self.max_sequence_length,
        }

    def embedded(self, condition: Condition, n: int) -> dict[str, Any]:
        """As lists, since prompts differ in length."""
        given = super().embedded(condition, n)
        return {k: list(each) if isinstance(each, Tensor) else each for k, each in given.items()}

    def samplers(self) -> list[str]:
        """Only the model's own: the pipeline gives noise levels in a form that no other takes."""
        return ["euler"]
