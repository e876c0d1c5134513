"""Table 5: the time of an epoch's update against K, on hand."""

from __future__ import annotations

import json

from benchmarks.paper.cells import Cell, Rows, changed, of_task
from benchmarks.paper.numbers import FASTER_AT_5
from benchmarks.paper.section import SUCCESS_COLUMNS, Section, successes
from benchmarks.sheets import Sheet
from benchmarks.speed import SPEED, TRAINED_STEPS

TASK = "hand"

NOTE = """
Seconds of one pass of the policy update over 16 images, by `benchmarks.speed`: all values of K in
turn in one process. *All* is every one of the 20 denoising steps. *Times faster*: than with all
steps; the paper's figure is of 20 steps too. Success after 512 labels, as in Table 2.
"""


def cells() -> dict[int | str, Cell]:
    """By K; the preset's own is Table 2's cell."""
    return {k: of_task(TASK, "hero", **changed("trained_steps", k)) for k in TRAINED_STEPS}


def seconds() -> dict[str, float]:
    """Of an update, for every K as text; empty before `benchmarks.speed` was run."""
    if not SPEED.exists():
        return {}
    timed = json.loads(SPEED.read_text()).get("update_by_trained_steps", {})
    return {steps: of["seconds"] for steps, of in timed.items()}


def sheet(rows: Rows) -> Sheet:
    """A row a K."""
    table = Sheet(
        "Table 5. Time of an update by trained steps K on hand, tiny model",
        ["K", "seconds", "times faster", "paper", "seeds", *SUCCESS_COLUMNS],
    )
    spent = seconds()
    for steps, cell in cells().items():
        if found := rows.get(cell.name):
            own = spent.get(str(steps))
            table.add(
                steps,
                None if own is None else f"{own:.2f}",
                None if own is None else f"{spent['all'] / own:.1f}",
                f"{FASTER_AT_5.value:.0f}" if steps == 5 else None,
                len(found),
                *successes(found),
            )
    return table


def section() -> Section:
    """For the page."""
    return Section("table5", list(cells().values()), sheet, NOTE)
