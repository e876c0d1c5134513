"""Diffusers pipelines as HERO needs them: loaded, frozen, with LoRA on attention."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import accelerate
import diffusers
import torch
import transformers
from diffusers import DDIMScheduler, StableDiffusionPipeline
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from PIL import Image
from torch import Tensor
from transformers import CLIPTokenizer

from hero_engine.config import HeroConfig
from hero_engine.diffusion.sampling import Denoiser, Schedule
from hero_engine.errors import ConfigError, ModelNotFound, UnsupportedModel
from hero_engine.streams import stream_seed

ATTENTION_LAYERS = ("to_q", "to_k", "to_v", "to_out.0")
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
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


class Policy:
    """A Stable Diffusion pipeline with trainable LoRA matrices; everything else is frozen.

    All weights are float32, the LoRA's above all; half precision is `autocast` for as long as a
    batch is drawn. Device placement is accelerate's.
    """

    def __init__(self, config: HeroConfig) -> None:
        self.pipe = load_pipeline(config.model)
        self.device = device_for(config)
        self.mixed_precision = config.mixed_precision
        self._attach_lora(config)
        self.pipe.to(self.device)

    def _attach_lora(self, config: HeroConfig) -> None:
        for module in (self.pipe.unet, self.pipe.vae, self.pipe.text_encoder):
            module.requires_grad_(False).eval()
        lora = LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_rank,
            init_lora_weights="gaussian",
            target_modules=list(ATTENTION_LAYERS),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(config.seed, 0, "lora"))
            self.pipe.unet.add_adapter(lora)

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The trainable parameters: the LoRA's, in the order of the network."""
        return [p for p in self.pipe.unet.parameters() if p.requires_grad]

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channel, height, width) of the model's latents."""
        size = self.pipe.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.pipe.unet.config.in_channels, height, width

    def schedule(self, config: HeroConfig) -> Schedule:
        """The model's noise schedule, walked by DDIM as the configuration says."""
        return Schedule.of(self.pipe.scheduler, config.num_inference_steps, config.eta)

    @property
    def sampler_differs(self) -> bool:
        """Whether sampling rounds unlike the float32 update: in half precision, and on a GPU, where
        kernels depend on the batch."""
        return self.mixed_precision != "no" or self.device.type != "cpu"

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The configuration's precision for sampling; nothing for float32."""
        dtype = _DTYPES.get(self.mixed_precision)
        return torch.autocast(self.device.type, dtype) if dtype else contextlib.nullcontext()

    def denoiser(self, prompt: str, config: HeroConfig) -> Denoiser:
        """The UNet under classifier-free guidance for one prompt; differentiable in the LoRA."""
        guided = config.guidance_scale > 1
        with torch.no_grad():
            positive, negative = self.pipe.encode_prompt(
                prompt, self.device, 1, guided, config.negative_prompt
            )

        def denoise(z_t: Tensor, timesteps: Tensor) -> Tensor:
            n = len(z_t)
            if not guided:
                return self.pipe.unet(z_t, timesteps, positive.repeat(n, 1, 1), return_dict=False)[
                    0
                ]
            embeds = torch.cat([negative.repeat(n, 1, 1), positive.repeat(n, 1, 1)])
            predictions = self.pipe.unet(
                torch.cat([z_t, z_t]), timesteps.repeat(2), embeds, return_dict=False
            )[0]
            unconditional, conditional = predictions.chunk(2)
            return unconditional + config.guidance_scale * (conditional - unconditional)

        return denoise

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Iterator[Image.Image]:
        """The images of clean latents [batch channel height width], one by one."""
        vae = self.pipe.vae
        for latent in latents.to(self.device):
            pixels = vae.decode(latent[None] / vae.config.scaling_factor, return_dict=False)[0]
            yield self.pipe.image_processor.postprocess(pixels)[0]

    def with_scheduler(self, name: str) -> StableDiffusionPipeline:
        """The same model as a plain pipeline with another sampler; `ConfigError` if unknown."""
        if name not in _SCHEDULERS:
            raise ConfigError(
                f"There is no scheduler called {name!r}; choose one of {', '.join(SCHEDULERS)}."
            )
        class_name, options = _SCHEDULERS[name]
        scheduler = getattr(diffusers, class_name).from_config(
            self.pipe.scheduler.config, **options
        )
        pipe = StableDiffusionPipeline(
            **{**self.pipe.components, "scheduler": scheduler}, requires_safety_checker=False
        )
        pipe.set_progress_bar_config(disable=True)
        return pipe

    @contextlib.contextmanager
    def pretrained(self) -> Iterator[None]:
        """The model without its LoRA: the frozen reference of D3PO, the prior of DreamBooth."""
        self.pipe.unet.disable_adapters()
        try:
            yield
        finally:
            self.pipe.unet.enable_adapters()

    @contextlib.contextmanager
    def as_it_was(self, parameters: list[Tensor]) -> Iterator[None]:
        """The model with an earlier copy of `parameters`, for forward passes without gradient."""
        present = [parameter.detach().clone() for parameter in self.parameters]
        with torch.no_grad():
            torch._foreach_copy_(self.parameters, parameters)
            try:
                yield
            finally:
                torch._foreach_copy_(self.parameters, present)

    def lora_state(self) -> dict[str, Tensor]:
        """A copy of the LoRA matrices by peft's names, on the CPU."""
        state = get_peft_model_state_dict(self.pipe.unet)
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def load_lora_state(self, state: dict[str, Tensor]) -> None:
        """Put back what `lora_state` gave."""
        set_peft_model_state_dict(self.pipe.unet, state)


def device_for(config: HeroConfig) -> torch.device:
    """The device that accelerate picks; `ConfigError` if it has not the wanted precision."""
    device = accelerate.PartialState().device
    if config.mixed_precision == "fp16" and device.type == "cpu":
        raise ConfigError(
            "mixed_precision is fp16, which CPUs cannot sample in; set it to bf16 or no, or run "
            "on a machine with a GPU."
        )
    return device


def load_pipeline(model: str) -> StableDiffusionPipeline:
    """The pipeline at a path or hub id, in float32, with its scheduler replaced by DDIM.

    Raises `ModelNotFound` where there is none and `UnsupportedModel` for other kinds of model.
    """
    check_model(model)
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    try:
        pipe = StableDiffusionPipeline.from_pretrained(
            model, dtype=torch.float32, safety_checker=None, requires_safety_checker=False
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelNotFound(
            f"Loading the pipeline {model!r} failed ({_first_line(error)}); check that its files "
            "are complete, or download it again."
        ) from error
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def check_model(model: str) -> None:
    """See that `model` names a pipeline that can be fine-tuned, without loading its weights."""
    try:
        index = json.loads(_model_file(model, "model_index.json").read_text())
        class_name = index["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelNotFound(
            f"The model_index.json of {model!r} cannot be read ({_first_line(error)}); download "
            "the pipeline again."
        ) from error
    if class_name != "StableDiffusionPipeline":
        raise UnsupportedModel(
            f"{model!r} is a {class_name}, which is not supported yet; choose a Stable Diffusion "
            "1.x or 2.x model (a StableDiffusionPipeline)."
        )


def load_schedule(config: HeroConfig) -> Schedule:
    """The schedule of the configured model, without loading its weights."""
    scheduler = json.loads(_model_file(config.model, "scheduler/scheduler_config.json").read_text())
    return Schedule.of(DDIMScheduler.from_config(scheduler), config.num_inference_steps, config.eta)


def prompt_warnings(config: HeroConfig) -> list[str]:
    """What the model's tokenizer cuts off the prompts, one sentence each."""
    try:
        tokenizer = CLIPTokenizer.from_pretrained(config.model, subfolder="tokenizer")
    except (OSError, ValueError) as error:
        raise ModelNotFound(
            f"The tokenizer of {config.model!r} cannot be loaded ({_first_line(error)}); check "
            "that the pipeline is complete, or download it again."
        ) from error
    prompts = {"prompt": config.prompt, "negative prompt": config.negative_prompt}
    if config.method == "prompt":
        prompts["enhanced prompt"] = config.enhanced_prompt
    if config.method == "dreambooth":
        prompts |= {
            "instance prompt": config.instance_prompt,
            "class prompt": config.class_prompt,
        }
    return [text for name, prompt in prompts.items() if (text := _cut(name, prompt, tokenizer))]


def _cut(name: str, prompt: str, tokenizer: CLIPTokenizer) -> str | None:
    tokens = tokenizer(prompt, return_offsets_mapping=True, verbose=False)
    length, limit = len(tokens.input_ids), tokenizer.model_max_length
    if length <= limit:
        return None
    start = tokens["offset_mapping"][limit - 1][0]
    return (
        f'The {name} has {length} tokens and the model reads {limit}: "{prompt[start:].strip()}" '
        f'is cut off, after "{prompt[:start].strip()}"; shorten it to be read whole.'
    )


def _model_file(model: str, name: str) -> Path:
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / name).is_file():
            raise ModelNotFound(
                f"The folder {model!r} is no diffusers pipeline: it has no {name}; give a folder "
                "written by save_pretrained(), or convert a single-file checkpoint with "
                "StableDiffusionPipeline.from_single_file(...).save_pretrained(...)."
            )
        return folder / name
    if folder.is_file():
        raise ModelNotFound(
            f"{model!r} is a file, not a diffusers pipeline; convert it with "
            "StableDiffusionPipeline.from_single_file(...).save_pretrained(FOLDER) and give FOLDER."
        )
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise ModelNotFound(
            f"There is no folder {model!r}; give the path of a diffusers pipeline or a hub id such "
            "as stable-diffusion-v1-5/stable-diffusion-v1-5."
        )
    return _hub_file(model, name)


def _hub_file(model: str, name: str) -> Path:
    with contextlib.suppress(OSError, ValueError):
        return Path(hf_hub_download(model, name, local_files_only=True))
    try:
        return Path(hf_hub_download(model, name))
    except GatedRepoError as error:
        raise ModelNotFound(
            f"The hub keeps {model!r} behind a licence; accept it on the model's page and log in "
            "with `hf auth login`."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(
            f"There is neither a folder nor a model on the hub called {model!r}; check the name, "
            "or log in with `hf auth login` if it is private."
        ) from error
    except (OSError, ValueError) as error:
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        raise ModelNotFound(
            f"{model!r} is no folder here, is not in the local cache, and could not be fetched "
            f"from {endpoint} ({_first_line(error)}); check the name and the network, or download "
            "the model elsewhere and give its folder."
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
