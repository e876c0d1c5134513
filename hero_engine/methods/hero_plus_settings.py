"""Settings of hero+. The defaults are the recipe that measured best (docs/research.md)."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from hero_engine.config import not_blank
from hero_engine.methods.neighbours import neighbours
from hero_engine.methods.shared_settings import DenoisingSettings, FeedbackSettings

USUAL_UNTIL = 0.95
KEEP_WORDS = ("neighbours", "none")


class HeroPlusSettings(DenoisingSettings, FeedbackSettings):
    """HERO's feedback, but the model learns by the denoising loss on the good images so far."""

    learns_from_images = True
    several_prompts = True

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
        16,
        ge=0,
        description="Most draws of a good latent per epoch, on average: with few good images so "
        "far there are fewer steps, so that the model does not copy them. With keep_best twice as "
        "many while fewer than half of the fresh images are good. 0 is no limit.",
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
    keep: Literal["neighbours", "none"] | tuple[str, ...] = Field(
        "none",
        description="Prompts that shall stay as they are. neighbours are those next to the run's "
        "own: fewer, more, another colour, no place, the bare noun. Each step then has half as "
        "many latents more.",
    )
    keep_weight: float = Field(
        1.0,
        ge=0.0,
        description="Weight of the squared difference to the pretrained model for those prompts, "
        "on the good latents.",
    )
    held_share: float = Field(
        0.5,
        ge=0.0,
        lt=1.0,
        description="Share of the noise levels, the cleaner ones, at which the model is held to "
        "the pretrained one. What an image shows is decided before that. Learning there, from "
        "images that were drawn under guidance, only makes them less clean, and more alike.",
    )
    held_weight: float = Field(
        10.0, ge=0.0, description="Weight of the squared difference to the pretrained model there."
    )
    keep_best: bool = Field(
        True,
        description="The run's model is the one that people's verdicts on fresh noises speak best "
        "for. A batch that shows an update to be none the better brings the model before it back, "
        "and one of which nearly all is good changes nothing. From half good on all images are "
        "from fresh noises, so that each counts. Takes the place of step_back_drop.",
    )
    until: Annotated[float, Field(gt=0.0, lt=1.0)] | Literal["never"] = Field(
        USUAL_UNTIL,
        description="With keep_best: the run is finished once the verdicts show that the model's "
        "success rate on fresh noises is at least this, wrongly in at most 5 of 100 runs of a "
        "model that just misses it. never goes on to the last epoch.",
    )

    @field_validator("keep", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        """One prompt alone, or one of the words in a list."""
        if isinstance(value, str) and value not in KEEP_WORDS:
            return (value,)
        if isinstance(value, list | tuple) and len(value) == 1 and value[0] in KEEP_WORDS:
            return value[0]
        return value

    @field_validator("keep")
    @classmethod
    def _not_blank(cls, value: Any) -> Any:
        return value if isinstance(value, str) else tuple(not_blank(each) for each in value)

    def kept(self, prompt: str) -> tuple[str, ...]:
        """The prompts that a run on `prompt` keeps as they are."""
        if self.keep == "none":
            return ()
        return tuple(neighbours(prompt)) if self.keep == "neighbours" else self.keep

    def kept_beside(self, prompts: Sequence[str]) -> dict[str, int]:
        """The prompts that a run on `prompts` keeps as they are, each with the number of the one
        that it is next to; none that the run learns."""
        kept = {
            each: number
            for number, prompt in reversed(list(enumerate(prompts)))
            for each in self.kept(prompt)
        }
        return {each: number for each, number in kept.items() if each not in prompts}

    @property
    def left_from(self) -> float:
        """From which success rate on the model is left as it is: half of the way from `until` to
        all, where the next labels are likely to prove it."""
        wanted = USUAL_UNTIL if self.until == "never" else self.until
        return (1.0 + wanted) / 2
