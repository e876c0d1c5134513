"""Table 3: reward designs, on narcissus."""

from __future__ import annotations

from benchmarks.paper.cells import Cell, Rows, of_task
from benchmarks.paper.numbers import REWARDS
from benchmarks.paper.section import SUCCESS_COLUMNS, Section, last_batch, successes
from benchmarks.sheets import Sheet

TASK = "narcissus"

NOTE = """
`best` is HERO: similarity to the best image in E's space. `positives`: to the mean of the good ones
there; `binary`: 1 for good and 0 for bad; `no-embedding`: to the mean of the good clean latents.
512 labels; success as in Table 2. The paper judges 200 images from pi_HERO, one run each.
"""


def cells() -> dict[str, Cell]:
    """By reward; `best` is Table 2's cell."""
    others = {name: of_task(TASK, "hero", reward=name) for name in REWARDS if name != "best"}
    return {"best": of_task(TASK, "hero"), **others}


def sheet(rows: Rows) -> Sheet:
    """A row a reward."""
    table = Sheet(
        "Table 3. Success by reward on narcissus, tiny model",
        ["reward", "seeds", *SUCCESS_COLUMNS, "last batch", "paper"],
    )
    for reward, cell in cells().items():
        if found := rows.get(cell.name):
            paper = REWARDS[reward].text()
            table.add(reward, len(found), *successes(found), last_batch(found), paper)
    return table


def section() -> Section:
    """For the page."""
    return Section("table3", list(cells().values()), sheet, NOTE)
