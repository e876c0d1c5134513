"""How a model is held in memory: decided from the device, its free memory and the model's size.

| level | the network's frozen weights | text encoders | activations | large images |
| --- | --- | --- | --- | --- |
| high | float32 | float32, beside the network | all kept | decoded whole |
| low | 16 bits, widened to float32 in use | 16 bits, on the CPU | recomputed | in tiles |
| 8-bit, 4-bit | as that says, widened in use | as for low | as for low | as for low |

Arithmetic is float32 in all of them, and so are the LoRA and the VAE.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import psutil
import torch

from hero_engine import processes
from hero_engine.config import RunConfig
from hero_engine.errors import ConfigError
from hero_engine.models.loading import Found
from hero_engine.models.size import ModelSize, model_size

Level = Literal["high", "low", "8-bit", "4-bit"]
LEVELS: tuple[Level, ...] = ("high", "low", "8-bit", "4-bit")
"""Each takes less memory than the one before."""

_BYTES: dict[Level, float] = {"high": 4.0, "low": 2.0, "8-bit": 1.0, "4-bit": 0.56}
"""Of one of the network's frozen weights; nf4 has a scale for every 64 of them."""
_KEPT: dict[Level, float] = {"high": 1.25, "low": 0.25, "8-bit": 0.25, "4-bit": 0.25}
"""What the backward pass keeps of one latent of the model's own size, at most, as a part of the
network's weights in float32: `python -m benchmarks.memory` counts it for four models."""
_PACKAGES: dict[Level, str] = {"8-bit": "torchao", "4-bit": "bitsandbytes"}
_USABLE = 0.9
"""Of the free memory: the rest is for what is not counted here."""


@dataclass(frozen=True)
class MemoryPlan:
    """What is decided for one run on one device."""

    level: Level
    half: torch.dtype | None = None
    """What frozen weights are stored as, where they are stored in 16 bits; a file's own kind, which
    loses nothing, or else bfloat16."""
    needed: int = 0
    """Bytes of the device's memory that a pass of the update takes, estimated."""
    free: int = 0
    """Bytes of it that were free."""
    device: str = "cpu"

    @property
    def bits(self) -> Literal["8-bit", "4-bit"] | None:
        """What the network's weights are rounded to, beyond 16 bits."""
        return self.level if self.level in ("8-bit", "4-bit") else None

    @property
    def lean(self) -> bool:
        """Whether blocks are recomputed, encoders stay on the CPU, and images decoded in tiles."""
        return self.level != "high"

    @property
    def fits(self) -> bool:
        """Whether it should do, by the estimate."""
        return self.needed <= _USABLE * self.free

    def sentence(self) -> str:
        """What was decided, for people."""
        kind = self.bits or str(self.half).removeprefix("torch.")
        how = (
            f"frozen weights are stored in {kind} and widened to float32 in use, activations are "
            "recomputed by blocks, text encoders stay on the CPU, large images are decoded in tiles"
            if self.lean
            else f"everything is in float32 on {self.device}"
        )
        doubt = "" if self.fits else "; that may be too little"
        return (
            f"Memory is {self.level}: {how}; it takes about {gigabytes(self.needed)} of the "
            f"{gigabytes(self.free)} that are free{doubt}."
        )


HIGH = MemoryPlan("high")
"""Everything in float32 on one device, whatever there is."""


def gigabytes(count: int) -> str:
    """Bytes for people; of less than a tenth in MB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"


def plan_memory(config: RunConfig, found: Found, device: torch.device) -> MemoryPlan | None:
    """How the configured model is held on a device, without loading it; None while it has yet to
    be downloaded.

    Raises `ConfigError` if the configuration asks for what is not installed.
    """
    size = model_size(found.files, found.family.network_name, found.family.left_out)
    if size is None:
        return None
    asked = config.model.memory
    latents = latents_of_update(config, found)
    levels = LEVELS if asked == "auto" else (asked,)
    possible = [level for level in levels if not unavailable(level, device, found)]
    if not possible:
        raise ConfigError(unavailable(levels[0], device, found))
    return first_that_fits(possible, size, device, free_bytes(device), latents)


def first_that_fits(
    levels: Sequence[Level], size: ModelSize, device: torch.device, free: int, latents: float
) -> MemoryPlan:
    """The first of the levels that the free memory suffices for, by the estimate, or the last.

    `latents` is how many go through the network at once in the update, in latents of the model's
    own size.
    """
    plans = [_plan(level, size, device, free, latents) for level in levels]
    return next((plan for plan in plans if plan.fits), plans[-1])


def _plan(
    level: Level, size: ModelSize, device: torch.device, free: int, latents: float
) -> MemoryPlan:
    kinds = {"F16": torch.float16, "BF16": torch.bfloat16}
    half = kinds.get(size.network.kind, torch.bfloat16) if level != "high" else None
    needed = needed_bytes(level, size, device, latents)
    return MemoryPlan(level, half, needed, free, device.type)


def needed_bytes(level: Level, size: ModelSize, device: torch.device, latents: float) -> int:
    """What the weights and an update's pass with so many latents take of the device, estimated."""
    network = size.network.parameters
    encoders = 4 if level == "high" else 2 if device.type == "cpu" else 0
    weights = (
        _BYTES[level] * network + 4 * size.vae.parameters + encoders * size.encoders.parameters
    )
    return int(weights + _KEPT[level] * 4 * network * latents)


def latents_of_update(config: RunConfig, found: Found) -> float:
    """How many latents of the model's own size go through the network at once in the update."""
    method = config.method
    return method.largest_pass * latents_of_one(config, found, guided=method.guided_update)


def latents_of_one(config: RunConfig, found: Found, *, guided: bool = True) -> float:
    """How many latents of the model's own size one prediction takes: two under guidance by a
    prompt, and more if images are larger."""
    sampling = config.sampling
    guided = guided and sampling.guidance_scale > 1 and found.takes_negative_prompt
    height, width = found.family.size_from(found.configs(sampling))
    try:
        own = found.family.size_from(found.files.json)
    except ConfigError:  # the model does not say
        own = (height, width)
    return (2 if guided else 1) * height * width / (own[0] * own[1])


def unavailable(level: Level, device: torch.device, found: Found) -> str | None:
    """Why weights cannot be held so here, and what to do; None if they can."""
    package = _PACKAGES.get(level)
    if package is None:
        return None
    if found.files.single is not None:
        why = "is for a pipeline's folder or hub id, and the model is a single file"
    elif level == "4-bit" and device.type != "cuda":
        why = f"needs a CUDA GPU, and the device is {device.type}"
    elif find_spec(package) is None:
        return (
            f"memory {level} needs the package {package}, which is not installed; install it with "
            f"`pip install {package}`, or set memory to low."
        )
    else:
        return None
    return f"memory {level} {why}; set memory to low."


def free_bytes(device: torch.device) -> int:
    """The device's free memory; the first process's where there are several, so that all of them
    decide alike."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = psutil.virtual_memory().available
    number = torch.tensor([free], dtype=torch.int64, device=device)
    processes.from_first([number])
    return int(number)
