"""Too little memory, as a sentence that says which setting helps, and by how much."""

import contextlib
from collections.abc import Iterator
from typing import Final, Literal

import torch

from hero_engine.config import RunConfig
from hero_engine.errors import HeroError, TooLittleMemory
from hero_engine.models.loading import Found
from hero_engine.models.memory import (
    LEVELS,
    Level,
    gigabytes,
    latents_of_one,
    needed_bytes,
    unavailable,
)
from hero_engine.models.size import model_size

Doing = Literal["loading", "drawing", "learning"]
SMALLEST: Final = 256
"""Side of an image, in pixels, below which none is advised."""
STEP: Final = 64

_SAID_BY_ALLOCATORS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "could not create a primitive",  # oneDNN's, whose convolutions the CPU uses
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator refused, of the GPU or of the CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(said in str(error) for said in _SAID_BY_ALLOCATORS)
    )


@contextlib.contextmanager
def memory_errors(
    config: RunConfig, device: torch.device, doing: Doing, level: Level
) -> Iterator[None]:
    """What an allocator refuses in the block, as `TooLittleMemory`; `level` is how the model is
    held."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        helps = "; ".join(what_helps(config, device, doing, level))
        said = (
            f"What helps, in a new run: {helps}." if helps else "Take a machine with more memory."
        )
        raise TooLittleMemory(
            f"The memory of the {device.type} does not suffice for {doing} with memory {level}; "
            f"nothing was changed. {said}"
        ) from error


def what_helps(config: RunConfig, device: torch.device, doing: Doing, level: Level) -> list[str]:
    """The settings that take less, each with what it spares by the estimate."""
    try:
        found = Found(config.model)
        size = model_size(found.files, found.family.network_name, found.family.left_out)
        learning = doing == "learning"
        one = latents_of_one(config, found, guided=config.method.guided_update or not learning)
        image = found.family.size_from(found.configs(config.sampling))
    except HeroError:
        return []
    at_once = config.method.largest_pass if learning else 1
    helps: list[str] = []

    def add(setting: str, less_level: Level, less_at_once: float) -> None:
        if size is None:
            return
        now, then = (
            needed_bytes(each, size, device, one * of)
            for each, of in ((level, at_once), (less_level, less_at_once))
        )
        helps.append(f"{setting} (about {gigabytes(now - then)} less)")

    for lower in LEVELS[LEVELS.index(level) + 1 :]:
        if not unavailable(lower, device, found):
            add(f"--memory {lower}", lower, float(at_once))
    if at_once > 1:
        least = config.method.model_copy(update={"forward_batch_size": 1}).largest_pass
        if least < at_once:
            add("--set forward_batch_size=1", level, float(least))
    drawn = config.sampling.model_dump()["sample_batch_size"]
    if doing == "drawing" and isinstance(drawn, int) and drawn > 1:
        helps.append(f"--set sample_batch_size={drawn // 2} (half of what is drawn at once)")
    if min(image) >= 2 * SMALLEST:
        height, width = (side // 2 // STEP * STEP for side in image)
        add(f"--height {height} --width {width}", level, at_once / 4)
    return helps
