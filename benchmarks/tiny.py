"""The bundled tiny model, taught as its preset says by a simulated annotator without errors.

    python -m benchmarks.tiny --seeds 1,2,3 [--prompt "1 hand"] [--out FILE] [--set method=hero]

For each seed: the pretrained model's success on 200 fresh images, success on each epoch's batch,
and at the end success and diversity on 200 images from pi_HERO (`bank`) and on 200 from
N(0, I) (`normal`). One process a core; finished seeds are kept beside the result file, so an
interrupted benchmark continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import fingerprint
from benchmarks.cells import PROMPT, RESULTS
from benchmarks.jobs import Job, command, console, forget, run_jobs
from benchmarks.kept_runs import KeptRuns, Row, slug
from benchmarks.training import labels_of, train
from hero_engine.methods.make_config import make_config
from hero_engine.presets import preset
from tinyworld.annotator import Annotator
from tinyworld.judge import Judge


def run_seed(spec: dict[str, Any], on_stage: Callable[[str], None]) -> dict[str, Any]:
    """One run from the pretrained model to the last epoch; returns its row of the result file."""
    config, judge = make_config(**spec["config"]), Judge.load()
    label = labels_of(Annotator(config.prompt, seed=config.seed, judge=judge))
    return train(config, label, judge, on_stage)


def table(method: str, prompt: str, runs: Sequence[Row]) -> Table:
    """The printed table: a row a seed, then the mean."""
    columns = ["pretrained", "bank", "normal"]
    drawn = Table(title=f"{method}, tiny model, “{prompt}”", title_justify="left")
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
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="a setting of the run"
    )
    arguments = parser.parse_args()
    overrides = dict(item.split("=", 1) for item in arguments.set)
    configs = [
        preset("tiny", prompt=arguments.prompt, seed=int(seed), **overrides)
        for seed in arguments.seeds.split(",")
    ]
    words = [slug(configs[0].method.name)]
    words += [] if arguments.prompt == PROMPT else [slug(arguments.prompt)]
    out = arguments.out or RESULTS / f"{'-'.join(['tiny', *words])}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    jobs = [
        Job(
            name=f"seed {config.seed}",
            spec={
                "weights": fingerprint.tiny(*fingerprint.drawn_with(config)),
                "config": config.flat(),
            },
            kept=KeptRuns.beside(out),
            stages=config.epochs + 3,
        )
        for config in configs
    ]
    screen = console()
    runs = run_jobs(jobs, run_seed, arguments.jobs, screen)
    settings = configs[0].flat()
    del settings["seed"]
    result = {"command": command("tiny"), "config": settings, "runs": runs}
    out.write_text(json.dumps(result, indent=1) + "\n")
    forget(jobs)
    screen.print(table(configs[0].method.name, arguments.prompt, runs))
    screen.print(f"Written to {out}")


if __name__ == "__main__":
    main()
