"""Settings of DDPO with a reward that is no person."""

from typing import Literal

from pydantic import Field

from hero_engine.methods.shared_settings import PolicyGradientSettings


class RewardDdpoSettings(PolicyGradientSettings):
    """DDPO with a reward model in place of people; the paper compares with it."""

    several_prompts = True

    name: Literal["ddpo"] = "ddpo"
    reward_model: Literal["pickscore"] | None = Field(
        None, description="Reward model that replaces people's feedback in learning."
    )
    reward_model_path: str = Field(
        "", description="Folder or hub id of its weights, if not the published ones."
    )
