"""What one `learn` did, in numbers for curves and in words for people."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Progress:
    """How far a stage is: `done` of `total` units (denoising steps, optimizer steps)."""

    stage: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]
OnStep = Callable[[int], None]
"""Called with the number of units done."""


def reporting(
    on_progress: OnProgress | None, stage: str, total: int, before: int = 0
) -> OnStep | None:
    """Progress of a stage by the number of units done, on top of those done `before`."""
    if on_progress is None:
        return None
    return lambda done: on_progress(Progress(stage, before + done, total))


@dataclass(frozen=True)
class PromptSuccess:
    """What people said of one prompt's images in a batch of several prompts."""

    prompt: str
    images: int
    judged: int
    good: int
    judged_fresh: int
    """Of the images drawn from N(0, I)."""
    good_fresh: int
    model_judged: int | None = None
    """All verdicts on the images from N(0, I) of the model that they speak best for."""
    model_good: int | None = None


@dataclass
class Report:
    """One epoch's learning. A figure that does not exist is None, never NaN."""

    epoch: int
    updated: bool = False
    note: str = ""
    """Why there was no update, or what was unusual; empty for an ordinary epoch."""
    success_rate: float | None = None
    """In a run of several prompts, the mean of theirs; so are the next one and `diversity`."""
    success_rate_fresh: float | None = None
    """Of the images drawn from N(0, I): what the model does without the noise bank."""
    stepped_back: bool = False
    """Whether the model returned to what it was before its last update."""
    model_epoch: int | None = None
    """After how many epochs the model was made that verdicts speak best for; 0 is the pretrained
    one, None where the method keeps no such record."""
    model_good: int | None = None
    model_judged: int | None = None
    """The verdicts on that model's images from N(0, I)."""
    good_enough: bool = False
    """Whether they prove that it is as good as the run asks for, at every prompt."""
    by_prompt: list[PromptSuccess] = field(default_factory=list)
    """In the order of the run's prompts; empty in a run of one."""
    diversity: float | None = None
    """In-batch diversity of the clean latents (see `metrics.in_batch_diversity`)."""
    rewards: list[float] = field(default_factory=list)
    """For every image of the batch, judged or not; empty where nothing was rewarded."""
    reward_good: float | None = None
    reward_bad: float | None = None
    reward_gap: float | None = None
    embedding_loss: float | None = None
    denoising_loss: float | None = None
    """Mean loss of the steps on the denoising loss."""
    denoising_steps: int | None = None
    """How many of them were made."""
    loss: float | None = None
    approx_kl: float | None = None
    clip_fraction: float | None = None
    ratio_error: float | None = None
    """Largest |ratio - 1| before the first optimizer step."""
    noise_floor: float | None = None
    """By how much rounding alone moves log-ratios; measured once a run, after its first update."""
    grad_norm: float | None = None
    """Mean norm of the gradients before they are scaled down."""
    seconds: dict[str, float] = field(default_factory=dict)

    def add_note(self, sentence: str) -> None:
        """Say one thing more; an empty sentence is none."""
        self.note = " ".join(filter(None, (self.note, sentence)))

    def set_rewards(self, rewards: list[float], good: list[int], bad: list[int]) -> None:
        """Fill in the rewards and their means over the good and the bad images."""
        self.rewards = rewards
        self.reward_good = _mean([rewards[i] for i in good])
        self.reward_bad = _mean([rewards[i] for i in bad])
        if self.reward_good is not None and self.reward_bad is not None:
            self.reward_gap = self.reward_good - self.reward_bad

    def set_denoising(self, losses: list[float]) -> None:
        """Fill in how many steps were made on the denoising loss, and its mean over them."""
        self.denoising_steps = len(losses)
        self.denoising_loss = _mean(losses)

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; of a run of one prompt, without `by_prompt`."""
        values = dataclasses.asdict(self)
        if not self.by_prompt:
            del values["by_prompt"]
        return {name: _json_safe(value) for name, value in values.items()}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _json_safe(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_json_safe(item) for item in value]
    if isinstance(value, dict):
        return {key: _json_safe(item) for key, item in value.items()}
    return value
