"""FLUX.2 [klein]: a transformer on packed latents with a language model that reads the prompt, by
flow matching.

FLUX.2 [dev] has the same network, and is not here: its prompt is read by Mistral's processor, which
needs torchvision.
"""

from typing import Any, ClassVar

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline
from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu
from torch import Tensor

from hero_engine.models.base import Condition, Configs, for_each
from hero_engine.models.files import INDEX
from hero_engine.models.flow_family import JOINT_ATTENTION, vae_latents
from hero_engine.models.patched_flow import PATCH, LanguageModelFlow, packed, unpacked


class Flux2Klein(LanguageModelFlow):
    """A Flux2KleinPipeline: a base model, guided by a negative prompt, or one that was distilled to
    four steps, which takes no guidance.

    Its latents are those of the VAE, each of the numbers of a patch in its own mean and deviation.
    """

    lora_targets = (*JOINT_ATTENTION, "attn.to_qkv_mlp_proj")
    pipeline_class = Flux2KleinPipeline
    embedded_as: ClassVar = {"embeds": "prompt_embeds", "negative": "negative_prompt_embeds"}

    @classmethod
    def few_steps(cls, configs: Configs) -> bool:
        """As its model_index.json says."""
        return bool(configs(INDEX).get("is_distilled"))

    @classmethod
    def takes_negative_prompt(cls, configs: Configs) -> bool:
        """Only a base model."""
        return not cls.few_steps(configs)

    @classmethod
    def shape_of(cls, transformer: Any, vae: Any) -> tuple[int, int, int]:
        """By the size that the VAE was trained with; both sides are whole patches."""
        return transformer["in_channels"] // PATCH**2, *vae_latents(vae, PATCH)

    @classmethod
    def shift_of(
        cls, scheduler: FlowMatchEulerDiscreteScheduler, tokens: int, num_inference_steps: int
    ) -> float | None:
        """By the pipeline's own rule, for schedulers with a dynamic shift."""
        if not scheduler.config["use_dynamic_shifting"]:
            return None
        return float(compute_empirical_mu(tokens, num_inference_steps))

    @torch.no_grad()
    def encode(self, prompt: str, negative_prompt: str | None, device: torch.device) -> Condition:
        """`embeds` [1 token feature] and, for guidance, `negative`."""
        condition = {"embeds": self._encoded(prompt, device)}
        if negative_prompt is not None and not self.pipe.config.is_distilled:
            condition["negative"] = self._encoded(negative_prompt, device)
        return condition

    def predict(
        self, z_t: Tensor, timesteps: Tensor, condition: Condition, guidance_scale: float
    ) -> Tensor:
        """The transformer's velocity under classifier-free guidance."""
        embeds = for_each(condition["embeds"], len(z_t))
        if "negative" not in condition:
            return self._velocity(z_t, timesteps, embeds)
        negative = for_each(condition["negative"], len(z_t))
        both = self._velocity(
            torch.cat([z_t, z_t]), timesteps.repeat(2), torch.cat([negative, embeds])
        )
        unconditional, conditional = both.chunk(2)
        return unconditional + guidance_scale * (conditional - unconditional)

    def _velocity(self, z_t: Tensor, timesteps: Tensor, embeds: Tensor) -> Tensor:
        height, width = z_t.shape[2:]
        velocity = self.pipe.transformer(
            hidden_states=packed(z_t),
            timestep=timesteps / self.pipe.scheduler.config.num_train_timesteps,
            guidance=None,
            encoder_hidden_states=embeds,
            txt_ids=_places(z_t.device, tokens=embeds.shape[1]),
            img_ids=_places(z_t.device, rows=height // PATCH, columns=width // PATCH),
            return_dict=False,
        )[0]
        return unpacked(velocity, height, width)

    def _unscaled(self, latents: Tensor) -> Tensor:
        """As the VAE made them."""
        mean, std = self._moments(latents)
        return unpacked(packed(latents) * std + mean, *latents.shape[2:])

    def scaled(self, latents: Tensor) -> Tensor:
        """As the network knows them."""
        mean, std = self._moments(latents)
        return unpacked((packed(latents) - mean) / std, *latents.shape[2:])

    def _moments(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the deviation of each number of a patch, which the VAE has measured."""
        vae = self.pipe.vae
        variance = vae.bn.running_var + vae.config.batch_norm_eps
        return vae.bn.running_mean.to(latents), variance.sqrt().to(latents)

    def call_arguments(
        self, prompt: str, negative_prompt: str, noises: Tensor, guidance_scale: float
    ) -> dict[str, Any]:
        """As of other families, with patches as channels; the pipeline takes a negative prompt only
        where it is encoded."""
        told = super().call_arguments(prompt, negative_prompt, noises, guidance_scale)
        del told["negative_prompt"]
        return {
            **told,
            "negative_prompt_embeds": self._encoded(negative_prompt),
            "latents": self.pipe._patchify_latents(noises),
            "max_sequence_length": self.max_sequence_length,
        }

    def embedded(self, condition: Condition, n: int) -> dict[str, Any]:
        """Without the name of a negative prompt, which the pipeline does not know."""
        given = super().embedded(condition, n)
        del given["negative_prompt"]
        return given

    def spatial(self, latents: Tensor) -> Tensor:
        """What that pipeline gives is as the VAE made it."""
        return self.scaled(latents)

    def samplers(self) -> list[str]:
        """Only the model's own: the pipeline always gives mu and its own noise levels."""
        return ["euler"]


def _places(device: torch.device, *, rows: int = 1, columns: int = 1, tokens: int = 1) -> Tensor:
    """(0, row, column, token) of each place of an image, or of a text."""
    ranges = [torch.arange(n, device=device) for n in (1, rows, columns, tokens)]
    return torch.cartesian_prod(*ranges)
