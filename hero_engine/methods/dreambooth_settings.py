"""Settings of DreamBooth."""

from typing import Literal

from pydantic import Field

from hero_engine.methods.shared_settings import DenoisingSettings


class DreamBoothSettings(DenoisingSettings):
    """DreamBooth on the four best images so far; the paper compares with it."""

    name: Literal["dreambooth"] = "dreambooth"
    instance_prompt: str = Field(
        "", description="The prompt of the four best images in training, if not the run's own."
    )
    prior_weight: float = Field(
        1.0, ge=0.0, description="Weight of the loss on the pretrained model's images."
    )
