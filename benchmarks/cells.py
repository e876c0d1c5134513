"""The cells of a benchmark's table: one way of labelling, several seeds."""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from backend.run.labelling import Labelling
from benchmarks import fingerprint
from benchmarks.intervals import Mean
from benchmarks.jobs import Job, command, finished, forget, run_jobs
from benchmarks.kept_runs import KeptRuns, Row, slug
from benchmarks.sheets import Sheet
from benchmarks.team import run_team
from benchmarks.training import EVALUATED_IMAGES
from benchmarks.voting import Person
from hero_engine.config import RunConfig
from hero_engine.presets import preset

RESULTS = Path(__file__).parent / "results"
PROMPT = "photo of one blue rose in a vase"
MEASURES = ("bank", "normal")
QUICK = {"epochs": 3}
QUICK_IMAGES = 50


@dataclass(frozen=True)
class Cell:
    """One way of labelling."""

    name: str
    people: tuple[Person, ...] = (Person(),)
    labelling: Labelling = field(default_factory=Labelling)
    config: dict[str, Any] = field(default_factory=dict)
    """Settings of the engine that differ from the tiny preset's for HERO."""
    evaluated: tuple[str, ...] = MEASURES


@dataclass(frozen=True)
class Number:
    """A whole number that one benchmark's command line takes besides what all take."""

    default: int
    quick: int
    """With `--quick`."""
    help: str


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    seeds: list[int]
    prompt: str
    out: Path
    processes: int
    quick: bool
    fresh: bool
    finished: bool
    only: str
    command: str
    numbers: dict[str, int] = field(default_factory=dict)
    """What a benchmark takes besides, by name."""

    def page(self, table: Sheet) -> str:
        """The Markdown file: the table, and how to make it again."""
        return (
            f"# {table.title}\n\n`{self.command}`, seeds {', '.join(map(str, self.seeds))}; mean "
            f"and 95 % confidence interval over the seeds (Student's t).\n\n{table.markdown()}"
        )


def options(doc: str, name: str, numbers: Mapping[str, Number] | None = None) -> Options:
    """The command line of a benchmark called `name`."""
    numbers = numbers or {}
    parser = argparse.ArgumentParser(description=doc.split("\n\n")[0])
    parser.add_argument("--seeds", help="comma-separated run seeds (default: 1,2,3; quick: 1)")
    parser.add_argument("--prompt", default=PROMPT, help="a prompt that the judge knows")
    parser.add_argument("--out", type=Path, help="result file, .json; .md and .svg go beside it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes, one a core")
    parser.add_argument("--quick", action="store_true", help="few cells, 3 epochs, 50 images")
    parser.add_argument("--fresh", action="store_true", help="do finished runs again")
    parser.add_argument("--finished", action="store_true", help="run nothing; what is finished")
    parser.add_argument("--only", default="", metavar="REGEX", help="of the cells, by name")
    for own, number in numbers.items():
        text = f"{number.help} (default: {number.default}; quick: {number.quick})"
        parser.add_argument(f"--{own.replace('_', '-')}", type=int, metavar="N", help=text)
    said = parser.parse_args()
    seeds = said.seeds or ("1" if said.quick else "1,2,3")
    words = [] if said.prompt == PROMPT else [slug(said.prompt)]
    words += ["quick"] if said.quick else []
    return Options(
        seeds=[int(seed) for seed in seeds.split(",")],
        prompt=said.prompt,
        out=said.out or RESULTS / f"{'-'.join([name, *words])}.json",
        processes=said.jobs,
        quick=said.quick,
        fresh=said.fresh,
        finished=said.finished,
        only=said.only,
        command=command(name),
        numbers={
            own: getattr(said, own) or (number.quick if said.quick else number.default)
            for own, number in numbers.items()
        },
    )


def run_cells(cells: Sequence[Cell], said: Options, screen: Console) -> dict[str, list[Row]]:
    """The seeds' rows of each cell, by its name."""
    jobs = {
        (cell.name, seed): job_of(cell, seed, said)
        for cell in cells
        if re.search(said.only, cell.name)
        for seed in said.seeds
    }
    if said.fresh:
        forget(jobs.values())
    if said.finished:
        jobs = finished(jobs)
        if not jobs:
            raise SystemExit(
                f"No run of {said.command} is finished with the present weights, so "
                f"{said.out} stays as it is; run it without --finished."
            )
    rows = run_jobs(list(jobs.values()), run_team, said.processes, screen)
    found: dict[str, list[Row]] = {}
    for (name, _), row in zip(jobs, rows, strict=True):
        found.setdefault(name, []).append(row)
    return found


def config_of(said: Options, **fields: Any) -> RunConfig:
    """HERO by the tiny preset, with some fields replaced and what the command line says."""
    asked = {"prompt": said.prompt, **fields, **(QUICK if said.quick else {})}
    return preset("tiny", method="hero", **asked)


def job_of(cell: Cell, seed: int, said: Options) -> Job:
    """One seed's run of a cell."""
    config = config_of(said, seed=seed, **cell.config)
    spec = {
        "weights": fingerprint.tiny(*fingerprint.drawn_with(config)),
        "config": config.flat(),
        "people": [asdict(person) for person in cell.people],
        "labelling": cell.labelling.model_dump(mode="json", exclude_defaults=True),
        "evaluated": list(cell.evaluated),
        "images": QUICK_IMAGES if said.quick else EVALUATED_IMAGES,
    }
    return Job(
        name=f"{cell.name}, seed {seed}",
        spec=spec,
        kept=KeptRuns.beside(said.out),
        stages=config.epochs + len(cell.evaluated),
    )


def success(rows: Sequence[Row], measure: str) -> list[float]:
    """Each seed's success: `bank`, `normal`, or `last`, the last epoch's batch."""
    if measure == "last":
        return [row["success_by_epoch"][-1] for row in rows]
    return [row[f"success_{measure}"] for row in rows]


def lost(rows: Sequence[Row], reference: Sequence[Row], measure: str) -> Mean:
    """Success less the reference's with the same seed."""
    known = dict(zip([row["seed"] for row in reference], success(reference, measure), strict=True))
    return Mean.of(
        [
            value - known[row["seed"]]
            for row, value in zip(rows, success(rows, measure), strict=True)
        ]
    )


def by_epoch(rows: Sequence[Row], name: str) -> float | None:
    """Mean of a figure of the labelling over the epochs and seeds that have it."""
    values = [
        float(epoch[name])
        for row in rows
        for epoch in row["labelling"]
        if epoch.get(name) is not None
    ]
    return statistics.mean(values) if values else None


def labels(rows: Sequence[Row]) -> int:
    """Labels that a run cost; the same for each seed."""
    return sum(epoch["labels"] for epoch in rows[0]["labelling"])


def write(
    said: Options,
    cells: Sequence[Cell],
    rows: dict[str, list[Row]],
    summary: Callable[[str], dict[str, Any]],
) -> None:
    """The result file: how to make it again, and for each cell its figures and its runs."""
    said.out.parent.mkdir(parents=True, exist_ok=True)
    settings = config_of(said).flat()
    del settings["seed"]
    result = {
        "command": said.command,
        "seeds": said.seeds,
        "interval": "95 %, Student's t over seeds",
        "config": settings,
        "cells": [
            {
                "name": cell.name,
                "people": [asdict(person) for person in cell.people],
                "labelling": cell.labelling.model_dump(mode="json", exclude_defaults=True),
                "config": cell.config,
                **summary(cell.name),
                "runs": [_without_reports(row) for row in rows[cell.name]],
            }
            for cell in cells
            if cell.name in rows
        ],
    }
    said.out.write_text(json.dumps(result, indent=1) + "\n")


def _without_reports(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "reports"}
