"""Not in the paper: the same methods on small models of other families."""

from __future__ import annotations

from benchmarks.paper.cells import METHODS, TASKS, Cell, Rows
from benchmarks.paper.section import PRETRAINED, SUCCESS_COLUMNS, Section, successes, text
from benchmarks.sheets import Sheet

FAMILIES = {"tiny-sd3": "flow matching", "tiny-sdxl": "DDIM"}
"""The models, and how they draw."""
LEARNED = ("blue-rose", "black-cat")
LEARNERS = ("hero", "hero+")

NOTE = """
Models in the formats of Stable Diffusion 3 and SDXL that the tiny world taught, with the tiny
preset's settings, which were found on the bundled model and changed for none of these; 512 labels;
success as in Table 2. *By epoch*: the success of each epoch's batch, mean over the seeds.
"""


def cells() -> dict[tuple[str, str, str], Cell]:
    """By model, task and method."""
    return {
        (model, task, method): Cell(
            f"{model}/{task}/{method}", TASKS[task], {**METHODS[method], "model": model}
        )
        for model in FAMILIES
        for task in LEARNED
        for method in LEARNERS
    }


def sheet(rows: Rows) -> Sheet:
    """A row a model, task and method."""
    table = Sheet(
        "Other families of models",
        [
            "model",
            "process",
            "task",
            "method",
            "seeds",
            "N(0, I), pretrained",
            *SUCCESS_COLUMNS,
            "by epoch",
        ],
        words=4,
    )
    for (model, task, method), cell in cells().items():
        if found := rows.get(cell.name):
            batches = zip(*(row["success_by_epoch"] for row in found), strict=True)
            by_epoch = " ".join(
                f"{sum(each) / len(each):.2f}".removeprefix("0") for each in batches
            )
            before = text(found, f"success_{PRETRAINED}")
            table.add(
                model,
                FAMILIES[model],
                task,
                method,
                len(found),
                before,
                *successes(found),
                by_epoch,
            )
    return table


def section() -> Section:
    """For the page."""
    return Section("families", list(cells().values()), sheet, NOTE)
