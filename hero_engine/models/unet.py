"""What the families with a UNet share: DDIM, guidance, the VAE, and a LoRA by kohya's names."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from diffusers.utils import convert_state_dict_to_kohya
from PIL import Image
from torch import Tensor

from hero_engine.diffusion.ddim import ddim_schedule
from hero_engine.diffusion.forward_process import VariancePreserving
from hero_engine.diffusion.kernel import Schedule
from hero_engine.models.base import Condition, Configs, Family, for_each
from hero_engine.models.files import SCHEDULER
from hero_engine.models.kinds import check_size_is_known
from hero_engine.models.scheduler_classes import OF_FEW_STEPS
from hero_engine.models.schedulers import as_ddim, other_sampler
from hero_engine.storage.durable import write_tensors


class UNetFamily(Family):
    """A pipeline with a UNet, with its scheduler replaced by DDIM."""

    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
    network_name = "unet"

    def __init__(self, pipe: DiffusionPipeline) -> None:
        self.pipe = pipe
        self.own_scheduler = pipe.scheduler.config
        pipe.scheduler = as_ddim(self.own_scheduler)
        pipe.set_progress_bar_config(disable=True)

    @classmethod
    def shape_from(cls, configs: Configs) -> tuple[int, int, int]:
        """By the size that the UNet was trained with; `ConfigError` if it does not say."""
        return _shape(configs("unet/config.json"))

    @classmethod
    def few_steps(cls, configs: Configs) -> bool:
        """By a scheduler that only such models come with."""
        return configs(SCHEDULER).get("_class_name") in OF_FEW_STEPS

    @classmethod
    def schedule_from(cls, configs: Configs, num_inference_steps: int, eta: float) -> Schedule:
        """DDIM's."""
        scheduler = as_ddim(configs(SCHEDULER))
        return ddim_schedule(scheduler, num_inference_steps, eta)

    def as_format_1(self) -> None:
        """diffusers' own conversion to DDIM."""
        self.pipe.scheduler = DDIMScheduler.from_config(self.own_scheduler)

    @property
    def network(self) -> torch.nn.Module:
        """The UNet."""
        return self.pipe.unet

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channel, height, width) of the model's latents."""
        return _shape(self.pipe.unet.config)

    def schedule(self, num_inference_steps: int, eta: float) -> Schedule:
        """DDIM's."""
        return ddim_schedule(self.scheduler, num_inference_steps, eta)

    @property
    def scheduler(self) -> DDIMScheduler:
        """The pipeline's."""
        return self.pipe.scheduler

    def forward_process(self, schedule: Schedule) -> VariancePreserving:
        """The one that the scheduler describes."""
        return VariancePreserving(
            self.scheduler.alphas_cumprod,
            self.scheduler.config["prediction_type"],
            first_timestep=int(schedule.timesteps[0]),
        )

    @abstractmethod
    def added(self, condition: Condition, sign: str, n: int) -> dict[str, Any] | None:
        """What the UNet is told of n images besides the prompt's tokens, which are `positive` or
        `negative`; None for nothing."""

    def predict(
        self, z_t: Tensor, timesteps: Tensor, condition: Condition, guidance_scale: float
    ) -> Tensor:
        """The UNet under classifier-free guidance."""
        n, positive = len(z_t), for_each(condition["positive"], len(z_t))
        added = self.added(condition, "positive", n)
        if "negative" not in condition:
            return self._unet(z_t, timesteps, positive, added)
        embeds = torch.cat([for_each(condition["negative"], n), positive])
        away = self.added(condition, "negative", n)
        if added is not None and away is not None:
            added = {name: torch.cat([away[name], tensor]) for name, tensor in added.items()}
        both = self._unet(torch.cat([z_t, z_t]), timesteps.repeat(2), embeds, added)
        unconditional, conditional = both.chunk(2)
        return unconditional + guidance_scale * (conditional - unconditional)

    def _unet(self, z_t: Tensor, timesteps: Tensor, embeds: Tensor, added: Any) -> Tensor:
        return self.pipe.unet(z_t, timesteps, embeds, added_cond_kwargs=added, return_dict=False)[0]

    def decode(self, latents: Tensor) -> Iterator[Image.Image]:
        """One by one, which bounds the VAE's memory; in float32, since some VAEs overflow."""
        for latent in latents.to(self.pipe.vae.device):
            yield self._decoded(latent[None])

    @torch.no_grad()
    def _decoded(self, latents: Tensor) -> Image.Image:
        pixels = self.pipe.vae.decode(self._unscaled(latents), return_dict=False)[0]
        return self.pipe.image_processor.postprocess(pixels)[0]

    def _unscaled(self, latents: Tensor) -> Tensor:
        """As the VAE made them."""
        return latents / self.pipe.vae.config.scaling_factor

    def scaled(self, latents: Tensor) -> Tensor:
        """As the network knows them."""
        return latents * self.pipe.vae.config.scaling_factor

    def pipeline(self, scheduler: str) -> DiffusionPipeline:
        """The same model as a plain pipeline with another sampler."""
        parts = {**self.pipe.components, "scheduler": other_sampler(scheduler, self.scheduler)}
        pipe = self.pipeline_class(**parts, **self.flags())
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def flags(self) -> dict[str, Any]:
        """What the pipeline's class is told besides its parts."""
        return dict(self.pipeline_options)

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


def _shape(unet: Mapping[str, Any]) -> tuple[int, int, int]:
    check_size_is_known(unet)
    size = unet["sample_size"]
    height, width = (size, size) if isinstance(size, int) else size
    return unet.get("in_channels", 4), height, width
