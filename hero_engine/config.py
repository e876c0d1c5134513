"""Every hyper-parameter of a run, one documented field each; presets for the paper's tasks.

Defaults are the paper's (Hiranaka et al., "HERO", ICLR 2025, Sec. 5, App. D.2 and Table 7) and,
where the paper is silent, those of the authors' published code.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hero_engine.errors import ConfigError

STABLE_DIFFUSION_1_5 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
REFERENCE_LATENT_SIZE = 4 * 64 * 64
"""Number of latent dimensions for which `HeroConfig.clip_range` is stated."""


class HeroConfig(BaseModel):
    """One run of HERO, from the prompt to the last hyper-parameter."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str = Field(description="Folder or hub id of a diffusers Stable Diffusion pipeline.")
    prompt: str = Field(description="The prompt whose images are to become better.")
    negative_prompt: str = Field("", description="What guidance leads away from.")
    seed: int = Field(0, ge=0, description="Decides every random number of the run.")

    method: Literal["hero", "hero+", "d3po", "ddpo", "dreambooth", "prompt"] = Field(
        "hero",
        description="What learns from the feedback. hero is the paper's Algorithm 1; hero+ adds "
        "denoising_steps on the good images so far; d3po, ddpo (with reward_model), dreambooth and "
        "prompt (enhanced_prompt, no training) are the methods that the paper compares with.",
    )

    images_per_epoch: int = Field(64, ge=2, description="Images drawn and judged in an epoch.")
    epochs: int = Field(
        8, ge=1, description="Epochs; the feedback budget is images_per_epoch * epochs."
    )

    num_inference_steps: int = Field(50, ge=1, description="Denoising steps of an image.")
    guidance_scale: float = Field(
        5.0, ge=1.0, description="Classifier-free guidance, in sampling and in training; 1 is none."
    )
    eta: float = Field(
        1.0, gt=0.0, le=1.0, description="DDIM's noise: 1 is ancestral sampling, as DDPO needs it."
    )
    sample_batch_size: int = Field(8, ge=1, description="Images denoised in one forward pass.")

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
        "learns where it will be used (hero, hero+).",
    )

    reward: Literal["best", "positives", "binary", "no-embedding"] = Field(
        "best",
        description="best is similarity to the best image in E's space (Eq. 4). The ablations of "
        "Table 3: positives is similarity to the mean of the good images there, binary is 1 for "
        "good and 0 for bad, no-embedding is similarity to the mean of the good clean latents.",
    )
    embedding_lr: float = Field(1e-5, gt=0.0, description="Adam's learning rate for the embedding.")
    embedding_steps: int = Field(500, ge=1, description="Optimizer steps on Eq. 3 in an epoch.")
    embedding_batch_size: int = Field(
        2048, ge=1, description="Most (good, bad) pairs in one of those steps."
    )
    margin: float = Field(0.5, gt=0.0, description="Triplet margin (alpha, Eq. 3).")
    embedding_replay: bool = Field(
        False,
        description="Whether the embedding is trained on the judged images of all epochs, and not "
        "on the present batch alone (hero+).",
    )
    embedding_ensemble: int = Field(
        1,
        ge=1,
        description="Embeddings, trained from different weights; the reward is their mean (hero, "
        "hero+).",
    )
    disagreement_weight: float = Field(
        0.0,
        ge=0.0,
        description="How many of their standard deviations are taken from that mean, so that "
        "images of which the embeddings are unsure earn less (hero, hero+).",
    )

    lora_rank: int = Field(4, ge=1, description="Rank of the LoRA matrices on attention.")
    learning_rate: float = Field(1e-3, gt=0.0, description="AdamW's learning rate for the LoRA.")
    adam_beta1: float = Field(0.9, ge=0.0, lt=1.0, description="AdamW's first-moment decay.")
    adam_beta2: float = Field(0.999, ge=0.0, lt=1.0, description="AdamW's second-moment decay.")
    adam_weight_decay: float = Field(1e-4, ge=0.0, description="AdamW's weight decay.")
    adam_epsilon: float = Field(1e-8, gt=0.0, description="AdamW's epsilon.")
    max_grad_norm: float = Field(1.0, gt=0.0, description="Gradients are scaled down to this norm.")
    lora_ema_decay: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="Decay, an optimizer step, of a moving average of the LoRA, with which images "
        "are sampled and which is exported; batches are drawn by the LoRA that is trained, as its "
        "update needs. 0 is no average.",
    )
    step_back_drop: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="When a batch's success rate (that of its images from N(0, I), if fresh_share "
        "is set) lies below the best before by more than this, the model returns to what it was "
        "before its last update. 0 is never.",
    )

    trained_steps: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        5,
        description="Denoising steps of each image that are trained on (K, Eq. 8); all is every "
        "step that has noise, as in Eq. 2.",
    )
    trained_steps_choice: Literal["random", "last"] = Field(
        "random",
        description="random draws K steps an image, as the authors' code does and as learns; "
        "last takes the K steps before z_0, as Eq. 8 says.",
    )
    minibatch_size: int = Field(
        8, ge=1, description="Images in one optimizer step (64 / 8 = 8 steps an epoch)."
    )
    forward_batch_size: int = Field(
        2,
        ge=1,
        description="(image, step) pairs in one forward pass of the update; changes memory and "
        "speed, not the gradient.",
    )
    inner_epochs: int = Field(
        1,
        ge=0,
        description="Passes over the batch in an update; with 0, which is for hero+ alone, only "
        "the denoising steps teach the model.",
    )
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
    full_update_share: float = Field(
        1 / 16,
        ge=0.0,
        le=0.5,
        description="When good or bad is rarer than this share of the judged images, the learning "
        "rate of the update falls in proportion: few contrasts, small step.",
    )

    denoising_steps: int = Field(
        20, ge=1, description="Steps on the denoising loss in an epoch (hero+, dreambooth)."
    )
    denoising_lr: float = Field(
        3e-4, gt=0.0, description="AdamW's learning rate in those steps (hero+, dreambooth)."
    )
    denoising_batch_size: int = Field(
        16, ge=1, description="Latents in one of those steps (hero+, dreambooth)."
    )
    denoising_repeats: int = Field(
        0,
        ge=0,
        description="Most draws of a good latent in an epoch, on average: with few good images so "
        "far there are fewer of those steps, so that the model does not copy them; 0 is no limit "
        "(hero+).",
    )
    denoising_replay: bool = Field(
        True,
        description="Whether those steps learn from the good latents of all epochs, or from the "
        "present batch's alone, after which embedding_replay has nothing to replay either (hero+).",
    )
    denoising_full_share: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="When bad is rarer than this share of the judged images (those from N(0, I) if "
        "fresh_share is set), there are fewer of those steps, in proportion: images drawn under "
        "guidance sharpen with every generation that learns from them, so that steps which have "
        "nothing to mend do harm. 0 takes all of them always (hero+).",
    )
    denoising_anew: bool = Field(
        False,
        description="Those steps begin from the pretrained model in every epoch and learn from all "
        "good latents so far, so that an epoch's model is a fit to what people said and no step "
        "lasts longer than its epoch (hero+ with inner_epochs 0).",
    )
    first_step_share: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="Share of a step's good latents, and of the pretrained model's own, that are "
        "learned from as sampling begins: from noise alone, at its first timestep. Noised images "
        "of that timestep still have their coarse shape in them, so without it what the model "
        "sees in noise is left to chance (hero+).",
    )
    snr_weighting: Literal["min-snr", "snr+1"] = Field(
        "min-snr",
        description="How an error of the denoising loss counts by its timestep. snr+1 is the error "
        "of v, to which the noisiest timesteps contribute most, in which it is decided what is in "
        "an image and how many of it (hero+).",
    )
    snr_gamma: float = Field(
        5.0, gt=0.0, description="Largest signal-to-noise ratio that counts in min-snr (hero+)."
    )
    denoising_weights: Literal["uniform", "reward", "novelty", "rarity"] = Field(
        "uniform",
        description="How the good latents so far are drawn in those steps: alike, by the reward, "
        "by the distance to the nearest other ones, or by one over their density (hero+).",
    )
    denoising_space: Literal["embedding", "latents"] = Field(
        "embedding",
        description="Where novelty and rarity are measured: in E's space, or on z_0 as it is "
        "(hero+).",
    )
    max_denoising_change: float = Field(
        0.0,
        ge=0.0,
        description="Those steps end early once the mean squared change of the predictions on "
        "judged latents is larger than this; 0 is no bound (hero+).",
    )
    denoising_guided: bool = Field(
        False,
        description="Those steps train the prediction under classifier-free guidance, by which the "
        "judged images were drawn, instead of the prompt's alone (hero+).",
    )
    negative_share: Annotated[float, Field(ge=0.0, lt=1.0)] | Literal["judged"] = Field(
        0.0,
        description="Share of those latents taken from bad images, from which DiffusionNFT's "
        "implicit negative policy learns; `judged` draws all judged images alike (hero+).",
    )
    nft_beta: float = Field(
        1.0,
        gt=0.0,
        description="How far DiffusionNFT's implicit policies lie from the one before the epoch "
        "(beta; hero+); 1 is the plain denoising loss on the good images.",
    )
    pretrained_weight: float = Field(
        0.0,
        ge=0.0,
        description="Weight of the squared difference between the predictions of the model and of "
        "the pretrained one, their KL up to a factor a timestep (hero+).",
    )
    preservation_weight: float = Field(
        0.0,
        ge=0.0,
        description="Weight of the same on prior_images latents of the pretrained model, with the "
        "caption that they were drawn for (hero+).",
    )
    unconditional_weight: float = Field(
        0.0,
        ge=0.0,
        description="Weight of the same on those latents with the empty caption (hero+).",
    )

    d3po_beta: float = Field(
        0.1,
        gt=0.0,
        description="Temperature of the preference (beta; d3po). Log-probabilities are means over "
        "a latent's dimensions, so DPO's usual 0.1 is a tenth of their number here; the authors' "
        "0.1 hardly holds a model to the pretrained one.",
    )
    d3po_clip: float = Field(
        0.1,
        gt=0.0,
        lt=1.0,
        description="Clip of each ratio to the pretrained model's likelihood (eps; d3po). It "
        "is not rescaled by the latent's dimensions as clip_range is; the tiny model's benchmarks "
        "take 0.003.",
    )

    reward_model: Literal["pickscore"] | None = Field(
        None, description="Reward model that replaces people's feedback in learning (ddpo)."
    )
    reward_model_path: str = Field(
        "", description="Folder or hub id of its weights, if not the published ones (ddpo)."
    )

    instance_prompt: str = Field(
        "",
        description="What the four best images are described with in training, if not the prompt "
        "(dreambooth).",
    )
    class_prompt: str = Field(
        "",
        description="What the pretrained model's images are drawn with that it shall not forget, "
        "if not the prompt (hero+, dreambooth).",
    )
    prior_images: int = Field(32, ge=1, description="Number of those images (hero+, dreambooth).")
    prior_weight: float = Field(
        1.0, ge=0.0, description="Weight of the loss on those images (dreambooth)."
    )

    enhanced_prompt: str = Field(
        "", description="The prompt that images are drawn with instead of the prompt (prompt)."
    )

    mixed_precision: Literal["no", "bf16", "fp16"] = Field(
        "no",
        description="Precision of sampling; the update always runs in float32, since half "
        "precision moves log-probabilities by many times the clip range.",
    )

    @property
    def unguided(self) -> "HeroConfig":
        """The same without classifier-free guidance, as the denoising loss is trained."""
        return self.model_copy(update={"guidance_scale": 1.0})

    @field_validator("model", "prompt")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        value = value.strip()
        if not value:
            raise ValueError("must not be empty")
        return value

    @model_validator(mode="after")
    def _trained_steps_exist(self) -> "HeroConfig":
        if self.trained_steps != "all" and self.trained_steps > self.num_inference_steps:
            raise ValueError(
                f"trained_steps is {self.trained_steps}, but an image has only "
                f"num_inference_steps = {self.num_inference_steps} steps to train on; lower "
                "trained_steps or raise num_inference_steps"
            )
        return self

    @model_validator(mode="after")
    def _method_has_what_it_needs(self) -> "HeroConfig":
        if self.inner_epochs == 0 and self.method != "hero+":
            raise ValueError(
                "inner_epochs is 0, which only the method hero+ allows, since its denoising steps "
                f"learn without the update's; with {self.method} set it to 1 or more"
            )
        if self.denoising_anew and (self.inner_epochs or self.denoising_full_share):
            raise ValueError(
                "denoising_anew undoes all that the model learned before, so inner_epochs and "
                f"denoising_full_share have to be 0 with it (they are {self.inner_epochs} and "
                f"{self.denoising_full_share})"
            )
        if self.method == "prompt" and not self.enhanced_prompt.strip():
            raise ValueError(
                "method is prompt, but there is no enhanced_prompt; say the prompt to draw with"
            )
        return self


_PAPER: dict[str, Any] = {"model": STABLE_DIFFUSION_1_5}

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "model": str(Path(__file__).resolve().parent.parent / "tinyworld" / "pipeline"),
        "prompt": "photo of one blue rose in a vase",
        "num_inference_steps": 20,
        "guidance_scale": 3.0,
        "sample_batch_size": 32,
        "best_image_ratio": 0.0,
        "noise_variance": 0.03,
        "embedding_lr": 1e-3,
        "embedding_steps": 120,
        "learning_rate": 5e-3,
        "trained_steps": 10,
        "forward_batch_size": 40,
        "inner_epochs": 2,
    },
    "hand": {
        **_PAPER,
        "prompt": "1 hand",
        "num_inference_steps": 20,
        "images_per_epoch": 128,
        "epochs": 9,
        "minibatch_size": 16,
    },
    "blue-rose": {**_PAPER, "prompt": "photo of one blue rose in a vase"},
    "black-cat": {**_PAPER, "prompt": "a black cat sitting inside a cardboard box"},
    "narcissus": {
        **_PAPER,
        "prompt": "narcissus by a quiet spring and its reflection in the water",
    },
    "mountain": {**_PAPER, "prompt": "beautiful mountains viewed from a train window"},
}
"""Field overrides by preset name, for HERO: the bundled tiny model, and the tasks of the paper's
Table 1."""

HERO_PLUS: dict[str, dict[str, Any]] = {
    "tiny": {
        "method": "hero+",
        "inner_epochs": 0,
        "fresh_share": 0.5,
        "denoising_steps": 120,
        "denoising_lr": 1e-3,
        "denoising_repeats": 32,
        "denoising_full_share": 0.25,
        "denoising_weights": "rarity",
        "denoising_space": "latents",
        "first_step_share": 1 / 16,
        "snr_weighting": "snr+1",
        "pretrained_weight": 1.0,
        "step_back_drop": 0.2,
    },
}
"""More of them, by preset name, for hero+: what measured best with that model (docs/research.md),
and so the preset's method."""


def preset(name: str, **overrides: Any) -> HeroConfig:
    """The configuration of a named preset, with some fields replaced, for the method that is asked
    for or else the preset's own.

    Raises `ConfigError` for an unknown name and for a field that cannot be used.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"There is no preset called {name!r}; choose one of {', '.join(PRESETS)}."
        )
    plus = HERO_PLUS.get(name, {}) if overrides.get("method", "hero+") == "hero+" else {}
    return make_config(**{**PRESETS[name], **plus, **overrides})


def make_config(**fields: Any) -> HeroConfig:
    """`HeroConfig(**fields)`, with pydantic's report turned into one `ConfigError` sentence."""
    try:
        return HeroConfig(**fields)
    except ValidationError as error:
        raise ConfigError(f"The configuration cannot be used: {_sentence(error)}.") from error


def _sentence(error: ValidationError) -> str:
    texts: dict[tuple[str, str], list[str]] = {}
    for problem in error.errors():
        field = str(problem["loc"][0]) if problem["loc"] else ""
        text = problem["msg"].removeprefix("Value error, ")
        given = f" (it is {problem['input']!r})" if field and problem["type"] != "missing" else ""
        if problem["type"] == "extra_forbidden":
            text, given = f"there is no such setting{_meant(field)}", ""
        texts.setdefault((field, given), []).append(text)
    return "; ".join(
        f"{field}: {' or '.join(said)}{given}" if field else " or ".join(said)
        for (field, given), said in texts.items()
    )


def _meant(name: str) -> str:
    """The fields whose names are like this one, or contain it; all of them if there is none."""
    known = list(HeroConfig.model_fields)
    name = name.lower().replace("-", "_")
    near = get_close_matches(name, known, n=1) or [each for each in known if name in each][:3]
    return f" (did you mean {' or '.join(near)}?)" if near else f"; there are {', '.join(known)}"
