"""Settings of HERO."""

from typing import Literal

from pydantic import Field

from hero_engine.methods.shared_settings import FeedbackSettings, PolicyGradientSettings


class HeroSettings(PolicyGradientSettings, FeedbackSettings):
    """HERO, the paper's Algorithm 1: rewards by similarity to the best image, policy gradient."""

    several_prompts = True

    name: Literal["hero"] = "hero"
    reward: Literal["best", "positives", "binary", "no-embedding"] = Field(
        "best",
        description="best is similarity to the best image in E's space (Eq. 4). The ablations of "
        "Table 3: positives is similarity to the mean of the good images there, binary is 1 for "
        "good and 0 for bad, no-embedding is similarity to the mean of the good clean latents.",
    )
    full_update_share: float = Field(
        1 / 16,
        ge=0.0,
        le=0.5,
        description="When good or bad is rarer than this share of the judged images, the learning "
        "rate of the update falls in proportion: few contrasts, small step.",
    )
