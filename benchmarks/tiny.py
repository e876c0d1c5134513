"""HERO on the bundled tiny model, labelled by a simulated annotator without errors.

    python -m benchmarks.tiny --seeds 1,2,3 [--prompt "1 hand"] [--out FILE] [--set clip_range=2e-4]

For each seed: the pretrained model's success on 200 fresh images, success on each epoch's batch,
and at the end success and diversity on 200 images from pi_HERO (`bank`) and on 200 from
N(0, I) (`normal`). One process a core; finished seeds are kept beside the result file, so an
interrupted benchmark continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hero_engine.config import HeroConfig, preset
from hero_engine.hero import Feedback, Hero
from hero_engine.metrics import in_batch_diversity
from tinyworld.annotator import Annotator
from tinyworld.bundled import PIPELINE
from tinyworld.judge import Judge

RESULTS = Path(__file__).parent / "results"
PROMPT = "photo of one blue rose in a vase"
EVALUATED_IMAGES = 200
LOG_WIDTH = 120
EVALUATION_SEEDS = {"pretrained": 10_000, "bank": 20_000, "normal": 30_000}


def evaluate(hero: Hero, judge: Judge, noise: str, name: str) -> dict[str, float]:
    """Success rate and diversity of fresh images, noises from `noise`.

    `diversity` is the mean distance of two clean latents z_0 (root mean square over their
    dimensions), `diversity_cosine` the paper's formula (App. F) on z_0.
    """
    seed = EVALUATION_SEEDS[name] + hero.config.seed
    samples = hero.sample(EVALUATED_IMAGES, noise=noise, seed=seed)
    success = judge.success(samples.images, hero.config.prompt)
    latents = samples.latents.flatten(1)
    distance = torch.pdist(latents).mean() / latents.shape[1] ** 0.5
    return {
        f"success_{name}": statistics.mean(map(float, success)),
        f"diversity_{name}": float(distance),
        f"diversity_cosine_{name}": float(in_batch_diversity(latents) or 0.0),
    }


def run_seed(config: HeroConfig, on_stage: Callable[[str], None] = lambda stage: None) -> dict:
    """One run from the pretrained model to the last epoch; returns its row of the result file."""
    started = time.perf_counter()
    judge = Judge.load()
    annotator = Annotator(config.prompt, seed=config.seed)
    hero = Hero.create(config)
    row: dict[str, Any] = {"seed": config.seed, "success_by_epoch": [], "reports": []}
    row |= evaluate(hero, judge, "normal", "pretrained")
    on_stage("pretrained")
    while hero.epoch < config.epochs:
        batch = hero.generate()
        marks = annotator.mark(batch.images)
        report = hero.learn(batch, Feedback(good=tuple(marks.good), best=marks.best))
        success = judge.success(batch.images, config.prompt)
        row["success_by_epoch"].append(statistics.mean(map(float, success)))
        row["reports"].append(report.to_dict() | {"rewards": None})
        on_stage(f"epoch {report.epoch}")
    for noise in ("bank", "normal"):
        row |= evaluate(hero, judge, noise, noise)
        on_stage(noise)
    row["minutes"] = (time.perf_counter() - started) / 60
    return row


def _worker(config: dict, part: str, stages: Any) -> dict:
    torch.set_num_threads(1)
    configured = HeroConfig(**config)
    row = run_seed(configured, lambda stage: stages.put((configured.seed, stage)))
    Path(part).write_text(json.dumps({"config": config, "row": row}))
    return row


def _finished(part: Path, config: HeroConfig) -> dict | None:
    if not part.exists():
        return None
    kept = json.loads(part.read_text())
    return kept["row"] if kept["config"] == config.model_dump(mode="json") else None


def table(prompt: str, runs: list[dict]) -> Table:
    """The printed table: a row a seed, then the mean."""
    columns = ["pretrained", "bank", "normal"]
    drawn = Table(title=f"HERO, tiny model, “{prompt}”", title_justify="left")
    drawn.add_column("seed")
    drawn.add_column("success by epoch", no_wrap=True)
    for name in columns:
        drawn.add_column(f"success\n{name}", justify="right")
    for name in columns:
        drawn.add_column(f"diversity\n{name}", justify="right")
    for run in runs:
        drawn.add_row(
            str(run["seed"]),
            " ".join(f"{value:.2f}".removeprefix("0") for value in run["success_by_epoch"]),
            *(f"{run[f'success_{name}']:.3f}" for name in columns),
            *(f"{run[f'diversity_{name}']:.3f}" for name in columns),
        )
    if len(runs) > 1:
        means = [
            statistics.mean(run[f"{measure}_{name}"] for run in runs)
            for measure in ("success", "diversity")
            for name in columns
        ]
        drawn.add_section()
        drawn.add_row("mean", "", *(f"{mean:.3f}" for mean in means))
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", default="1,2,3", help="comma-separated run seeds")
    parser.add_argument(
        "--prompt", default=PROMPT, help="a prompt that the judge has conditions for"
    )
    parser.add_argument(
        "--out", type=Path, help="result file (default: benchmarks/results/tiny*.json)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes, one a core")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="a HeroConfig field"
    )
    arguments = parser.parse_args()
    slug = re.sub(r"[^a-z0-9]+", "-", arguments.prompt.lower()).strip("-")
    out = arguments.out or RESULTS / (
        "tiny.json" if arguments.prompt == PROMPT else f"tiny-{slug}.json"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    overrides = dict(item.split("=", 1) for item in arguments.set)
    configs = [
        preset("tiny", model=str(PIPELINE), prompt=arguments.prompt, seed=int(seed), **overrides)
        for seed in arguments.seeds.split(",")
    ]
    parts = {config.seed: out.with_suffix(f".seed{config.seed}.part") for config in configs}
    rows = {config.seed: _finished(parts[config.seed], config) for config in configs}
    waiting = [config for config in configs if rows[config.seed] is None]

    console = Console()
    if not console.is_terminal:
        console.width = LOG_WIDTH
    context = multiprocessing.get_context("spawn")
    columns = (
        TextColumn("seed {task.fields[seed]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(min(arguments.jobs, len(waiting) or 1), mp_context=context) as pool,
        Progress(*columns, console=console) as progress,
    ):
        stages = manager.Queue()
        bars = {
            config.seed: progress.add_task("waiting", total=config.epochs + 3, seed=config.seed)
            for config in waiting
        }
        futures = {
            pool.submit(_worker, config.model_dump(mode="json"), str(parts[config.seed]), stages)
            for config in waiting
        }
        while futures:
            while not stages.empty():
                seed, stage = stages.get()
                progress.update(bars[seed], advance=1, description=stage)
            done = {future for future in futures if future.done()}
            for future in as_completed(done):
                row = future.result()
                rows[row["seed"]] = row
            futures -= done
            time.sleep(0.3)

    runs = [rows[config.seed] for config in configs]
    settings = configs[0].model_dump(mode="json", exclude={"seed", "model"})
    out.write_text(json.dumps({"config": settings, "runs": runs}, indent=1) + "\n")
    for part in parts.values():
        part.unlink(missing_ok=True)
    console.print(table(arguments.prompt, runs))
    console.print(f"Written to {out}")


if __name__ == "__main__":
    main()
