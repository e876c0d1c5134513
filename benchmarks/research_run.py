"""One run of `benchmarks.research`: what a method makes of its labels, epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.kept_runs import Row
from benchmarks.training import Noise, OnStage, labels_of, spread
from hero_engine.methods.base import Method
from hero_engine.methods.make_config import make_config
from tinyworld.annotator import Annotator
from tinyworld.judge import Judge

SEEDS = {"bank": 20_000, "normal": 30_000, "epoch": 40_000, "transfer": 50_000}
"""Of the images that are judged, added to the run's; the same for every variant and epoch."""


def work(spec: dict[str, Any], on_stage: OnStage) -> Row:
    """A job's row: of the pretrained model, or of a variant."""
    started = time.perf_counter()
    measure = {"pretrained": pretrained, "variant": variant}[spec["measure"]]
    row = measure(spec, on_stage)
    return {**row, "minutes": (time.perf_counter() - started) / 60}


def pretrained(spec: dict[str, Any], on_stage: OnStage) -> Row:
    """What there is before any label, by the same noises as afterwards."""
    method, judge = Method.create(make_config(**spec["config"])), Judge.load()
    row: Row = {"seed": method.config.seed, **measured(method, judge, "normal", spec["images"])}
    on_stage("images")
    row["success_epoch"] = _success(method, judge, spec["epoch_images"])
    row["transfer"] = transfer(method, judge, spec)
    on_stage("other prompts")
    return row


def variant(spec: dict[str, Any], on_stage: OnStage) -> Row:
    """A run to its last epoch, labelled by an annotator without errors."""
    method, judge = Method.create(make_config(**spec["config"])), Judge.load()
    config = method.config
    label = labels_of(Annotator(config.prompt, seed=config.seed, judge=judge))
    row: Row = {"seed": config.seed, "labels": [], "success_by_epoch": []}
    row |= {"normal_by_epoch": [], "reports": []}
    while method.epoch < config.epochs:
        batch = method.generate()
        report = method.learn(batch, label(method, batch))
        row["labels"].append(method.epoch * config.images_per_epoch)
        row["success_by_epoch"].append(report.success_rate)
        row["normal_by_epoch"].append(_success(method, judge, spec["epoch_images"]))
        row["reports"].append(report.to_dict() | {"rewards": None})
        on_stage(f"epoch {report.epoch}")
    row |= measured(method, judge, "normal", spec["images"])
    on_stage("normal")
    row |= measured(method, judge, "bank", spec["images"])
    on_stage("bank")
    row["transfer"] = transfer(method, judge, spec)
    on_stage("other prompts")
    return row


def measured(
    method: Method[Any], judge: Judge, noise: Noise, images: int
) -> dict[str, float | None]:
    """Success, and the spread of all images and of the successful ones alone.

    An empty bank draws from N(0, I), as the run's next batch would.
    """
    source: Noise = "normal" if method.bank is None else noise
    samples = method.sample(images, noise=source, seed=SEEDS[noise] + method.config.seed)
    success = torch.tensor(judge.success(samples.images, method.config.prompt))
    return {
        f"success_{noise}": float(success.float().mean()),
        f"spread_{noise}": spread(samples.latents),
        f"good_spread_{noise}": spread(samples.latents[success]),
    }


def transfer(method: Method[Any], judge: Judge, spec: dict[str, Any]) -> dict[str, float]:
    """Success on other prompts, by prompt."""
    prompts: Sequence[str] = spec["transfer"]
    images, seed = spec["transfer_images"], SEEDS["transfer"] + method.config.seed
    return {
        prompt: _mean(judge.success(method.sample(images, prompt=prompt, seed=seed).images, prompt))
        for prompt in prompts
    }


def _success(method: Method[Any], judge: Judge, images: int) -> float:
    """Success on N(0, I) with few images, the same noises in every epoch."""
    samples = method.sample(images, seed=SEEDS["epoch"] + method.config.seed)
    return _mean(judge.success(samples.images, method.config.prompt))


def _mean(success: Sequence[bool]) -> float:
    return sum(success) / len(success)
