"""The interface of a family of models: all that the engine asks of a diffusers pipeline.

Latents are spatial everywhere, [channel, height, width]; a family whose network packs them does so
inside `predict` and `decode`. Only this room reaches into a pipeline.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from diffusers import DiffusionPipeline
from PIL import Image
from torch import Tensor

from hero_engine.diffusion.forward_process import ForwardProcess
from hero_engine.diffusion.kernel import Schedule
from hero_engine.models.files import Configs as Configs
from hero_engine.models.files import ModelFiles, locate
from hero_engine.models.quantization import quantization

Condition = dict[str, Tensor]
"""What a network is told besides z_t and t: a prompt and its negative, encoded once.

The first dimension of every part is 1, or the number of latents where each has its own prompt.
"""


def for_each(part: Tensor, n: int) -> Tensor:
    """A part of a condition for n latents."""
    return part if len(part) == n else part.repeat_interleave(n, 0)


def pixels_of(vae: Mapping[str, Any]) -> int:
    """Side of the square of pixels that one latent stands for, by the VAE's configuration."""
    if "temperal_downsample" in vae:  # spelt so, of a VAE that draws films, too
        return int(2 ** len(vae["temperal_downsample"]))
    return int(2 ** (len(vae["block_out_channels"]) - 1))


def resized(configs: Configs, height: int, width: int) -> Configs:
    """The configurations of the same model for images of that size."""

    def read(path: str) -> Mapping[str, Any]:
        config, (part, _, file) = configs(path), path.partition("/")
        if file != "config.json":
            return config
        scale = pixels_of(configs("vae/config.json"))
        return {**config, "sample_size": _size_in(part, scale, height, width)}

    return read


def _size_in(part: str, scale: int, height: int, width: int) -> list[int]:
    """An image's size as a part of the pipeline counts it: the VAE in pixels, others in latents."""
    return [height, width] if part == "vae" else [height // scale, width // scale]


class Family(ABC):
    """A loaded model of one family; its weights are frozen, and it computes in float32.

    A new family is a subclass in a file of its own and a line in `families.py`.
    """

    lora_targets: ClassVar[tuple[str, ...]]
    """Names of the network's layers that get a LoRA."""
    pipeline_class: ClassVar[type[DiffusionPipeline]]
    pipeline_options: ClassVar[dict[str, Any]] = {}
    """What the pipeline's class is told besides its parts."""
    left_out: ClassVar[tuple[str, ...]] = ()
    """Parts of a pipeline that are not loaded."""
    may_lack: ClassVar[tuple[str, ...]] = ()
    """Parts that a model can do without: its model_index.json says null for them."""
    network_name: ClassVar[str]
    """The denoising network's part of the pipeline, and its folder."""
    embedded_as: ClassVar[Mapping[str, str]]
    """What the pipeline calls the parts of a `Condition` when it is given a prompt encoded."""
    pipe: Any

    @abstractmethod
    def __init__(self, pipe: DiffusionPipeline) -> None:
        """A model whose pipeline is loaded already."""

    @classmethod
    def load(cls, folder: str) -> "Family":
        """The model in a pipeline's folder, in float32."""
        return cls.from_files(locate(folder))

    @classmethod
    def from_files(
        cls,
        files: ModelFiles,
        half: torch.dtype | None = None,
        bits: Literal["8-bit", "4-bit"] | None = None,
    ) -> "Family":
        """The model in a pipeline's files; what is missing of them is downloaded.

        In float32, or with the network's and the text encoders' weights in `half`, a 16-bit kind
        (`store_in_half` then makes them compute in float32), or the network's in so many bits.
        """
        files, name = files.here(cls.left_out), cls.network_name
        precision = {"default": half or torch.float32, "vae": torch.float32}
        options = dict(cls.pipeline_options)
        if bits is not None:
            precision[name] = torch.float32
            options["quantization_config"] = quantization(name, bits)
        return cls(files.load(cls.pipeline_class, cls.left_out, options, precision))

    @classmethod
    @abstractmethod
    def shape_from(cls, configs: Configs) -> tuple[int, int, int]:
        """What `latent_shape` gives, of a model that is not loaded."""

    @classmethod
    def patch(cls, configs: Configs) -> int:
        """Side of the square of latents that the network takes as one."""
        return 1

    @classmethod
    def size_from(cls, configs: Configs) -> tuple[int, int]:
        """Height and width of the images, in pixels, of a model that is not loaded."""
        _, height, width = cls.shape_from(configs)
        scale = pixels_of(configs("vae/config.json"))
        return height * scale, width * scale

    @classmethod
    @abstractmethod
    def schedule_from(cls, configs: Configs, num_inference_steps: int, eta: float) -> Schedule:
        """What `schedule` gives, of a model that is not loaded."""

    @classmethod
    def tokenizer_of(cls, configs: Configs) -> tuple[str, int | None]:
        """The folder of the tokenizer that reads the most of a prompt, and how many tokens the
        network gets of it; None for as many as the tokenizer says."""
        return "tokenizer", None

    @classmethod
    def takes_negative_prompt(cls, configs: Configs) -> bool:
        """Whether the model's guidance leads away from a prompt."""
        return True

    @classmethod
    def few_steps(cls, configs: Configs) -> bool:
        """Whether the model is known to be distilled to few steps, which are no policy to improve:
        they hardly have noise, and each leaps too far."""
        return False

    @property
    @abstractmethod
    def network(self) -> torch.nn.Module:
        """The denoising network, which the LoRA is attached to."""

    @property
    @abstractmethod
    def latent_shape(self) -> tuple[int, int, int]:
        """(channel, height, width) of the model's latents."""

    @property
    def encoders(self) -> dict[str, torch.nn.Module]:
        """The text encoders, by their names in the pipeline."""
        return {
            name: part
            for name, part in self.pipe.components.items()
            if isinstance(part, torch.nn.Module) and name not in (self.network_name, "vae")
        }

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        _, height, width = self.latent_shape
        scale = pixels_of(self.pipe.vae.config)
        return height * scale, width * scale

    def resize(self, height: int, width: int) -> None:
        """Draw images of that size from now on, which takes the place of the model's own."""
        scale = pixels_of(self.pipe.vae.config)
        for name in (self.network_name, "vae"):
            size = _size_in(name, scale, height, width)
            getattr(self.pipe, name).register_to_config(sample_size=size)

    def as_format_1(self) -> None:  # noqa: B027
        """Draw as the version that wrote format 1 did, so that its runs go on; most families came
        later, and have nothing to do."""

    def freeze(self) -> None:
        """Take every weight out of training."""
        for component in self.pipe.components.values():
            if isinstance(component, torch.nn.Module):
                component.requires_grad_(False).eval()

    @abstractmethod
    def schedule(self, num_inference_steps: int, eta: float) -> Schedule:
        """The model's noise schedule as sampling walks it."""

    @abstractmethod
    def forward_process(self, schedule: Schedule) -> ForwardProcess:
        """How clean latents are noised for the denoising loss."""

    @abstractmethod
    def encode(self, prompt: str, negative_prompt: str | None, device: torch.device) -> Condition:
        """A prompt for `predict`, and what guidance leads away from; None for no guidance."""

    @abstractmethod
    def predict(
        self, z_t: Tensor, timesteps: Tensor, condition: Condition, guidance_scale: float
    ) -> Tensor:
        """The network's guided prediction for [batch channel height width] latents; differentiable.

        Guided if the condition has a negative prompt.
        """

    @abstractmethod
    def decode(self, latents: Tensor) -> Iterator[Image.Image]:
        """The images of clean latents [batch channel height width], one by one."""

    @abstractmethod
    def scaled(self, latents: Tensor) -> Tensor:
        """What the VAE made of images, as the clean latents [batch channel height width] that the
        network knows."""

    @torch.no_grad()
    def latents_of(self, image: Image.Image) -> Tensor:
        """The clean latent [1 channel height width] of an RGB image of the model's size, on the
        CPU: the middle of what the VAE's encoder says, so that it is the same every time."""
        vae = self.pipe.vae
        pixels = self.pipe.image_processor.preprocess(image).to(vae.device, vae.dtype)
        if "temperal_downsample" in vae.config:  # it takes films
            pixels = pixels.unsqueeze(2)
        return self.scaled(vae.encode(pixels).latent_dist.mode()).float().cpu()

    @abstractmethod
    def pipeline(self, scheduler: str) -> DiffusionPipeline:
        """The same model as a plain pipeline with another sampler; `ConfigError` if unknown."""

    def call_arguments(
        self, prompt: str, negative_prompt: str, noises: Tensor, guidance_scale: float
    ) -> dict[str, Any]:
        """How that pipeline is told to make clean latents of these noises."""
        height, width = self.image_size
        return {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "num_images_per_prompt": len(noises),
            "latents": noises,
            "height": height,
            "width": width,
            "guidance_scale": guidance_scale,
            "output_type": "latent",
        }

    def embedded(self, condition: Condition, n: int) -> dict[str, Any]:
        """Arguments by which that pipeline is given a prompt that `encode` encoded, n times: it may
        repeat what it encodes, and does not repeat all that it is given."""
        given = {
            name: None if (part := condition.get(key)) is None else part.repeat_interleave(n, 0)
            for key, name in self.embedded_as.items()
        }
        return {"prompt": None, "negative_prompt": None, "num_images_per_prompt": 1, **given}

    def spatial(self, latents: Tensor) -> Tensor:
        """What that pipeline gives, as [batch channel height width]."""
        return latents

    @staticmethod
    @abstractmethod
    def save_lora(
        lora: dict[str, Tensor], path: Path, metadata: dict[str, str]
    ) -> Literal["kohya", "diffusers"]:
        """Write a LoRA as one safetensors file that other programs take; the naming it has."""
