"""Past the paper: what makes a model learn from few labels on all noises, and keeps it wide.

    python -m benchmarks.research [--seeds 1,2,3] [--only REGEX] [--finished] [--quick]

Each variant (`benchmarks/variants.py`) is HERO by the tiny preset with a few fields changed,
labelled by an annotator without errors. After every epoch the judge looks at 100 images from the
same noises of N(0, I); at the end at 200 from there and 200 from the noise bank, and at 40 of every
other prompt that it knows. The pretrained model is measured once a seed. Finished runs are kept
beside the result file, but count only for the same model: after a retraining all are made again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import fingerprint, research_plot
from benchmarks.cells import Number, Options, options
from benchmarks.intervals import Mean
from benchmarks.jobs import Job, console, finished, forget, run_jobs
from benchmarks.kept_runs import KeptRuns, Row
from benchmarks.research_figures import GOAL_LABELS, LEVELS, figures
from benchmarks.research_run import work
from benchmarks.sheets import Sheet
from benchmarks.variants import BASELINE, FAMILIES, PLUS, Variant, variants
from hero_engine.presets import preset
from tinyworld.tasks import tasks

PRETRAINED = "pretrained"
NUMBERS = {
    "images": Number(200, 24, "images that are judged at the end, from each kind of noise"),
    "epoch_images": Number(100, 16, "images from N(0, I) that are judged after each epoch"),
    "transfer_images": Number(40, 8, "images of each other prompt"),
}
QUICK = {"epochs": 2, "images_per_epoch": 16}
QUICK_VARIANTS = (BASELINE, PLUS)


def others(prompt: str) -> list[str]:
    """The prompts on which it is measured what a run on one does to others.

    Those of mountains from a window are left out: most rows were made before their words were
    trained anew (tinyworld/README.md).
    """
    return [other for other in tasks() if other != prompt and "window" not in other.split()]


def model(said: Options) -> str:
    """What the figures were measured on."""
    return fingerprint.tiny(said.prompt, *others(said.prompt))


def jobs(wanted: Sequence[Variant], said: Options, tiny: str) -> dict[tuple[str, int], Job]:
    """By variant and seed: the pretrained model's, then all variants' of one seed after another."""
    found = {(PRETRAINED, seed): job_of(None, seed, said, tiny) for seed in said.seeds}
    for seed in said.seeds:
        found |= {(v.name, seed): job_of(v, seed, said, tiny) for v in wanted}
    return found


def job_of(variant: Variant | None, seed: int, said: Options, tiny: str) -> Job:
    """One seed's run of a variant; None is the pretrained model."""
    name = variant.name if variant else PRETRAINED
    settings = {"method": "hero", "prompt": said.prompt, **(variant.config if variant else {})}
    settings |= QUICK if said.quick else {}
    config = preset("tiny", seed=seed, **settings)
    return Job(
        name=f"{name}, seed {seed}",
        spec={
            "measure": "variant" if variant else PRETRAINED,
            "config": config.flat(),
            "tiny": tiny,
            "transfer": others(config.prompt),
            **said.numbers,
        },
        kept=KeptRuns.beside(said.out),
        stages=config.epochs + 3 if variant else 2,
    )


def run(wanted: Sequence[Variant], said: Options) -> tuple[dict[int, Row], dict[str, list[Row]]]:
    """The pretrained model's row by seed, and the seeds' rows of each variant, by its name."""
    planned = jobs(wanted, said, model(said))
    if said.fresh:
        forget(planned.values())
    if said.finished:
        planned = finished(planned)
    rows = run_jobs(list(planned.values()), work, said.processes, console())
    pretrained: dict[int, Row] = {}
    found: dict[str, list[Row]] = {}
    for (name, seed), row in zip(planned, rows, strict=True):
        if name == PRETRAINED:
            pretrained[seed] = row
        else:
            found.setdefault(name, []).append(row)
    return pretrained, found


def sheet(found: Mapping[str, Mapping[str, Any]], seeds: Mapping[str, int], prompt: str) -> Sheet:
    """The table: a row a variant that was run, by its figures and its number of seeds."""
    table = Sheet(
        title=f"Past the paper, tiny model, “{prompt}”",
        header=[
            "variant",
            "seeds",
            f"normal at {GOAL_LABELS}",
            "normal",
            "bank",
            *(f"labels to {level}" for level in LEVELS),
            "spread, normal",
            "spread, bank",
            "fall",
            f"after {GOAL_LABELS}",
            "other prompts",
            "worst of them",
            "collapsed",
        ],
    )
    for name, of in found.items():
        worst = next(iter(of["transfer_by_prompt"].values()), None)
        table.add(
            name,
            seeds[name],
            _text(of["success_at_goal"]),
            _text(of["success_normal"]),
            _text(of["success_bank"]),
            *(_labels(of[f"labels_to_{level}"]) for level in LEVELS),
            _text(of["kept_spread_normal"]),
            _text(of["kept_spread_bank"]),
            f"{of['largest_fall']:.2f}",
            None if of["fall_afterwards"] is None else f"{of['fall_afterwards']:.2f}",
            _text(of["transfer"], signed=True),
            None if worst is None else f"{worst:+.2f}",
            of["collapsed"],
        )
    return table


NOTE = f"""
*Normal*: success on N(0, I), after {GOAL_LABELS} labels and at the end; *bank*: at the end, from
the noise bank. *Labels to*: of each seed, until the images after an epoch reach that success.
*Spread*: mean distance of two successful images, as a share of that among the pretrained model's.
*Fall*: the largest between two epochs on N(0, I) in any seed, in the whole run and *after
{GOAL_LABELS}* labels. *Other prompts*: success less the pretrained model's, mean over prompts, and
the prompt that lost most. *Collapsed*: seeds that end below half of their best.
"""


def _text(mean: Mapping[str, Any] | None, *, signed: bool = False) -> str | None:
    return None if mean is None else Mean(**mean).text(signed=signed)


def _labels(found: Sequence[int | None]) -> str:
    return " ".join("-" if labels is None else str(labels) for labels in found)


def write(
    said: Options,
    wanted: Sequence[Variant],
    pretrained: Mapping[int, Row],
    rows: Mapping[str, Sequence[Row]],
) -> Sheet:
    """The result file, the page and the plot; the table."""
    ran = [variant for variant in wanted if variant.name in rows]
    found = {variant.name: figures(rows[variant.name], dict(pretrained)) for variant in ran}
    table = sheet(found, {name: len(of) for name, of in rows.items()}, said.prompt)
    result = {
        "command": said.command,
        "seeds": said.seeds,
        "prompt": said.prompt,
        "model": model(said),
        "images": said.numbers,
        "interval": "95 %, Student's t over seeds",
        "pretrained": list(pretrained.values()),
        "variants": [
            {
                "name": variant.name,
                "family": variant.family,
                "config": variant.config,
                **found[variant.name],
                "runs": [_short(row) for row in rows[variant.name]],
            }
            for variant in ran
        ],
    }
    said.out.parent.mkdir(parents=True, exist_ok=True)
    said.out.write_text(json.dumps(result, indent=1) + "\n")
    said.out.with_suffix(".md").write_text(said.page(table) + NOTE)
    curves = {v.name: research_plot.curve(rows[v.name], pretrained) for v in ran}
    families = {
        family: {v.name: curves[v.name] for v in ran if v.family == family} for family in FAMILIES
    }
    baseline = (BASELINE, curves[BASELINE]) if BASELINE in curves else None
    research_plot.draw(families, baseline, said.out.with_suffix(".svg"))
    return table


def _short(row: Row) -> Row:
    """A row without the reports but for what was unusual."""
    notes = [report["note"] for report in row["reports"]]
    return {name: value for name, value in row.items() if name != "reports"} | {"notes": notes}


def main() -> None:
    said = options(__doc__, "research", NUMBERS)
    wanted = [
        variant
        for variant in variants()
        if re.search(said.only, variant.name)
        and (not said.quick or said.only or variant.name in QUICK_VARIANTS)
    ]
    pretrained, rows = run(wanted, said)
    table = write(said, wanted, pretrained, rows)
    screen = console()
    screen.print(table.rich())
    screen.print(f"Written to {said.out}, with .md and .svg beside it")


if __name__ == "__main__":
    main()
