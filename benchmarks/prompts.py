"""hero+ on every prompt that the judge knows, with the preset's settings: does it hold anywhere?

    python -m benchmarks.prompts [--seeds 9101] [--only "cat|hand"] [--model tiny-sd3] [--finished]
    python -m benchmarks.prompts --wrong 0.2

A simulated annotator, who says the opposite of a share of the images if asked to, labels until the
run ends by itself, or for 512 labels. Then 200 images from fresh noises of the run's model are
judged, beside 200 of the pretrained one. No other prompts are kept as they are
(`benchmarks.kept_prompts` measures what that does). One process a core; finished runs are kept
beside the result file.
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
from benchmarks.kept_runs import KeptRuns, Row, slug
from benchmarks.sheets import Sheet, share
from benchmarks.training import Noise, labels_of, spread, train
from benchmarks.written import write
from hero_engine.methods.base import Method
from hero_engine.methods.make_config import make_config
from hero_engine.models.drawing import Samples
from hero_engine.presets import preset
from tinyworld.annotator import Annotator
from tinyworld.judge import Judge
from tinyworld.tasks import tasks

LOW = 0.25
"""Prompts of which the pretrained model draws fewer right have a mean of their own."""


def run_prompt(spec: dict[str, Any], on_stage: Callable[[str], None]) -> Row:
    """One run to its end; its row of the result file."""
    config, judge = make_config(**spec["config"]), Judge.load()
    wrong = spec.get("wrong", 0.0)
    label = labels_of(Annotator(config.prompt, config.seed, error_rate=wrong, judge=judge))

    def successes_spread(
        run: Method[Any], name: str, noise: Noise, samples: Samples
    ) -> dict[str, Any]:
        good = torch.tensor(judge.success(samples.images, config.prompt))
        return {f"good_spread_{name}": spread(samples.latents[good])}

    row = train(config, label, judge, on_stage, ("pretrained", "normal"), examine=successes_spread)
    last = row["reports"][-1]
    return {
        **row,
        "prompt": config.prompt,
        "labels": len(row["reports"]) * config.images_per_epoch,
        "stopped": last["good_enough"],
        "judged": [last["model_good"], last["model_judged"]],
    }


def kept_spread(row: Row) -> float | None:
    """Of the successes, as a share of the pretrained model's own."""
    before, after = row["good_spread_pretrained"], row["good_spread_normal"]
    return after / before if before and after else None


def sheet(rows: Sequence[Row], model: str, errors: str = "") -> Sheet:
    """A row a run, then means."""
    table = Sheet(
        f"hero+ on {model}, fresh noises" + (f",{errors}" if errors else ""),
        [
            "prompt",
            "seed",
            "success by epoch",
            "pretrained",
            "labels",
            "stopped by itself",
            "by its labels",
            "success",
            "spread",
        ],
        words=3,
    )
    for row in rows:
        good, judged = row["judged"]
        by_epoch = [f"{value:.2f}".removeprefix("0") for value in row["success_by_epoch"]]
        table.add(
            row["prompt"],
            row["seed"],
            " ".join(by_epoch),
            share(row["success_pretrained"]),
            row["labels"],
            "yes" if row["stopped"] else "no",
            f"{good} of {judged}" if judged else None,
            share(row["success_normal"]),
            share(kept_spread(row)),
        )
    for name, chosen in (
        (f"mean from {LOW} on", [row for row in rows if row["success_pretrained"] >= LOW]),
        (f"mean under {LOW}", [row for row in rows if row["success_pretrained"] < LOW]),
    ):
        if chosen:
            spreads = [kept for row in chosen if (kept := kept_spread(row)) is not None]
            table.add(
                name,
                "",
                "",
                share(statistics.mean(row["success_pretrained"] for row in chosen)),
                round(statistics.mean(row["labels"] for row in chosen)),
                f"{sum(row['stopped'] for row in chosen)} of {len(chosen)}",
                None,
                share(statistics.mean(row["success_normal"] for row in chosen)),
                share(statistics.mean(spreads)) if spreads else None,
            )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", default="9101", help="comma-separated run seeds")
    parser.add_argument("--only", default="", help="a regular expression that prompts match")
    parser.add_argument("--model", default="tiny", help="tiny, tiny-sd3 or tiny-sdxl")
    parser.add_argument("--wrong", type=float, default=0.0, help="share of the labels (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes, one a core")
    parser.add_argument("--finished", action="store_true", help="run nothing, show what there is")
    arguments = parser.parse_args()
    errors = f" {arguments.wrong} wrong" if arguments.wrong else ""
    out = RESULTS / f"{slug(f'prompts-{arguments.model}{errors}')}.json"
    configs = [
        preset("tiny", model=arguments.model, prompt=prompt, seed=int(seed), keep="none")
        for seed in arguments.seeds.split(",")
        for prompt in tasks()
        if re.search(arguments.only, prompt)
    ]
    jobs = {
        (config.prompt, config.seed): Job(
            name=f"{config.prompt}, seed {config.seed}",
            spec={
                "weights": fingerprint.of_model(arguments.model, config.prompt),
                "config": config.flat(),
                **({"wrong": arguments.wrong} if arguments.wrong else {}),
            },
            kept=KeptRuns.beside(out),
            stages=config.epochs + 2,
        )
        for config in configs
    }
    screen = console()
    if arguments.finished:
        jobs = finished(jobs)
    rows = run_jobs(list(jobs.values()), run_prompt, arguments.jobs, screen)
    write(out, "prompts", rows, sheet(rows, arguments.model, errors), screen)


if __name__ == "__main__":
    main()
