"""One table or figure of the paper: the cells that it needs and how their rows are laid out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.intervals import Mean
from benchmarks.kept_runs import Row
from benchmarks.paper.cells import Cell, Rows
from benchmarks.sheets import Sheet

PRETRAINED, BANK, NORMAL = "pretrained", "bank", "normal"
SUCCESS_COLUMNS = ["pi_HERO", "N(0, I)"]


@dataclass(frozen=True)
class Section:
    """A part of the result's page."""

    name: str
    """What `--only` calls it, such as `table2`."""
    cells: Sequence[Cell]
    sheet: Callable[[Rows], Sheet]
    """A row only for what has been run."""
    note: str
    """What to know when reading the table."""
    plot: Callable[[Rows, Path], None] | None = None

    def rows(self, found: Rows) -> Rows:
        """Those of its own cells."""
        names = {cell.name for cell in self.cells}
        return {name: rows for name, rows in found.items() if name in names}


def mean(rows: Sequence[Row], figure: str) -> Mean | None:
    """Over the seeds; None where there is no such figure."""
    values = [row[figure] for row in rows if figure in row]
    return Mean.of(values) if values else None


def text(rows: Sequence[Row], figure: str) -> str | None:
    """The mean and its interval as a table has them."""
    found = mean(rows, figure)
    return None if found is None else found.text()


def successes(rows: Sequence[Row]) -> list[str | None]:
    """Success on images from pi_HERO, where the method has one, and on N(0, I)."""
    return [text(rows, f"success_{noise}") for noise in (BANK, NORMAL)]


def last_batch(rows: Sequence[Row]) -> str:
    """Success of the last epoch's batch, which the paper's Table 2 reports."""
    return Mean.of([row["success_by_epoch"][-1] for row in rows]).text()
