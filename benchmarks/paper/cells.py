"""What is run for the paper's tables: one method on one task, with one way of judging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks import fingerprint
from benchmarks.jobs import Job
from benchmarks.kept_runs import KeptRuns, Row
from benchmarks.training import EVALUATED_IMAGES
from hero_engine.config import RunConfig
from hero_engine.methods.shared_settings import DenoisingSettings, TrajectorySettings
from hero_engine.presets import PRESETS, preset
from tinyworld.tasks import tasks

TASKS: dict[str, str] = {
    name: PRESETS[name]["prompt"]
    for name in ("hand", "blue-rose", "black-cat", "narcissus", "mountain")
}
"""The paper's five tasks (Table 1) and their prompts."""

ENHANCED: dict[str, str] = {
    "hand": "a photo of 1 hand, one hand",
    "blue-rose": "a photo of one blue rose, a blue rose in a vase",
    "black-cat": "one black cat, a black cat sitting inside a cardboard box",
    "narcissus": "daffodil by a quiet spring and its reflection in the water",
    "mountain": "a photo of beautiful mountains viewed from a train window",
}
"""Enhanced prompts: ours, in words of the tiny world's captions, since its model knows no others.
The paper's are GPT-4's for Stable Diffusion."""

FIRST_PLUS: dict[str, Any] = {
    "keep": "none",
    "method": "hero+",
    "held_share": 0.0,
    "keep_best": False,
    "until": "never",
    "denoising_repeats": 32,
    "step_back_drop": 0.2,
}
"""hero+ as it was first: its model is the last one, and it never stops by itself."""

METHODS: dict[str, dict[str, Any]] = {
    "hero": {"method": "hero"},
    "hero+": FIRST_PLUS,
    "d3po": {"method": "d3po", "learning_rate": 1e-3, "d3po_beta": 1.0, "d3po_clip": 0.003},
    "dreambooth": {"method": "dreambooth"},
    "ddpo": {"method": "ddpo"},
}
"""Settings that differ from the tiny preset's HERO. hero+ is its first form, which the rows were
made with; `benchmarks.prompts` measures the present one. D3PO's are those, of the ones tried on
blue-rose with seed 101, whose batches rose furthest without a collapse (docs/research-log.md)."""

BANKED = ("hero", "hero+")
"""The methods that keep noises; the others draw from N(0, I) alone."""

SEEDS = (1, 2, 3)
ANNOTATORS = ("cleanest", "biggest", "palest", "warmest")
"""Tastes; each seed is another annotator, who calls another image best."""

SAMPLING_MINUTES = 0.0045
"""One core's minutes to draw an image in 20 steps; a rough estimate."""
LEARNING_MINUTES = 0.0004
"""One core's minutes to learn from an image at one of its steps; a rough estimate."""
PAIRED = 1.6
"""D3PO's images per image of the batch: the rarer of good and bad are in several pairs."""


@dataclass(frozen=True)
class Probe:
    """A prompt that nothing was learned on, and what its images are to show."""

    prompt: str
    wanted: dict[str, str]
    """Head of the judge -> value, as in `tinyworld.tasks.Task`."""


@dataclass(frozen=True)
class Cell:
    """One method on one task. Its rows, one a seed, may stand in several tables."""

    name: str
    """Such as `hand/hero`; equal names mean equal cells."""
    prompt: str
    config: dict[str, Any] = field(default_factory=dict)
    """Settings of the engine that differ from the tiny preset's."""
    wanted: dict[str, str] | None = None
    """What the annotators call good, where that is not the prompt's own task."""
    reward: str | None = None
    """The function that replaces feedback (ddpo); see `rewards.REWARDS`."""
    curve_images: int = 0
    """Images from N(0, I) that are judged after every epoch."""
    probes: tuple[Probe, ...] = ()
    probe_images: int = 0
    """Images of each probe."""

    def settings(self, seed: int) -> RunConfig:
        """The configuration of one seed's run."""
        fields = {"prompt": self.prompt, **self.config}
        return preset("tiny", seed=seed, **fields)

    @property
    def labels(self) -> int:
        """Labels that a run costs; none where nobody's feedback is learned from."""
        config = self.settings(0)
        if config.method.name in ("prompt", "ddpo"):
            return 0
        return config.images_per_epoch * config.epochs

    @property
    def evaluated(self) -> tuple[str, ...]:
        """Of which models, and from which noises, fresh images are judged."""
        method = self.settings(0).method.name
        if method == "prompt":
            return ("normal",)
        return ("pretrained", *(["bank"] if method in BANKED else []), "normal")

    def unknown(self, heads: Mapping[str, Sequence[str]]) -> list[str]:
        """What the run needs that the tiny world does not know: prompts, or values that the judge
        with these heads cannot tell."""
        known, prompts = tasks(), [self.prompt, *(probe.prompt for probe in self.probes)]
        conditions = [self.wanted or {}, *(probe.wanted for probe in self.probes)]
        conditions += [known[prompt].conditions for prompt in prompts if prompt in known]
        return [prompt for prompt in prompts if prompt not in known] + [
            f"{head} {value}"
            for wanted in conditions
            for head, value in wanted.items()
            if value not in heads.get(head, ())
        ]

    def job(self, seed: int, kept: KeptRuns, models: Mapping[str, str]) -> Job:
        """One seed's run; `models` are those that look at the images besides the judge."""
        config = self.settings(seed)
        prompts = [*fingerprint.drawn_with(config), *(probe.prompt for probe in self.probes)]
        spec = {
            "weights": fingerprint.of_model(config.model.name, *prompts),
            "config": config.flat(),
            "taste": ANNOTATORS[(seed - 1) % len(ANNOTATORS)],
            "wanted": self.wanted,
            "reward": self.reward,
            "evaluated": list(self.evaluated),
            "images": EVALUATED_IMAGES,
            "curve_images": self.curve_images,
            "probes": [asdict(probe) for probe in self.probes],
            "probe_images": self.probe_images,
            "models": dict(models),
        }
        return Job(
            name=f"{self.name}, seed {seed}",
            spec=spec,
            kept=kept,
            stages=config.epochs + len(self.evaluated),
        )

    def minutes(self) -> float:
        """About how long a run takes on one core."""
        config = self.settings(0)
        evaluations = len(self.evaluated)
        batches = config.epochs * config.images_per_epoch
        drawn = batches + EVALUATED_IMAGES * evaluations
        drawn += self.curve_images * (config.epochs - 1)
        drawn += len(self.probes) * self.probe_images * evaluations
        return drawn * SAMPLING_MINUTES + _learned(config) * LEARNING_MINUTES


def of_task(task: str, method: str, **config: Any) -> Cell:
    """A method on one of the paper's tasks, with settings changed: `hand/hero trained_steps=1`."""
    set_to = [f"{field}={value}" for field, value in config.items()]
    return Cell(" ".join([f"{task}/{method}", *set_to]), TASKS[task], {**METHODS[method], **config})


def changed(field: str, value: Any) -> dict[str, Any]:
    """The field, unless the tiny preset has that value: its run is then the preset's own."""
    return {} if PRESETS["tiny"].get(field) == value else {field: value}


def enhanced(task: str) -> Cell:
    """The pretrained model with an enhanced prompt; judged by the task's own."""
    config = {"method": "prompt", "enhanced_prompt": ENHANCED[task], "epochs": 1}
    return Cell(f"{task}/enhanced prompt", TASKS[task], config)


def _learned(config: RunConfig) -> float:
    """About how often an image is learned from at one of its steps."""
    settings, an_epoch = config.method, 0.0
    if isinstance(settings, TrajectorySettings):
        steps = settings.trained_steps
        if steps == "all":
            steps = config.sampling.num_inference_steps
        an_epoch = config.images_per_epoch * steps * settings.inner_epochs
        if settings.name == "d3po":
            an_epoch *= PAIRED
    if isinstance(settings, DenoisingSettings):
        an_epoch = settings.denoising_steps * settings.denoising_batch_size
    return config.epochs * an_epoch


Rows = Mapping[str, Sequence[Row]]
"""The seeds' rows of each cell, by its name."""
