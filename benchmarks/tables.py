"""The paper's tables and figures, rerun on the bundled tiny model with simulated annotators.

    python -m benchmarks.tables [--seeds 1,2,3] [--only REGEX] [--quick] [--list | --finished]

A run is a cell, such as `table2/hand/hero`, with one seed. Finished runs are kept beside the result
file, so that it goes on where it was stopped; the decisive ones come first. Rows of other weights
or other settings do not count. `--quick` makes two runs of one task and one seed, with the
settings of the whole, so that they are kept for it.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from benchmarks.cells import RESULTS
from benchmarks.jobs import command, console, finished, forget, run_jobs
from benchmarks.kept_runs import KeptRuns
from benchmarks.paper import plan
from benchmarks.paper.appearance import MODELS
from benchmarks.paper.cells import SEEDS
from benchmarks.paper.page import write
from benchmarks.paper.run import run_cell
from tinyworld.judge import Judge


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", help="comma-separated (default: 1,2,3; quick: 1)")
    parser.add_argument("--only", metavar="REGEX", help="of the cells, such as '^table2/hand/'")
    parser.add_argument("--quick", action="store_true", help="two cells of blue-rose, one seed")
    parser.add_argument("--list", action="store_true", help="run nothing; the cells and their time")
    parser.add_argument("--finished", action="store_true", help="run nothing; what is finished")
    parser.add_argument("--fresh", action="store_true", help="do finished runs again")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes, one a core")
    parser.add_argument("--out", type=Path, help="result file, .json; .md and plots go beside it")
    for name in MODELS:
        parser.add_argument(f"--{name}", metavar="PATH", help=f"{name}'s weights, for Appendix F")
    parser.add_argument("--pickscore", metavar="PATH", help="PickScore's weights, for Table 4")
    return parser.parse_args()


def main() -> None:
    said, screen = arguments(), console()
    given = vars(said)
    models = {name: path for name in MODELS if (path := given[name.replace("-", "_")])}
    only = said.only or (plan.QUICK if said.quick else "")
    seeds = [int(seed) for seed in (said.seeds or ("1" if said.quick else _text(SEEDS))).split(",")]
    out = said.out or RESULTS / ("tables-quick.json" if said.quick else "tables.json")
    kept = KeptRuns.beside(out.with_stem(out.stem.removesuffix("-quick")))
    sections = plan.sections(said.pickscore)
    cells, lacking = plan.runnable(plan.chosen(sections, only), Judge.load().values)
    _tell_lacking(lacking, screen)
    jobs = plan.jobs_of(cells, seeds, kept, models)
    if said.list:
        screen.print(plan.costs(cells, sections, jobs, said.jobs).rich())
        return
    if said.finished:
        jobs = finished(jobs)
    elif said.fresh:
        forget(jobs.values())
    rows = plan.grouped(jobs, run_jobs(list(jobs.values()), run_cell, said.jobs, screen))
    for sheet in write(out, command("tables"), seeds, sections, cells, rows).values():
        screen.print(sheet.rich())
    screen.print(f"Written to {out}, with .md and plots beside it")


def _text(seeds: tuple[int, ...]) -> str:
    return ",".join(map(str, seeds))


def _tell_lacking(lacking: dict[str, list[str]], screen: Console) -> None:
    if lacking:
        unknown = sorted({lack for lacks in lacking.values() for lack in lacks})
        screen.print(
            f"Left out: {', '.join(lacking)}. The tiny world does not know {', '.join(unknown)}."
        )


if __name__ == "__main__":
    main()
