"""What a run is set to: a few fields of its own, and one part for each thing that has settings.

    RunConfig
    ├── model     ModelSettings      which model, in which precision
    ├── sampling  SamplingSettings   how an image is drawn
    ├── lora      LoraSettings       what is trained, and by which optimizer
    └── method    MethodSettings     the method's own: `methods/*_settings.py`

Outside of Python a configuration is flat, `{"model": "tiny", "method": "hero", "lora_rank": 4}`:
no two settings have the same name. `methods/make_config.py` reads that form, `RunConfig.flat`
writes it. Defaults are the paper's (Hiranaka et al., "HERO", ICLR 2025, Sec. 5, App. D.2 and
Table 7) and, where the paper is silent, those of the authors' published code.
"""

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator, model_validator

FORMAT: Final = 2
"""Of a stored configuration, and of the random numbers that follow from it (see `streams.py`)."""
LEAST_IMAGES = 4
"""Per prompt and epoch, on average, in a run of several prompts."""
REFERENCE_LATENT_SIZE = 4 * 64 * 64
"""Number of latent dimensions for which `clip_range` is stated."""


class Part(BaseModel):
    """Settings that belong together; each is a documented field."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def not_blank(value: str) -> str:
    """The text without space around it. Raises `ValueError` if nothing is left."""
    value = value.strip()
    if not value:
        raise ValueError("must not be empty")
    return value


class ModelSettings(Part):
    """Which model is fine-tuned."""

    name: str = Field(
        description="The model: tiny (the bundled one), a folder with a diffusers pipeline, an id "
        "on the hub, or a single .safetensors file with a whole model."
    )
    revision: str | None = Field(
        None,
        description="Of a model on the hub: a branch, a tag or a commit; its newest if left out.",
    )
    pipeline_config: str | None = Field(
        None,
        description="For a single .safetensors file: a folder or hub id of a pipeline of its kind, "
        "with the configuration and tokenizers that such a file lacks; the usual one if left out.",
    )
    mixed_precision: Literal["no", "auto", "bf16", "fp16"] = Field(
        "no",
        description="Precision of sampling. The update always runs in float32, since half "
        "precision moves log-probabilities by many times the clip range. auto is bf16 on GPUs that "
        "have it, for methods that need no log-probabilities (hero+, dreambooth, prompt).",
    )
    memory: Literal["auto", "high", "low", "8-bit", "4-bit"] = Field(
        "auto",
        description="How the model is held in memory. high: everything in float32 on one device. "
        "low: frozen weights in 16 bits, activations recomputed, text encoders on the CPU, large "
        "images decoded in tiles; slower. 8-bit (needs torchao) and 4-bit (needs bitsandbytes): "
        "low, with the network's weights rounded to that. auto is the first of these that fits.",
    )

    @field_validator("name")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        return not_blank(value)


class SamplingSettings(Part):
    """How an image is drawn."""

    num_inference_steps: int = Field(50, ge=1, description="Denoising steps per image.")
    guidance_scale: float = Field(
        5.0, ge=1.0, description="Classifier-free guidance, in sampling and in training; 1 is none."
    )
    eta: float = Field(
        1.0, gt=0.0, le=1.0, description="DDIM's noise: 1 is ancestral sampling, as DDPO needs it."
    )
    height: Annotated[int, Field(ge=8)] | None = Field(
        None, description="Height of the images in pixels; the model's own if left out."
    )
    width: Annotated[int, Field(ge=8)] | None = Field(
        None, description="Width of the images in pixels; the model's own if left out."
    )
    sample_batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="Images denoised in one forward pass. Changes memory and speed, and the images "
        "by rounding only. auto is what the trial of `hero start` finds fastest within the memory "
        "there is.",
    )

    @property
    def images_at_once(self) -> int:
        """`sample_batch_size` as a number: 8 where it is `auto` and no trial was made."""
        return 8 if self.sample_batch_size == "auto" else self.sample_batch_size


class LoraSettings(Part):
    """The LoRA that is trained, and its AdamW."""

    lora_rank: int = Field(4, ge=1, description="Rank of the LoRA matrices on attention.")
    adam_beta1: float = Field(0.9, ge=0.0, lt=1.0, description="AdamW's first-moment decay.")
    adam_beta2: float = Field(0.999, ge=0.0, lt=1.0, description="AdamW's second-moment decay.")
    adam_weight_decay: float = Field(1e-4, ge=0.0, description="AdamW's weight decay.")
    adam_epsilon: float = Field(1e-8, gt=0.0, description="AdamW's epsilon.")
    max_grad_norm: float = Field(1.0, gt=0.0, description="Gradients are scaled down to this norm.")


class MethodSettings(Part):
    """What every method has: its name. The methods' own settings stand beside the methods."""

    needs_log_probs: ClassVar[bool] = False
    """Whether it learns from the log-probabilities of the batch's denoising steps."""
    learns_from_images: ClassVar[bool] = False
    """Whether judged images are enough for it, without the steps in which they were drawn."""
    several_prompts: ClassVar[bool] = False
    """Whether one run of it can learn several prompts."""
    guided_update: ClassVar[bool] = True
    """Whether its update takes the network's prediction under guidance."""

    name: str = Field(description="What learns from the feedback: `hero methods` lists them.")

    @property
    def largest_pass(self) -> int:
        """Latents in the largest forward pass of the update, without those of guidance; 1 where the
        trial has yet to find it (`auto`), and where nothing is learned."""
        return 1

    def problem(self, sampling: SamplingSettings) -> str | None:
        """What is wrong with these settings beside those of sampling, as a clause."""
        return None


class RunConfig(Part):
    """One run, from the prompt to the last setting."""

    format: Literal[1, 2] = FORMAT
    """1 is a run that an earlier version began: it keeps that version's random numbers."""

    prompt: str = Field(description="The prompt whose images are to become better.")
    further_prompts: tuple[str, ...] = Field(
        (),
        description="More prompts that the same LoRA learns, each by labels, a best image and a "
        "noise bank of its own.",
    )
    held_out: tuple[str, ...] = Field(
        (),
        description="Prompts that are drawn every epoch to be looked at, and never learned from.",
    )
    negative_prompt: str = Field("", description="What guidance leads away from.")
    seed: int = Field(0, ge=0, description="Decides every random number of the run.")
    images_per_epoch: int = Field(64, ge=2, description="Images drawn and judged per epoch.")
    epochs: int = Field(
        8, ge=1, description="Epochs; the feedback budget is images_per_epoch * epochs."
    )
    model: ModelSettings
    sampling: SamplingSettings = SamplingSettings()
    lora: LoraSettings = LoraSettings()
    method: SerializeAsAny[MethodSettings]

    @field_validator("prompt")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        return not_blank(value)

    @field_validator("further_prompts", "held_out")
    @classmethod
    def _none_blank(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(not_blank(value) for value in values)

    @property
    def prompts(self) -> tuple[str, ...]:
        """All that the run learns, in the order in which a batch has them."""
        return (self.prompt, *self.further_prompts)

    @model_validator(mode="after")
    def _parts_agree(self) -> "RunConfig":
        problem = self.method.problem(self.sampling) or self._problem_with_prompts()
        if problem:
            raise ValueError(problem)
        return self

    def _problem_with_prompts(self) -> str | None:
        texts = [*self.prompts, *self.held_out]
        twice = [text for number, text in enumerate(texts) if text in texts[:number]]
        if twice:
            return f"the prompt {twice[0]!r} is there twice; leave one of them out"
        if not self.further_prompts:
            return None
        if not self.method.several_prompts or self.format == 1:
            return (
                f"a run of the method {self.method.name} has one prompt; leave further_prompts "
                "out, or set method to hero or hero+"
            )
        least = LEAST_IMAGES * len(self.prompts)
        if self.images_per_epoch < least:
            return (
                f"{len(self.prompts)} prompts share images_per_epoch = {self.images_per_epoch}, "
                f"and each needs {LEAST_IMAGES}; raise images_per_epoch to {least}, or leave "
                "prompts out"
            )
        return None

    def flat(self) -> dict[str, Any]:
        """All settings by name, as JSON holds them; the names of model and method among them."""
        dumped = self.model_dump(mode="json")
        flat: dict[str, Any] = {}
        for name, value in dumped.items():
            if name in ("further_prompts", "held_out") and not value:
                continue  # so that a run of one prompt is written as it always was
            if isinstance(value, dict):
                flat |= {name if key == "name" else key: each for key, each in value.items()}
            else:
                flat[name] = value
        return flat

    def replaced(self, **fields: Any) -> "RunConfig":
        """The same with some of the run's own fields replaced."""
        return self.model_copy(update=fields)
