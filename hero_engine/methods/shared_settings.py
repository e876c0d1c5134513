"""Settings that several methods share."""

from typing import Annotated, Literal

from pydantic import Field

from hero_engine.config import MethodSettings, SamplingSettings


class LearningSettings(MethodSettings):
    """Of every method that changes the model."""

    forward_batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="Latents in one forward pass of the update. Changes memory and speed, not the "
        "gradient. auto is what the trial of `hero start` finds fastest within the memory there "
        "is.",
    )
    step_back_drop: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="When a batch's success rate (that of its fresh noises, if fresh_share is set) "
        "lies below the best so far by more than this, the model returns to what it was before its "
        "last update. 0 is never.",
    )

    @property
    def latents_at_once(self) -> int:
        """`forward_batch_size` as a number: 2 where it is `auto` and no trial was made."""
        return 2 if self.forward_batch_size == "auto" else self.forward_batch_size

    @property
    def largest_pass(self) -> int:
        """`forward_batch_size`, as long as a step of the optimizer has so many."""
        return 1 if self.forward_batch_size == "auto" else self.forward_batch_size


class TrajectorySettings(LearningSettings):
    """Of methods that learn from the denoising steps of the batch."""

    needs_log_probs = True

    learning_rate: float = Field(1e-3, gt=0.0, description="AdamW's learning rate for the LoRA.")
    trained_steps: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        5,
        description="Denoising steps of each image that are trained on (K, Eq. 8); all is every "
        "step that has noise, as in Eq. 2.",
    )
    trained_steps_choice: Literal["random", "last"] = Field(
        "random",
        description="random draws K steps per image, as the authors' code does and as learns; "
        "last takes the K steps before z_0, as Eq. 8 says.",
    )
    minibatch_size: int = Field(
        8, ge=1, description="Images in one optimizer step (64 / 8 = 8 steps per epoch)."
    )
    inner_epochs: int = Field(1, ge=1, description="Passes over the batch in an update.")

    @property
    def images_in_a_step(self) -> int:
        """Of the optimizer."""
        return self.minibatch_size

    @property
    def largest_pass(self) -> int:
        """No more than all trained steps of these images."""
        most = super().largest_pass
        if self.trained_steps == "all":
            return most
        return min(most, self.images_in_a_step * self.trained_steps)

    def problem(self, sampling: SamplingSettings) -> str | None:
        """More steps to train on than an image has."""
        if self.trained_steps == "all" or self.trained_steps <= sampling.num_inference_steps:
            return None
        return (
            f"trained_steps is {self.trained_steps}, but an image has only num_inference_steps = "
            f"{sampling.num_inference_steps} steps to train on; lower trained_steps or raise "
            "num_inference_steps"
        )


class PolicyGradientSettings(TrajectorySettings):
    """Of methods that learn by the clipped policy gradient (Eq. 2, 8)."""

    clip_range: float = Field(
        1e-4,
        gt=0.0,
        description="PPO's clip of the importance ratio, for 4 x 64 x 64 latents; log-"
        "probabilities are means over a latent's D dimensions, so it is rescaled by 16384 / D.",
    )
    advantage_clip: float = Field(5.0, gt=0.0, description="Largest absolute advantage.")
    reward_std_floor: float = Field(
        0.005,
        gt=0.0,
        description="Rewards are divided by their standard deviation, but by no less than this, so "
        "that a batch whose rewards hardly differ hardly teaches.",
    )


class FeedbackSettings(LearningSettings):
    """Of methods that keep a noise bank and an embedding of what people called good."""

    noise: Literal["mixture", "normal"] = Field(
        "mixture",
        description="What batches after the first good image are drawn from: mixture is pi_HERO "
        "(Eq. 5), normal N(0, I), the ablation that the paper's Figure 5 calls random.",
    )
    best_image_ratio: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="Share of a batch drawn round the best noise (beta, Eq. 5).",
    )
    noise_variance: float = Field(
        0.1, ge=0.0, le=1.0, description="Variance round a good noise (eps0^2, Eq. 5)."
    )
    noise_form: Literal["additive", "variance-preserving"] = Field(
        "variance-preserving",
        description="additive is Eq. 5 as printed, z + eps0 n, whose variance grows every epoch; "
        "variance-preserving is the authors' code, sqrt(1 - eps0^2) z + eps0 n, which stays on the "
        "prior and with which every measured run of the tiny model was made.",
    )
    fresh_share: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="Share of a batch drawn from N(0, I) beside pi_HERO, so that the model also "
        "learns where it will be used.",
    )
    embedding_lr: float = Field(1e-5, gt=0.0, description="Adam's learning rate for the embedding.")
    embedding_steps: int = Field(500, ge=1, description="Optimizer steps on Eq. 3 per epoch.")
    embedding_batch_size: int = Field(
        2048, ge=1, description="Most (good, bad) pairs in one of those steps."
    )
    margin: float = Field(0.5, gt=0.0, description="Triplet margin (alpha, Eq. 3).")


class DenoisingSettings(LearningSettings):
    """Of methods that learn by the denoising loss on images that people called good."""

    guided_update = False

    denoising_steps: int = Field(20, ge=1, description="Steps on the denoising loss per epoch.")
    denoising_lr: float = Field(3e-4, gt=0.0, description="AdamW's learning rate in those steps.")
    denoising_batch_size: int = Field(16, ge=1, description="Latents in one of those steps.")
    class_prompt: str = Field(
        "",
        description="The prompt of the pretrained model's images that shall not be forgotten, if "
        "not the run's own.",
    )
    prior_images: int = Field(32, ge=1, description="Number of those images.")

    @property
    def largest_pass(self) -> int:
        """Each term of a step's loss goes through the network by itself."""
        return min(super().largest_pass, self.denoising_batch_size)
