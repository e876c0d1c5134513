"""Stable Diffusion 1.x and 2.x: a UNet with one text encoder, by DDIM."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_kohya
from PIL import Image
from torch import Tensor

from hero_engine.diffusion.ddim import ddim_schedule
from hero_engine.diffusion.forward_process import VariancePreserving
from hero_engine.diffusion.kernel import Schedule
from hero_engine.errors import ConfigError
from hero_engine.models.base import Condition, Configs, Family
from hero_engine.storage.durable import write_tensors

_SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm++ karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True},
    ),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler a": ("EulerAncestralDiscreteScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
SCHEDULERS = tuple(_SCHEDULERS)
"""Names of the samplers that a finished model can be drawn from with."""


class StableDiffusion(Family):
    """A StableDiffusionPipeline, with its scheduler replaced by DDIM."""

    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
    pipe: StableDiffusionPipeline

    def __init__(self, pipe: StableDiffusionPipeline) -> None:
        pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
        pipe.set_progress_bar_config(disable=True)
        self.pipe = pipe

    @classmethod
    def load(cls, folder: str) -> "StableDiffusion":
        """The pipeline in a folder or of a hub id, without a safety checker."""
        return cls(
            StableDiffusionPipeline.from_pretrained(
                folder, dtype=torch.float32, safety_checker=None, requires_safety_checker=False
            )
        )

    @classmethod
    def schedule_from(cls, configs: Configs, num_inference_steps: int, eta: float) -> Schedule:
        """DDIM's."""
        scheduler = DDIMScheduler.from_config(dict(configs("scheduler/scheduler_config.json")))
        return ddim_schedule(scheduler, num_inference_steps, eta)

    @property
    def network(self) -> torch.nn.Module:
        """The UNet."""
        return self.pipe.unet

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channel, height, width) of the model's latents."""
        size = self.pipe.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.pipe.unet.config.in_channels, height, width

    def schedule(self, num_inference_steps: int, eta: float) -> Schedule:
        """DDIM's."""
        return ddim_schedule(self.pipe.scheduler, num_inference_steps, eta)

    def forward_process(self, schedule: Schedule) -> VariancePreserving:
        """The one that the scheduler describes."""
        scheduler = self.pipe.scheduler
        return VariancePreserving(
            scheduler.alphas_cumprod,
            scheduler.config.prediction_type,
            first_timestep=int(schedule.timesteps[0]),
        )

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

    def predict(
        self, z_t: Tensor, timesteps: Tensor, condition: Condition, guidance_scale: float
    ) -> Tensor:
        """The UNet under classifier-free guidance."""
        n, positive = len(z_t), condition["positive"]
        if "negative" not in condition:
            return self.pipe.unet(z_t, timesteps, positive.repeat(n, 1, 1), return_dict=False)[0]
        embeds = torch.cat([condition["negative"].repeat(n, 1, 1), positive.repeat(n, 1, 1)])
        predictions = self.pipe.unet(
            torch.cat([z_t, z_t]), timesteps.repeat(2), embeds, return_dict=False
        )[0]
        unconditional, conditional = predictions.chunk(2)
        return unconditional + guidance_scale * (conditional - unconditional)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Iterator[Image.Image]:
        """One by one, which bounds the VAE's memory."""
        vae = self.pipe.vae
        for latent in latents.to(vae.device):
            pixels = vae.decode(latent[None] / vae.config.scaling_factor, return_dict=False)[0]
            yield self.pipe.image_processor.postprocess(pixels)[0]

    def pipeline(self, scheduler: str) -> StableDiffusionPipeline:
        """The same model as a plain pipeline with another sampler."""
        if scheduler not in _SCHEDULERS:
            raise ConfigError(
                f"There is no scheduler called {scheduler!r}; choose one of "
                f"{', '.join(SCHEDULERS)}."
            )
        class_name, options = _SCHEDULERS[scheduler]
        other = getattr(diffusers, class_name).from_config(self.pipe.scheduler.config, **options)
        pipe = StableDiffusionPipeline(
            **{**self.pipe.components, "scheduler": other}, requires_safety_checker=False
        )
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def call_arguments(
        self, prompt: str, negative_prompt: str, noises: Tensor, guidance_scale: float
    ) -> dict[str, Any]:
        """Arguments by which that pipeline makes clean latents of these noises."""
        return {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "num_images_per_prompt": len(noises),
            "latents": noises,
            "guidance_scale": guidance_scale,
            "output_type": "latent",
        }

    @staticmethod
    def save_lora(
        lora: dict[str, Tensor], path: Path, metadata: dict[str, str]
    ) -> Literal["kohya", "diffusers"]:
        """Kohya's naming: `lora_unet_<layer>.lora_down.weight`, `.lora_up.weight` and `.alpha`,
        which equals the rank, so that strength 1 is what was trained."""
        named = {f"unet.{name}": tensor for name, tensor in lora.items()}
        keys = convert_state_dict_to_kohya(named)
        write_tensors(path, {name: tensor.float() for name, tensor in keys.items()}, metadata)
        return "kohya"
