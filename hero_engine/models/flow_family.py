"""What the families of flow-matching transformers share: SD3, FLUX and their kin."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import diffusers
import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from PIL import Image
from torch import Tensor

from hero_engine.diffusion.flow import FlowMatching, dynamic_shift, flow_schedule
from hero_engine.diffusion.kernel import Schedule
from hero_engine.errors import ConfigError
from hero_engine.models.base import Configs, Family, pixels_of
from hero_engine.models.scheduler_classes import check_flow_class
from hero_engine.storage.durable import write_tensors

SCHEDULERS: dict[str, str] = {
    "euler": "FlowMatchEulerDiscreteScheduler",
    "heun": "FlowMatchHeunDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
}
"""Names of the samplers that a finished model can be drawn from with. They solve the ODE; euler is
the model's own."""

_OWN_OPTIONS = (
    "shift_terminal",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
)
_DYNAMIC_SHIFT = ("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len")

JOINT_ATTENTION = (
    "attn.to_q",
    "attn.to_k",
    "attn.to_v",
    "attn.to_out.0",
    "attn.add_q_proj",
    "attn.add_k_proj",
    "attn.add_v_proj",
    "attn.to_add_out",
)
"""What a LoRA changes in blocks where image and prompt attend to each other."""


class FlowFamily(Family):
    """A pipeline with a transformer, a FlowMatchEulerDiscreteScheduler and a VAE."""

    max_sequence_length: ClassVar[int]
    """Tokens that the network gets of a prompt from T5."""
    network_name = "transformer"

    def __init__(self, pipe: DiffusionPipeline) -> None:
        pipe.set_progress_bar_config(disable=True)
        self.pipe = pipe

    @classmethod
    @abstractmethod
    def shape_of(cls, transformer: Any, vae: Any) -> tuple[int, int, int]:
        """(channel, height, width) of the latents, by the configurations of network and VAE."""

    @classmethod
    def shape_from(cls, configs: Configs) -> tuple[int, int, int]:
        """By `shape_of`."""
        return cls.shape_of(configs("transformer/config.json"), configs("vae/config.json"))

    @classmethod
    @abstractmethod
    def tokens_of(cls, transformer: Any, shape: tuple[int, int, int]) -> int:
        """The number of tokens that the network sees of latents of that shape."""

    @classmethod
    def start_sigmas(cls, num_inference_steps: int) -> list[float] | None:
        """The noise levels before the shift; None where the scheduler says them."""
        return None

    @classmethod
    def schedule_from(cls, configs: Configs, num_inference_steps: int, eta: float) -> Schedule:
        """DDIM's steps between the scheduler's noise levels."""
        transformer, vae = configs("transformer/config.json"), configs("vae/config.json")
        scheduler = flow_scheduler(dict(configs("scheduler/scheduler_config.json")))
        tokens = cls.tokens_of(transformer, cls.shape_of(transformer, vae))
        return flow_schedule(
            scheduler,
            num_inference_steps,
            eta,
            cls.shift_of(scheduler, tokens, num_inference_steps),
            cls.start_sigmas(num_inference_steps),
        )

    def schedule(self, num_inference_steps: int, eta: float) -> Schedule:
        """DDIM's steps between the scheduler's noise levels."""
        return flow_schedule(
            self._scheduler(),
            num_inference_steps,
            eta,
            self.shift(num_inference_steps),
            self.start_sigmas(num_inference_steps),
        )

    def forward_process(self, schedule: Schedule) -> FlowMatching:
        """The straight path, with the model's shift."""
        return FlowMatching(self._scheduler(), self.shift(len(schedule)))

    def _scheduler(self) -> FlowMatchEulerDiscreteScheduler:
        """The pipeline's, which keeps the steps of its last drawing, anew."""
        return flow_scheduler(dict(self.pipe.scheduler.config))

    @classmethod
    def shift_of(
        cls, scheduler: FlowMatchEulerDiscreteScheduler, tokens: int, num_inference_steps: int
    ) -> float | None:
        """What the scheduler shifts by (mu) for so many tokens and steps, if that depends on them;
        on the steps it does for few families."""
        return dynamic_shift(scheduler, tokens)

    def shift(self, num_inference_steps: int) -> float | None:
        """The same for latents of this model's shape."""
        tokens = self.tokens_of(self.pipe.transformer.config, self.latent_shape)
        return self.shift_of(self._scheduler(), tokens, num_inference_steps)

    @property
    def network(self) -> torch.nn.Module:
        """The transformer."""
        return self.pipe.transformer

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channel, height, width) of the model's latents."""
        return self.shape_of(self.pipe.transformer.config, self.pipe.vae.config)

    def decode(self, latents: Tensor) -> Iterator[Image.Image]:
        """One by one, which bounds the VAE's memory."""
        for latent in latents.to(self.pipe.vae.device):
            yield self._decoded(latent[None])

    @torch.no_grad()
    def _decoded(self, latents: Tensor) -> Image.Image:
        pixels = self.pipe.vae.decode(self._unscaled(latents), return_dict=False)[0]
        pixels = pixels.squeeze(2) if pixels.ndim == 5 else pixels
        image: Image.Image = self.pipe.image_processor.postprocess(pixels)[0]
        return image

    def _unscaled(self, latents: Tensor) -> Tensor:
        """As the VAE made them."""
        config = self.pipe.vae.config
        return latents / config.scaling_factor + (config.shift_factor or 0.0)

    def scaled(self, latents: Tensor) -> Tensor:
        """As the network knows them."""
        config = self.pipe.vae.config
        return (latents - (config.shift_factor or 0.0)) * config.scaling_factor

    def pipeline(self, scheduler: str) -> DiffusionPipeline:
        """The same model as a plain pipeline with another solver of the ODE."""
        possible = self.samplers()
        if scheduler not in possible:
            raise ConfigError(
                f"This flow model cannot be drawn from with the scheduler {scheduler!r}; choose "
                f"{' or '.join(possible)}."
            )
        pipe = self.pipeline_class(**{**self.pipe.components, "scheduler": self._solver(scheduler)})
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def samplers(self) -> list[str]:
        """The names of `SCHEDULERS` that walk the model's noise levels.

        In diffusers Heun's method knows no dynamic shift, and only the model's own scheduler knows
        all of its options.
        """
        config = self.pipe.scheduler.config
        if any(config.get(option) for option in _OWN_OPTIONS):
            return ["euler"]
        if not config.use_dynamic_shifting:
            return list(SCHEDULERS)
        if config.time_shift_type != "exponential":
            return ["euler"]
        return [name for name in SCHEDULERS if name != "heun"]

    def _solver(self, name: str) -> Any:
        """The scheduler of that name, with the model's shift."""
        if name == "euler":
            return self._scheduler()
        config = self.pipe.scheduler.config
        options: dict[str, Any] = {"shift": config.shift}
        if name != "heun":
            options = {
                "prediction_type": "flow_prediction",
                "use_flow_sigmas": True,
                "flow_shift": config.shift,
                "use_dynamic_shifting": config.use_dynamic_shifting,
            }
        solver = getattr(diffusers, SCHEDULERS[name])(
            num_train_timesteps=config.num_train_timesteps, **options
        )
        # by these the pipeline finds mu
        solver.register_to_config(**{name: config[name] for name in _DYNAMIC_SHIFT})
        return solver

    @staticmethod
    def save_lora(
        lora: dict[str, Tensor], path: Path, metadata: dict[str, str]
    ) -> Literal["kohya", "diffusers"]:
        """diffusers' naming: `transformer.<layer>.lora_A.weight` and `.lora_B.weight`, without an
        alpha, which stands for the rank, so that strength 1 is what was trained."""
        named = {f"transformer.{name}": tensor.float() for name, tensor in lora.items()}
        write_tensors(path, named, {"format": "pt", **metadata})
        return "diffusers"


def flow_scheduler(config: dict[str, Any]) -> FlowMatchEulerDiscreteScheduler:
    """The scheduler of that configuration; `UnsupportedModel` if it is of another kind."""
    check_flow_class(config)
    return FlowMatchEulerDiscreteScheduler.from_config(config)


def equal_steps(num_inference_steps: int) -> list[float]:
    """Noise levels from 1 in equal steps, as several pipelines give them to the scheduler."""
    n = num_inference_steps
    levels: list[float] = torch.linspace(1.0, 1 / n, n, dtype=torch.double).tolist()
    return levels


def vae_latents(vae: Mapping[str, Any], patch: int) -> tuple[int, int]:
    """Height and width of the latents of the images that a VAE was trained with, in whole
    patches."""
    size, scale = vae["sample_size"], pixels_of(vae) * patch
    height, width = (size, size) if isinstance(size, int) else size
    return height // scale * patch, width // scale * patch
