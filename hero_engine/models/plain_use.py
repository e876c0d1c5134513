"""What plain diffusers has to be told to draw what the engine draws with a model."""

from dataclasses import dataclass
from typing import Any

from hero_engine.config import ModelSettings
from hero_engine.models.files import INDEX, names_part
from hero_engine.models.loading import Found
from hero_engine.models.schedulers import as_ddim
from hero_engine.models.sd3 import StableDiffusion3
from hero_engine.models.unet import UNetFamily


@dataclass(frozen=True)
class PlainUse:
    """Of one model; None for what the pipeline does by itself."""

    pipeline: str
    """The name of its class."""
    absent: tuple[str, ...]
    """Parts that the pipeline asks for, and that this model does without."""
    max_sequence_length: int | None
    """How many tokens the call takes from T5."""
    ddim: dict[str, Any] | None
    """What DDIM is set to for a model that is drawn by it and brings another scheduler."""


def plain_use(model: ModelSettings) -> PlainUse:
    """Raises `ModelNotFound`, `UnsupportedModel`."""
    found = Found(model)
    index, family = found.files.json(INDEX), found.family
    ddim = None
    if issubclass(family, UNetFamily):
        config = found.files.json("scheduler/scheduler_config.json")
        if config.get("_class_name") != "DDIMScheduler":
            made = as_ddim(config).config
            ddim = {name: value for name, value in made.items() if not name.startswith("_")}
    return PlainUse(
        pipeline=str(index["_class_name"]),
        absent=tuple(name for name in family.may_lack if not names_part(index, name)),
        max_sequence_length=(
            family.tokenizer_of(found.files.json)[1]
            if issubclass(family, StableDiffusion3)
            else None
        ),
        ddim=ddim,
    )
