"""One run of a method with labels from a function, and what its images are worth."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from hero_engine.config import RunConfig
from hero_engine.feedback.metrics import in_batch_diversity
from hero_engine.methods.base import Method
from hero_engine.models.drawing import Samples
from hero_engine.report import Report
from hero_engine.storage.batch import Batch, Feedback
from tinyworld.annotator import Annotator
from tinyworld.judge import Judge
from tinyworld.tasks import Task

EVALUATED_IMAGES = 200
EVALUATION_SEEDS = {"pretrained": 10_000, "bank": 20_000, "normal": 30_000}
CURVE_SEED = 40_000

Noise = Literal["bank", "normal"]
"""What images are drawn from: pi_HERO or N(0, I)."""
OnStage = Callable[[str], None]
Label = Callable[[Method[Any], Batch], Feedback]
Examine = Callable[[Method[Any], str, Noise, Samples], dict[str, Any]]
"""(run, name of the evaluation, noise, its images) -> more figures for the row."""


def labels_of(annotator: Annotator) -> Label:
    """What a simulated annotator says of each batch."""

    def label(run: Method[Any], batch: Batch) -> Feedback:
        marks = annotator.mark(batch.images)
        return Feedback(good=tuple(marks.good), best=marks.best)

    return label


def nothing_more(run: Method[Any], name: str, noise: Noise, samples: Samples) -> dict[str, Any]:
    """Success and diversity are enough."""
    return {}


def train(
    config: RunConfig,
    label: Label,
    judge: Judge,
    on_stage: OnStage = lambda stage: None,
    evaluated: Collection[str] = ("pretrained", "bank", "normal"),
    images: int = EVALUATED_IMAGES,
    on_report: Callable[[Report], None] = lambda report: None,
    *,
    wanted: Task | None = None,
    parts: Mapping[str, Any] | None = None,
    curve_images: int = 0,
    examine: Examine = nothing_more,
) -> dict[str, Any]:
    """One run from the pretrained model to its end; its row of the result file.

    It ends with the last epoch, or when the verdicts prove the model good enough.

    Args:
        config: of the run.
        label: what people say of a batch.
        judge: who says what is a success.
        on_stage: called after each epoch and each evaluation.
        evaluated: of which models, and from which noises, `images` fresh images are judged.
        images: number of images in each evaluation.
        on_report: called with what was learned from each epoch.
        wanted: what is a success, where that is not the prompt's own task.
        parts: what the method takes besides its configuration.
        curve_images: how many fresh images from N(0, I) are judged after every epoch but the last;
            `success_normal` is the last one's.
        examine: looks at the images of each evaluation for more than success and diversity.
    """
    started = time.perf_counter()
    run = Method.create(config, **(parts or {}))
    row: dict[str, Any] = {"seed": config.seed, "success_by_epoch": [], "reports": []}
    if "pretrained" in evaluated:
        row |= evaluate(run, judge, "normal", "pretrained", images, wanted, examine)
        on_stage("pretrained")
    while run.epoch < config.epochs:
        batch = run.generate()
        report = run.learn(batch, label(run, batch))
        on_report(report)
        row["success_by_epoch"].append(success_rate(judge, batch.images, config, wanted))
        row["reports"].append(report.to_dict() | {"rewards": None})
        if curve_images and run.epoch < config.epochs:
            with run.run_model():
                samples = run.sample(curve_images, seed=CURVE_SEED + config.seed)
            point = success_rate(judge, samples.images, config, wanted)
            row.setdefault("normal_by_epoch", []).append(point)
        on_stage(f"epoch {report.epoch}")
        if report.good_enough:
            break
    for noise in get_args(Noise):
        if noise in evaluated:
            row |= evaluate(run, judge, noise, noise, images, wanted, examine)
            on_stage(noise)
    row["minutes"] = (time.perf_counter() - started) / 60
    return row


def evaluate(
    run: Method[Any],
    judge: Judge,
    noise: Noise,
    name: str,
    images: int = EVALUATED_IMAGES,
    wanted: Task | None = None,
    examine: Examine = nothing_more,
) -> dict[str, Any]:
    """Success rate and diversity of fresh images, noises from `noise`.

    An empty bank draws from N(0, I), as the run's next batch would. `diversity` is the `spread` of
    the clean latents z_0, `diversity_cosine` the paper's formula (App. F) on z_0.
    """
    source: Noise = "bank" if noise == "bank" and run.bank is not None else "normal"
    with run.run_model():
        samples = run.sample(images, noise=source, seed=evaluation_seed(run, name))
    return {
        f"success_{name}": success_rate(judge, samples.images, run.config, wanted),
        f"diversity_{name}": spread(samples.latents),
        f"diversity_cosine_{name}": float(in_batch_diversity(samples.latents.flatten(1)) or 0.0),
        **examine(run, name, source, samples),
    }


def spread(latents: Float[Tensor, "image channel height width"]) -> float | None:
    """Mean distance of two clean latents, root mean square over their dimensions; None of fewer."""
    flat = latents.flatten(1)
    return float(torch.pdist(flat).mean() / flat.shape[1] ** 0.5) if len(flat) > 1 else None


def evaluation_seed(run: Method[Any], name: str) -> int:
    """The seed of an evaluation's images, the same for every method and prompt."""
    return EVALUATION_SEEDS[name] + run.config.seed


def success_rate(
    judge: Judge, images: Sequence[Image.Image], config: RunConfig, wanted: Task | None
) -> float:
    """Share of the images that show what is wanted, or else what the prompt asks for."""
    return statistics.mean(map(float, judge.success(images, wanted or config.prompt)))
