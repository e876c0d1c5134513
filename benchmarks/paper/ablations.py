"""Single settings of HERO changed, on blue-rose: what the paper leaves out or says in two ways."""

from __future__ import annotations

from typing import Any

from benchmarks.paper.cells import Cell, Rows, of_task
from benchmarks.paper.section import SUCCESS_COLUMNS, Section, last_batch, successes
from benchmarks.sheets import Sheet

TASK = "blue-rose"
CHANGES: tuple[tuple[str, Any], ...] = (
    ("noise_form", "additive"),
    ("noise_variance", 0.1),
    ("trained_steps_choice", "last"),
    ("clip_range", 2e-5),
    ("clip_range", 5e-4),
    ("learning_rate", 1e-3),
    ("learning_rate", 1e-2),
    ("reward_std_floor", 1e-6),
)

NOTE = """
One setting of the tiny preset changed at a time; 512 labels; success as in Table 2. `additive` is
Eq. 5 as printed, the preset's form is the authors' code's; a variance of 0.1 is the paper's; `last`
trains the last K steps, as Eq. 8 says, the preset K random ones, as the authors' code does; the
paper and the authors' code know no floor under the rewards' deviation. The paper gives no figures
for these.
"""


def cells() -> list[tuple[str, Any, Cell]]:
    """Field, its value and the cell."""
    return [(name, value, of_task(TASK, "hero", **{name: value})) for name, value in CHANGES]


def sheet(rows: Rows) -> Sheet:
    """A row a change, the preset first."""
    table = Sheet(
        "Ablations. HERO on blue-rose with one setting changed, tiny model",
        ["setting", "value", "preset", "seeds", *SUCCESS_COLUMNS, "last batch"],
        words=3,
    )
    own = of_task(TASK, "hero")
    if found := rows.get(own.name):
        table.add("none", None, None, len(found), *successes(found), last_batch(found))
    settings = own.settings(0).flat()
    for field, value, cell in cells():
        if found := rows.get(cell.name):
            table.add(
                field, value, settings[field], len(found), *successes(found), last_batch(found)
            )
    return table


def section() -> Section:
    """For the page."""
    own = [of_task(TASK, "hero"), *(cell for _, _, cell in cells())]
    return Section("ablations", own, sheet, NOTE)
