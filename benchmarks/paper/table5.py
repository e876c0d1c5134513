"""Table 5: the time of an epoch's update against K, on hand."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.intervals import Mean
from benchmarks.jobs import Row
from benchmarks.paper.cells import Cell, Rows, changed, of_task
from benchmarks.paper.numbers import FASTER_AT_5
from benchmarks.paper.section import SUCCESS_COLUMNS, Section, successes
from benchmarks.sheets import Sheet

TASK = "hand"
STEPS: tuple[int | str, ...] = (1, 5, 10, "all")

NOTE = """
Seconds of the policy update of an epoch (64 images) on one core, mean over a run's epochs, as
measured in these runs: the ratios mean more than the seconds where the machine had other work.
*All* is every one of the 20 denoising steps. *Times faster*: than with all steps; the paper's
figure is of 20 steps too. 512 labels; success as in Table 2.
"""


def cells() -> dict[int | str, Cell]:
    """By K; the preset's own is Table 2's cell."""
    return {steps: of_task(TASK, "hero", **changed("trained_steps", steps)) for steps in STEPS}


def seconds(rows: Sequence[Row]) -> list[float]:
    """Each seed's mean seconds of an update."""
    return [
        statistics.mean(
            report["seconds"]["update"]
            for report in row["reports"]
            if "update" in report["seconds"]
        )
        for row in rows
    ]


def sheet(rows: Rows) -> Sheet:
    """A row a K."""
    table = Sheet(
        "Table 5. Time of an update by trained steps K on hand, tiny model",
        ["K", "seeds", "seconds", "times faster", "paper", *SUCCESS_COLUMNS],
    )
    own = cells()
    longest = rows.get(own["all"].name)
    for steps, cell in own.items():
        if found := rows.get(cell.name):
            spent = Mean.of(seconds(found))
            faster = statistics.mean(seconds(longest)) / spent.mean if longest else None
            table.add(
                steps,
                len(found),
                spent.text(),
                None if faster is None else f"{faster:.1f}",
                f"{FASTER_AT_5.value:.0f}" if steps == 5 else None,
                *successes(found),
            )
    return table


def section() -> Section:
    """For the page."""
    return Section("table5", list(cells().values()), sheet, NOTE)
