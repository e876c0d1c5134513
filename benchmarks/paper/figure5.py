"""Figure 5: the share of a batch drawn round the best noise, on black-cat."""

from __future__ import annotations

from pathlib import Path

from benchmarks.paper import curves
from benchmarks.paper.cells import Cell, Rows, changed, of_task
from benchmarks.paper.numbers import BEST_IMAGE_RATIO
from benchmarks.paper.section import SUCCESS_COLUMNS, Section, last_batch, successes
from benchmarks.plots import Panel, draw
from benchmarks.sheets import Sheet

TASK = "black-cat"
RATIOS = (0.0, 0.5, 1.0)
RANDOM = "random"

NOTE = """
The best-image ratio beta (Eq. 5); *random* draws every batch from N(0, I), its noise bank is only
kept for the measurement on pi_HERO. The tiny preset's beta is 0. 512 labels; success as in Table 2.
*Paper*: the end of the training, where its text says it.
"""


def cells() -> dict[str, Cell]:
    """By setting; the preset's own ratio is Table 2's cell."""
    ratios = {
        f"beta {ratio}": of_task(TASK, "hero", **changed("best_image_ratio", ratio))
        for ratio in RATIOS
    }
    return {**ratios, RANDOM: of_task(TASK, "hero", noise="normal")}


def sheet(rows: Rows) -> Sheet:
    """A row a setting."""
    table = Sheet(
        "Figure 5. Success by best-image ratio on black-cat, tiny model",
        ["noises", "seeds", *SUCCESS_COLUMNS, "last batch", "paper"],
    )
    paper = {f"beta {ratio}": found.text() for ratio, found in BEST_IMAGE_RATIO.items()}
    for setting, cell in cells().items():
        if found := rows.get(cell.name):
            table.add(setting, len(found), *successes(found), last_batch(found), paper.get(setting))
    return table


def plot(rows: Rows, path: Path) -> None:
    """Success of each epoch's batch, a line a setting."""
    lines = []
    for number, (setting, cell) in enumerate(cells().items()):
        if found := rows.get(cell.name):
            seeds = [list(enumerate(row["success_by_epoch"], start=1)) for row in found]
            lines.append(curves.line(setting, f"C{number}", seeds))
    if lines:
        draw([Panel("each epoch's batch, black-cat", lines, {})], path, "epoch")


def section() -> Section:
    """For the page."""
    return Section("figure5", list(cells().values()), sheet, NOTE, plot)
