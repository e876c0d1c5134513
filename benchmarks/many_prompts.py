"""Four prompts in one run, against a run of its own for each: the same labels, in all.

    python -m benchmarks.many_prompts [--seeds 9501] [--finished]

hero+ by the tiny preset, labelled without errors and to the end: one run of 8 epochs of 64 images
that the prompts share, and four runs of 2 epochs of 64. Then 200 images of each prompt are judged,
from fresh noises of the run's model and of the pretrained one.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import fingerprint
from benchmarks.cells import RESULTS
from benchmarks.jobs import Job, console, finished, run_jobs
from benchmarks.kept_runs import KeptRuns, Row
from benchmarks.sheets import Sheet, share
from benchmarks.training import EVALUATED_IMAGES, Noise, success_rate, train
from benchmarks.written import write
from hero_engine.methods.base import Method
from hero_engine.methods.make_config import make_config
from hero_engine.models.drawing import Samples
from hero_engine.presets import preset
from hero_engine.storage.batch import Batch, Feedback
from tinyworld.annotator import Annotator
from tinyworld.judge import Judge
from tinyworld.tasks import task

OUT = RESULTS / "many_prompts.json"
PROMPTS = (
    "photo of one blue rose in a vase",
    "a black cat sitting inside a cardboard box",
    "narcissus by a quiet spring and its reflection in the water",
    "snowy mountains",
)
LABELS = 512
JUDGED_SEED = 61_000


def run_prompts(spec: dict[str, Any], on_stage: Callable[[str], None]) -> Row:
    """One run to its end; its row of the result file."""
    config, judge = make_config(**spec["config"]), Judge.load()
    people = [Annotator(prompt, seed=config.seed, judge=judge) for prompt in config.prompts]

    def label(run: Method[Any], batch: Batch) -> Feedback:
        good: list[bool | None] = [None] * len(batch.images)
        bests: list[int] = []
        for prompt, person in zip(config.prompts, people, strict=True):
            rows = [i for i in range(len(batch.images)) if batch.prompt_of(i) == prompt]
            marks = person.mark([batch.images[i] for i in rows])
            for i, said in zip(rows, marks.good, strict=True):
                good[i] = said
            bests += [] if marks.best is None else [rows[marks.best]]
        return Feedback(tuple(good), bests[0] if bests else None, tuple(bests[1:]))

    def by_prompt(run: Method[Any], name: str, noise: Noise, samples: Samples) -> dict[str, Any]:
        found = {}
        for prompt in config.prompts:
            drawn = run.sample(EVALUATED_IMAGES, prompt=prompt, seed=JUDGED_SEED)
            found[prompt] = success_rate(judge, drawn.images, config, task(prompt))
        return {f"by_prompt_{name}": found}

    row = train(config, label, judge, on_stage, ("pretrained", "normal"), 2, examine=by_prompt)
    return {
        "seed": config.seed,
        "labels": config.epochs * config.images_per_epoch,
        "minutes": row["minutes"],
        "reports": row["reports"],
        "pretrained": row["by_prompt_pretrained"],
        "success": row["by_prompt_normal"],
    }


def sheet(rows: Sequence[Row]) -> Sheet:
    """A row for each prompt and seed, then the means."""
    table = Sheet(
        f"hero+ on tiny: four prompts, {LABELS} labels in all, fresh noises",
        ["prompt", "seed", "pretrained", "in a run of its own", "in one run of four"],
        words=1,
    )
    found: list[tuple[float, float, float]] = []
    for together in (row for row in rows if len(row["success"]) > 1):
        alone = {
            prompt: success
            for row in rows
            if row["seed"] == together["seed"] and len(row["success"]) == 1
            for prompt, success in row["success"].items()
        }
        for prompt, success in together["success"].items():
            if prompt in alone:
                found.append((together["pretrained"][prompt], alone[prompt], success))
                table.add(prompt, together["seed"], *map(share, found[-1]))
    if found:
        table.add("mean", "", *(share(statistics.mean(each)) for each in zip(*found, strict=True)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", default="9501", help="comma-separated run seeds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes, one a core")
    parser.add_argument("--finished", action="store_true", help="run nothing, show what there is")
    said = parser.parse_args()
    first, *others = PROMPTS
    jobs = {}
    for seed in map(int, said.seeds.split(",")):
        alike = {"seed": seed, "until": "never", "keep": "none"}
        whole = LABELS // preset("tiny").images_per_epoch
        alone = [
            preset("tiny", prompt=each, epochs=whole // len(PROMPTS), **alike) for each in PROMPTS
        ]
        one = preset("tiny", prompt=first, further_prompts=others, epochs=whole, **alike)
        for config in (one, *alone):
            jobs[config.prompts, seed] = Job(
                name=f"{' + '.join(config.prompts)}, seed {seed}"[:100],
                spec={"weights": fingerprint.tiny(*config.prompts), "config": config.flat()},
                kept=KeptRuns.beside(OUT),
                stages=config.epochs + 2,
            )
    screen = console()
    if said.finished:
        jobs = finished(jobs)
    rows = run_jobs(list(jobs.values()), run_prompts, said.jobs, screen)
    write(OUT, "many_prompts", rows, sheet(rows), screen)


if __name__ == "__main__":
    main()
