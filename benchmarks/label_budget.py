"""HERO on the bundled tiny model with fewer labels: what asking for a part of the images costs.

    python -m benchmarks.label_budget [--seeds 1,2,3] [--prompt "1 hand"] [--quick]

From the second epoch on one annotator without errors is asked about 32 or 16 of the 64 images,
those of which the embedding is least sure and the likely bests, and the embedding judges the others
(`hero start --label-budget`). For comparison all 64, and the simple way to the same number of
labels: to draw only 32 or 16 images an epoch, in more epochs. Success as in
benchmarks.annotator_errors; finished runs are kept beside the result file.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from backend.run.labelling import Labelling
from benchmarks.cells import (
    MEASURES,
    Cell,
    by_epoch,
    labels,
    lost,
    options,
    run_cells,
    success,
    write,
)
from benchmarks.intervals import Mean
from benchmarks.jobs import console
from benchmarks.kept_runs import Row
from benchmarks.plots import Panel, draw, line_of
from benchmarks.sheets import Sheet, share

ALL = "all 64"
BUDGETS = (32, 16)
IMAGES, EPOCHS = 64, 8
QUICK_CELLS = (ALL, "32 of 64 asked")


def asked(budget: int) -> str:
    """The name of the cell in which the embedding judges the others."""
    return f"{budget} of 64 asked"


def drawn(images: int) -> str:
    """The name of the cell in which fewer images are drawn."""
    return f"{images} drawn"


def cells() -> list[Cell]:
    """All cells; each pair of a budget costs the same number of labels."""
    found = [Cell(ALL, evaluated=("pretrained", *MEASURES))]
    for budget in BUDGETS:
        spent = IMAGES + (EPOCHS - 1) * budget
        fewer = {"images_per_epoch": budget, "epochs": spent // budget}
        found.append(Cell(asked(budget), labelling=Labelling(label_budget=budget)))
        found.append(Cell(drawn(budget), config=fewer))
    return found


def sheet(runs: dict[str, list[Row]], prompt: str) -> Sheet:
    """The table: a row a cell that was run."""
    table = Sheet(
        title=f"HERO with a label budget, tiny model, “{prompt}”",
        header=[
            "images an epoch",
            "epochs",
            "labels",
            "seeds",
            "bank",
            "normal",
            "bank, less all",
            "normal, less all",
            "right verdicts",
            "of the embedding",
            "if it said good",
        ],
    )
    everything = runs.get(ALL)
    for cell, rows in runs.items():
        less = [
            lost(rows, everything, measure).text(signed=True)
            if everything and rows is not everything
            else None
            for measure in MEASURES
        ]
        table.add(
            cell,
            len(rows[0]["success_by_epoch"]),
            labels(rows),
            len(rows),
            *(Mean.of(success(rows, measure)).text() for measure in MEASURES),
            *less,
            share(by_epoch(rows, "accuracy")),
            share(by_epoch(rows, "unasked_accuracy")),
            share(by_epoch(rows, "unasked_good")),
        )
    return table


NOTE = """
*Right verdicts*: share of the verdicts that were learned from with which the judge agrees; *of the
embedding*: the same for the images that nobody was asked about; *if it said good*: what calling all
of these good would have got right.
"""


def summary(rows: list[Row]) -> dict[str, Any]:
    """A cell's figures for the result file."""
    figures: dict[str, Any] = {"labels": labels(rows)}
    for measure in (*MEASURES, "last"):
        figures[f"success_{measure}"] = dataclasses.asdict(Mean.of(success(rows, measure)))
    for figure in ("accuracy", "embedding_accuracy", "unasked_accuracy", "unasked_good"):
        figures[figure] = by_epoch(rows, figure)
    return figures


def plot(runs: dict[str, list[Row]], path: Path) -> None:
    """Success by the labels it cost, for both kinds of noise."""
    lines = {
        "the embedding judges the others": [*map(asked, reversed(BUDGETS)), ALL],
        "fewer images drawn": [*map(drawn, reversed(BUDGETS)), ALL],
    }
    panels = []
    for measure in MEASURES:
        found = []
        for number, (label, names) in enumerate(lines.items()):
            points = [
                (labels(runs[cell]), Mean.of(success(runs[cell], measure)))
                for cell in names
                if cell in runs
            ]
            if points:
                found.append(line_of(label, f"C{number}", points))
        pretrained = [row["success_pretrained"] for row in runs.get(ALL, [])]
        levels = {"pretrained": Mean.of(pretrained)} if pretrained else {}
        panels.append(Panel(measure, found, levels))
    draw(panels, path, "labels")


def main() -> None:
    said, screen = options(__doc__, "label_budget"), console()
    wanted = [cell for cell in cells() if not said.quick or cell.name in QUICK_CELLS]
    runs = run_cells(wanted, said, screen)
    table = sheet(runs, said.prompt)
    write(said, wanted, runs, lambda cell: summary(runs[cell]))
    said.out.with_suffix(".md").write_text(said.page(table) + NOTE)
    plot(runs, said.out.with_suffix(".svg"))
    screen.print(table.rich())
    screen.print(f"Written to {said.out}, with .md and .svg beside it")


if __name__ == "__main__":
    main()
