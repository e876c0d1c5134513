"""Figure 3: hand, success against labels."""

from __future__ import annotations

from pathlib import Path

from benchmarks.paper.cells import Cell, Rows
from benchmarks.paper.labels import HEADER, add_target, curves_plot, longer
from benchmarks.paper.numbers import FEWER_LABELS, SUCCESS
from benchmarks.paper.section import Section
from benchmarks.sheets import Sheet

TASK = "hand"
SIZES = {"hero": (9, 128), "hero+": (9, 128), "d3po": (39, 128)}
"""Epochs and images of an epoch: the paper's 1,152 labels for HERO and 5,000 for D3PO."""
TARGETS = (0.3, 0.4, 0.5, 0.6, 0.7)

NOTE = f"""
As in the table of labels needed, for several successes. In the paper HERO reaches
{SUCCESS["hero"]["hand"].value} with 1,152 labels and D3PO {SUCCESS["d3po"]["hand"].value} with
5,000, from {SUCCESS["pretrained"]["hand"].value}: {FEWER_LABELS.value:.0f} times fewer, HERO's
images from pi_HERO.
"""


def cells() -> dict[str, Cell]:
    """By method."""
    return {method: longer(TASK, method, *size) for method, size in SIZES.items()}


def sheet(rows: Rows) -> Sheet:
    """A row a success and method."""
    table = Sheet("Figure 3. Labels needed on hand, tiny model", HEADER, words=3)
    own = cells()
    found = {method: rows[cell.name] for method, cell in own.items() if cell.name in rows}
    given = {method: cell.labels for method, cell in own.items()}
    for target in TARGETS:
        add_target(table, TASK, target, found, given)
    return table


def plot(rows: Rows, path: Path) -> None:
    """Success by labels."""
    found = {method: rows[cell.name] for method, cell in cells().items() if cell.name in rows}
    if found:
        curves_plot(found, path)


def section() -> Section:
    """For the page."""
    return Section("figure3", list(cells().values()), sheet, NOTE, plot)
