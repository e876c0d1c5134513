"""What a run on one prompt does to all others, with and without prompts that are kept as they are.

    python -m benchmarks.kept_prompts [--seeds 9401] [--only "rose in a vase|1 hand"] [--finished]

hero+ by the tiny preset, labelled without errors for `EPOCHS` epochs. Before and after, the judge
sees images of every other prompt that it knows, from the same noises.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks import fingerprint
from benchmarks.cells import RESULTS
from benchmarks.jobs import Job, console, finished, run_jobs
from benchmarks.kept_runs import KeptRuns, Row
from benchmarks.prompts import kept_spread
from benchmarks.sheets import Sheet, share
from benchmarks.training import Noise, labels_of, spread, success_rate, train
from benchmarks.written import write
from hero_engine.methods.base import Method
from hero_engine.methods.make_config import make_config
from hero_engine.models.drawing import Samples
from hero_engine.presets import preset
from tinyworld.annotator import Annotator
from tinyworld.judge import Judge
from tinyworld.tasks import task, tasks

OUT = RESULTS / "kept_prompts.json"
KEPT = ("none", "neighbours")
PROMPTS = r"^(photo of one blue rose in a vase|1 hand|a white cat sitting inside a cardboard box)$"
EPOCHS, OTHER_IMAGES, OTHERS_SEED = 4, 40, 60_000


def run_prompt(spec: dict[str, Any], on_stage: Callable[[str], None]) -> Row:
    """One run to its end; its row of the result file."""
    config, judge = make_config(**spec["config"]), Judge.load()
    label = labels_of(Annotator(config.prompt, seed=config.seed, judge=judge))

    def of_others(run: Method[Any], name: str, noise: Noise, samples: Samples) -> dict[str, Any]:
        good = torch.tensor(judge.success(samples.images, config.prompt))
        others = {}
        for prompt in tasks():
            if prompt != config.prompt:
                drawn = run.sample(OTHER_IMAGES, prompt=prompt, seed=OTHERS_SEED)
                others[prompt] = success_rate(judge, drawn.images, config, task(prompt))
        return {f"good_spread_{name}": spread(samples.latents[good]), f"others_{name}": others}

    row = train(config, label, judge, on_stage, ("pretrained", "normal"), examine=of_others)
    return {**row, "prompt": config.prompt, "keep": spec["config"]["keep"]}


def lost(row: Row) -> dict[str, float]:
    """What each other prompt won, or lost; the greatest loss first."""
    before, after = row["others_pretrained"], row["others_normal"]
    return dict(sorted(((name, after[name] - before[name]) for name in after), key=lambda x: x[1]))


def sheet(rows: Sequence[Row]) -> Sheet:
    """A row a run."""
    table = Sheet(
        f"hero+ on tiny after {EPOCHS} epochs: what other prompts lose",
        [
            "prompt",
            "seed",
            "kept",
            "worst of the others",
            "its loss",
            "others",
            "success",
            "spread",
        ],
        words=4,
    )
    for row in rows:
        losses = lost(row)
        worst = next(iter(losses))
        table.add(
            row["prompt"],
            row["seed"],
            row["keep"],
            worst,
            f"{losses[worst]:+.2f}",
            f"{statistics.mean(losses.values()):+.2f}",
            share(row["success_normal"]),
            share(kept_spread(row)),
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", default="9401", help="comma-separated run seeds")
    parser.add_argument("--only", default=PROMPTS, help="a regular expression that prompts match")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes, one a core")
    parser.add_argument("--finished", action="store_true", help="run nothing, show what there is")
    said = parser.parse_args()
    configs = [
        preset("tiny", prompt=prompt, seed=int(seed), epochs=EPOCHS, until="never", keep=keep)
        for seed in said.seeds.split(",")
        for prompt in tasks()
        if re.search(said.only, prompt)
        for keep in KEPT
    ]
    jobs = {
        (config.prompt, config.seed, config.flat()["keep"]): Job(
            name=f"{config.prompt}, seed {config.seed}, kept: {config.flat()['keep']}",
            spec={"weights": fingerprint.tiny(*tasks()), "config": config.flat()},
            kept=KeptRuns.beside(OUT),
            stages=config.epochs + 2,
        )
        for config in configs
    }
    screen = console()
    if said.finished:
        jobs = finished(jobs)
    rows = run_jobs(list(jobs.values()), run_prompt, said.jobs, screen)
    write(OUT, "kept_prompts", rows, sheet(rows), screen)


if __name__ == "__main__":
    main()
