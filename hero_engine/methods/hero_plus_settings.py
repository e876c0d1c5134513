"""Settings of hero+. The defaults are the recipe that measured best (docs/research.md)."""

from typing import Literal

from pydantic import Field

from hero_engine.methods.shared_settings import DenoisingSettings, FeedbackSettings


class HeroPlusSettings(DenoisingSettings, FeedbackSettings):
    """HERO's feedback, but the model learns by the denoising loss on the good images so far."""

    name: Literal["hero+"] = "hero+"
    fresh_share: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="Share of a batch drawn from N(0, I) beside pi_HERO, so that the model also "
        "learns where it will be used.",
    )
    denoising_steps: int = Field(
        120, ge=1, description="Most steps on the denoising loss per epoch."
    )
    denoising_lr: float = Field(1e-3, gt=0.0, description="AdamW's learning rate in those steps.")
    denoising_repeats: int = Field(
        32,
        ge=0,
        description="Most draws of a good latent per epoch, on average: with few good images so "
        "far there are fewer steps, so that the model does not copy them. 0 is no limit.",
    )
    denoising_full_share: float = Field(
        0.25,
        ge=0.0,
        le=1.0,
        description="When bad is rarer than this share of the judged images (those from N(0, I) if "
        "fresh_share is set), there are fewer steps, in proportion: images drawn under guidance "
        "sharpen with every generation that learns from them, so steps that have nothing to mend "
        "do harm. 0 always takes all of them.",
    )
    first_step_share: float = Field(
        1 / 16,
        ge=0.0,
        lt=1.0,
        description="Share of a step's latents that are learned from where sampling begins: from "
        "noise alone. Noised images of that timestep still have their coarse shape in them, so "
        "without it what the model sees in noise is left to chance.",
    )
    pretrained_weight: float = Field(
        1.0,
        ge=0.0,
        description="Weight of the squared difference between the predictions of the model and of "
        "the pretrained one on the good latents: their KL up to a factor per timestep.",
    )
    preservation_weight: float = Field(
        0.0,
        ge=0.0,
        description="Weight of the same on prior_images latents that the pretrained model drew for "
        "class_prompt.",
    )
    step_back_drop: float = Field(
        0.2,
        ge=0.0,
        lt=1.0,
        description="When the success rate of a batch's fresh noises lies below the best so far by "
        "more than this, the model returns to what it was before its last update. 0 is never.",
    )
