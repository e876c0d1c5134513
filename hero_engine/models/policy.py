"""The model that learns: a family's, with a trainable LoRA on its network."""

import contextlib
import hashlib
import logging
import pickle
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

import diffusers
import safetensors.torch
import torch
import transformers
from diffusers import DiffusionPipeline
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from PIL import Image
from torch import Tensor

from hero_engine import processes
from hero_engine.config import ModelSettings, RunConfig, SamplingSettings
from hero_engine.diffusion.forward_process import ForwardProcess
from hero_engine.diffusion.kernel import Denoiser, Schedule
from hero_engine.errors import ConfigError, ModelNotFound
from hero_engine.models.base import Condition, Family
from hero_engine.models.captions import predict_captioned
from hero_engine.models.halves import halves_for
from hero_engine.models.hub import first_line
from hero_engine.models.loading import Found
from hero_engine.models.memory import HIGH, MemoryPlan, plan_memory
from hero_engine.models.merged_lora import merge_in_forward
from hero_engine.models.out_of_memory import Doing, is_out_of_memory, memory_errors
from hero_engine.models.placing import placed, slimmed
from hero_engine.streams import stream_seed

logger = logging.getLogger(__name__)

Precision = Literal["no", "bf16", "fp16"]
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Policy:
    """A model with trainable LoRA matrices; everything else is frozen.

    It computes in float32; half precision is `autocast` for as long as a batch is drawn. How the
    frozen weights are stored, and where, is `memory`'s; the LoRA is float32. The device is
    accelerate's.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.device = device_for(config)
        found, self.memory = found_for_run(config, self.device)
        with self.memory_errors("loading"):
            loaded = _loaded(found, config.sampling, self.memory)
            self.family = slimmed(loaded, self.memory)
            if config.format == 1:
                self.family.as_format_1()
            self._attach_lora()
            self.prompts = placed(self.family, self.memory, self.device)
        self._halves = None if config.format == 1 else halves_for(self.network, self.device)

    def _attach_lora(self) -> None:
        self.family.freeze()
        rank = self.config.lora.lora_rank
        lora = LoraConfig(
            r=rank,
            lora_alpha=rank,
            init_lora_weights="gaussian",
            target_modules=list(self.family.lora_targets),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(self.config.seed, 0, "lora"))
            self.network.add_adapter(lora)
        if self.config.format != 1:
            merge_in_forward(self.network)

    @property
    def pipe(self) -> DiffusionPipeline:
        """The diffusers pipeline."""
        return self.family.pipe

    @property
    def network(self) -> Any:
        """The denoising network."""
        return self.family.network

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The trainable parameters: the LoRA's, in the order of the network."""
        return [p for p in self.network.parameters() if p.requires_grad]

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channel, height, width) of the model's latents."""
        return self.family.latent_shape

    @cached_property
    def schedule(self) -> Schedule:
        """The model's noise schedule, walked as the configuration says."""
        sampling = self.config.sampling
        return self.family.schedule(sampling.num_inference_steps, sampling.eta)

    @property
    def forward_process(self) -> ForwardProcess:
        """How clean latents are noised for the denoising loss."""
        return self.family.forward_process(self.schedule)

    @property
    def sampler_differs(self) -> bool:
        """Whether sampling rounds unlike the float32 update: in half precision, and on a GPU, where
        kernels depend on the batch."""
        return self.precision != "no" or self.device.type != "cpu"

    @property
    def precision(self) -> Precision:
        """That of sampling."""
        return precision_for(self.config, self.device)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of sampling; nothing for float32."""
        dtype = _DTYPES.get(self.precision)
        return torch.autocast(self.device.type, dtype) if dtype else contextlib.nullcontext()

    def denoiser(self, prompt: str | Sequence[str], *, guided: bool = True) -> Denoiser:
        """The network for one prompt, or for several among which `captions` choose, under the
        configured guidance or without any; differentiable in the LoRA."""
        scale = self.config.sampling.guidance_scale
        prompts = [prompt] if isinstance(prompt, str) else prompt
        conditions = [self.condition(each, guided) for each in prompts]

        def predict(z_t: Tensor, timesteps: Tensor, captions: Tensor | None = None) -> Tensor:
            if captions is None:
                (condition,) = conditions
                return self.family.predict(z_t, timesteps, condition, scale)
            return predict_captioned(self.family, z_t, timesteps, conditions, captions, scale)

        return predict if self._halves is None else self._halves.of(predict)

    def condition(self, prompt: str, guided: bool = True) -> Condition:
        """A prompt for the network, with the configured negative prompt where guidance has one."""
        guided = guided and self.config.sampling.guidance_scale > 1
        return self.prompts(prompt, self.config.negative_prompt if guided else None)

    def memory_errors(self, doing: Doing) -> contextlib.AbstractContextManager[None]:
        """In the block, too little memory is `TooLittleMemory`, which says what takes less."""
        return memory_errors(self.config, self.device, doing, self.memory.level)

    def decode(self, latents: Tensor) -> Iterator[Image.Image]:
        """The images of clean latents [batch channel height width], one by one."""
        return self.family.decode(latents)

    def encode(self, images: Sequence[Image.Image]) -> Tensor:
        """The clean latents [batch channel height width] of RGB images of the model's size, on the
        CPU; one by one, which bounds the VAE's memory."""
        with self.memory_errors("learning"):
            return torch.cat([self.family.latents_of(image) for image in images])

    @contextlib.contextmanager
    def pretrained(self) -> Iterator[None]:
        """The model without its LoRA: the frozen reference of D3PO, the prior of DreamBooth."""
        self.network.disable_adapters()
        try:
            yield
        finally:
            self.network.enable_adapters()

    def lora_state(self) -> dict[str, Tensor]:
        """A copy of the LoRA matrices by peft's names, on the CPU."""
        state = get_peft_model_state_dict(self.network)
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def lora_digest(self) -> str:
        """A checksum of the LoRA matrices."""
        return hashlib.sha256(safetensors.torch.save(self.lora_state())).hexdigest()

    def load_lora_state(self, state: dict[str, Tensor]) -> None:
        """Put back what `lora_state` gave."""
        set_peft_model_state_dict(self.network, state)


def device_for(config: RunConfig) -> torch.device:
    """The device that accelerate picks; `ConfigError` if it has not the wanted precision."""
    device = processes.device()
    if config.model.mixed_precision == "fp16" and device.type == "cpu":
        raise ConfigError(
            "mixed_precision is fp16, which CPUs cannot sample in; set it to bf16 or no, or run "
            "on a machine with a GPU."
        )
    return device


def precision_for(config: RunConfig, device: torch.device) -> Precision:
    """What `mixed_precision` comes to on a device."""
    said = config.model.mixed_precision
    if said != "auto":
        return said
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if has_bf16 and not config.method.needs_log_probs else "no"


def found_for_run(config: RunConfig, device: torch.device) -> tuple[Found, MemoryPlan]:
    """The configured model, downloaded if need be, and how it is to be held in memory.

    Raises `ModelNotFound`, `UnsupportedModel`, `ConfigError`.
    """
    found = Found(config.model)
    found.files = found.files.here(found.family.left_out)
    plan = plan_memory(config, found, device) or HIGH
    logger.info("%s: %s", config.model.name, plan.sentence())
    return found, plan


def load_family(model: ModelSettings | str, sampling: SamplingSettings | None = None) -> Family:
    """The model in float32, loaded by its family, for images of the size that a run asks for.

    Raises `ModelNotFound` where there is none and `UnsupportedModel` for other kinds of model.
    """
    model = ModelSettings(name=model) if isinstance(model, str) else model
    return _loaded(Found(model), sampling or SamplingSettings(), HIGH)


def _loaded(found: Found, sampling: SamplingSettings, plan: MemoryPlan) -> Family:
    found.check_size(sampling)
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    try:
        family = found.family.from_files(found.files, plan.half, plan.bits)
    except (OSError, ValueError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
        if is_out_of_memory(error):
            raise
        raise ModelNotFound(
            f"Loading the pipeline {found.files.name!r} failed ({first_line(error)}); check that "
            "its files are complete, or download it again."
        ) from error
    if (size := found.size(sampling)) is not None:
        family.resize(*size)
    return family
