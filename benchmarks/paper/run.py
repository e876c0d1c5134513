"""One run of a cell, by its job's specification."""

from __future__ import annotations

from typing import Any

from benchmarks.paper.appearance import Figures, looks
from benchmarks.paper.rewards import REWARDS
from benchmarks.training import Noise, OnStage, evaluation_seed, labels_of, train
from hero_engine.methods.base import Method
from hero_engine.methods.make_config import make_config
from hero_engine.models.drawing import Samples
from tinyworld.annotator import Annotator
from tinyworld.judge import Judge
from tinyworld.tasks import Task


def run_cell(spec: dict[str, Any], on_stage: OnStage) -> dict[str, Any]:
    """The row of one seed."""
    config, judge = make_config(**spec["config"]), Judge.load()
    wanted = Task(config.prompt, spec["wanted"]) if spec["wanted"] else None
    annotator = Annotator(
        wanted or config.prompt, seed=config.seed, taste=spec["taste"], judge=judge
    )
    seen_by = looks(judge, spec["models"])

    def examine(run: Method[Any], name: str, noise: Noise, samples: Samples) -> dict[str, Any]:
        figures: Figures = {}
        for look in seen_by:
            figures |= look(samples.images, config.prompt)
        found: dict[str, Any] = {f"{figure}_{name}": value for figure, value in figures.items()}
        if spec["probes"]:
            found[f"probes_{name}"] = [
                _probed(run, judge, probe, name, noise, spec["probe_images"])
                for probe in spec["probes"]
            ]
        return found

    row = train(
        config,
        labels_of(annotator),
        judge,
        on_stage,
        spec["evaluated"],
        spec["images"],
        wanted=wanted,
        parts={"reward": REWARDS[spec["reward"]](judge)} if spec["reward"] else {},
        curve_images=spec["curve_images"],
        examine=examine,
    )
    return row | {"taste": spec["taste"], "images_per_epoch": config.images_per_epoch}


def _probed(
    run: Method[Any], judge: Judge, probe: dict[str, Any], name: str, noise: Noise, images: int
) -> dict[str, Any]:
    """Of a prompt that nothing was learned on: the share of its images that show what is wanted,
    and the share that meet the prompt's own conditions."""
    prompt = probe["prompt"]
    drawn = run.sample(images, prompt=prompt, noise=noise, seed=evaluation_seed(run, name)).images
    shows = judge.success(drawn, Task(prompt, probe["wanted"]))
    meets = judge.success(drawn, prompt)
    return {"prompt": prompt, "wanted": sum(shows) / images, "own": sum(meets) / images}
