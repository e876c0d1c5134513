"""All tables and figures, the order of the runs, and what they will cost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from benchmarks.jobs import Job
from benchmarks.kept_runs import KeptRuns, Row
from benchmarks.paper import (
    ablations,
    appendix_f,
    families,
    figure3,
    figure5,
    labels,
    table2,
    table3,
    table4,
    table5,
    transfer,
)
from benchmarks.paper.cells import TASKS, Cell
from benchmarks.paper.section import Section
from benchmarks.sheets import Sheet

QUICK = r"^table2/blue-rose/(enhanced prompt|hero\+)$"
"""The cells of `--quick`: two methods on one task, as in the whole table."""


def sections(pickscore: str | None = None) -> list[Section]:
    """In the page's order; `pickscore` is the folder of its weights."""
    return [
        table2.section(),
        labels.section(figure3.cells()),
        figure3.section(),
        transfer.taste_section(),
        transfer.avoid_section(),
        table3.section(),
        figure5.section(),
        table4.section(pickscore),
        table5.section(),
        ablations.section(),
        appendix_f.section(),
        families.section(),
    ]


RUN_ORDER = (
    "taste",
    "avoid",
    "table2",
    "labels",
    "table3",
    "figure5",
    "table5",
    "ablations",
    "figure3",
    "table4",
    "families",
)


def in_order(found: Sequence[Section]) -> list[Cell]:
    """Every cell once, the decisive ones first: HERO and D3PO on the five tasks."""
    by_name = {section.name: section for section in found}
    decisive = table2.cells()[: 2 * len(TASKS)]
    rest = [cell for name in RUN_ORDER for cell in by_name[name].cells]
    return list({cell.name: cell for cell in [*decisive, *rest]}.values())


def names_of(cell: Cell, found: Sequence[Section]) -> list[str]:
    """What `--only` may call it: `<section>/<cell>` for each section that shows it."""
    return [
        f"{section.name}/{cell.name}"
        for section in found
        if any(own.name == cell.name for own in section.cells)
    ]


def chosen(found: Sequence[Section], only: str) -> list[Cell]:
    """The cells whose name in some section matches, in the order of the runs."""
    return [
        cell
        for cell in in_order(found)
        if any(re.search(only, name) for name in names_of(cell, found))
    ]


def runnable(
    cells: Sequence[Cell], heads: Mapping[str, Sequence[str]]
) -> tuple[list[Cell], dict[str, list[str]]]:
    """Those that the tiny world has the prompts for; and what it lacks, by the others' names."""
    lacking = {cell.name: cell.unknown(heads) for cell in cells}
    return (
        [cell for cell in cells if not lacking[cell.name]],
        {name: sorted(set(lacks)) for name, lacks in lacking.items() if lacks},
    )


def jobs_of(
    cells: Sequence[Cell], seeds: Sequence[int], kept: KeptRuns, models: Mapping[str, str]
) -> dict[tuple[str, int], Job]:
    """One job per cell and seed."""
    return {(cell.name, seed): cell.job(seed, kept, models) for cell in cells for seed in seeds}


def costs(
    cells: Sequence[Cell],
    found: Sequence[Section],
    jobs: Mapping[tuple[str, int], Job],
    processes: int,
) -> Sheet:
    """The runs in their order, with about how long they take; what is finished costs nothing."""
    table = Sheet(
        "Runs, about",
        ["cell", "also in", "labels", "minutes a run", "finished", "minutes left"],
        words=2,
    )
    total = 0.0
    for cell in cells:
        mine = [job for (name, _), job in jobs.items() if name == cell.name]
        done = sum(job.finished() is not None for job in mine)
        left = (len(mine) - done) * cell.minutes()
        total += left
        first, *others = [name.split("/")[0] for name in names_of(cell, found)]
        table.add(
            f"{first}/{cell.name}",
            " ".join(others),
            cell.labels,
            f"{cell.minutes():.1f}",
            f"{done} of {len(mine)}",
            f"{left:.0f}",
        )
    table.add(f"all, {processes} at once", "", None, None, None, f"{total / processes:.0f}")
    return table


def grouped(jobs: Mapping[tuple[str, int], Job], rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The seeds' rows of each cell; `rows` are in the jobs' order."""
    found: dict[str, list[Row]] = {}
    for (name, _), row in zip(jobs, rows, strict=True):
        found.setdefault(name, []).append(row)
    return found
