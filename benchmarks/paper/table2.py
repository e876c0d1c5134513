"""Table 2: five tasks by every method, 512 labels."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.kept_runs import Row
from benchmarks.paper.cells import TASKS, Cell, Rows, enhanced, of_task
from benchmarks.paper.numbers import SUCCESS
from benchmarks.paper.section import (
    PRETRAINED,
    SUCCESS_COLUMNS,
    Section,
    last_batch,
    successes,
    text,
)
from benchmarks.sheets import Sheet

TRAINED = ("hero", "d3po", "hero+", "dreambooth")
AUTHORS_CLIP = {"d3po_clip": 0.1}
"""Of their configuration; with it D3PO collapses in nearly every run."""
ORDER = ("enhanced prompt", "dreambooth", "d3po d3po_clip=0.1", "d3po", "hero", "hero+")

NOTE = """
Each seed is another annotator: all agree on what is good, each calls another image best (the
cleanest, the biggest subject, the palest). Success on 200 images from pi_HERO, as in the paper, and
on 200 from N(0, I); methods without a noise bank have only these. *Last batch*: the 64 images of
the last epoch, which the paper's Table 2 reports; for methods that draw from N(0, I) it is from
there. The enhanced prompts are ours. *Paper*: Stable Diffusion 1.5; hand is its Sec. 5.1, where
HERO had 1,152 labels and D3PO 5,000. A dash there: its text has no such figure.
"""


def cells() -> list[Cell]:
    """HERO and D3PO of every task first."""
    trained = [of_task(task, method) for method in TRAINED for task in TASKS]
    decisive = 2 * len(TASKS)
    unheld = [of_task(task, "d3po", **AUTHORS_CLIP) for task in TASKS]
    return [*trained[:decisive], *map(enhanced, TASKS), *trained[decisive:], *unheld]


def pretrained(rows: Rows, task: str) -> Sequence[Row]:
    """Rows of a task that have the pretrained model's success; the same in each of its cells."""
    for name, found in rows.items():
        if name.startswith(f"{task}/") and f"success_{PRETRAINED}" in found[0]:
            return found
    return []


def sheet(rows: Rows) -> Sheet:
    """The table: a row a task and method."""
    table = Sheet(
        "Table 2. Success after 512 labels, tiny model",
        ["task", "method", "labels", "seeds", *SUCCESS_COLUMNS, "last batch", "paper"],
        words=2,
    )
    known = {cell.name: cell for cell in cells()}
    for task in TASKS:
        before = pretrained(rows, task)
        if before:
            found = text(before, f"success_{PRETRAINED}")
            said = SUCCESS[PRETRAINED][task].text()
            table.add(task, PRETRAINED, 0, len(before), None, found, None, said)
        for method in ORDER:
            name = f"{task}/{method}"
            if name not in rows:
                continue
            paper = SUCCESS.get(method, {}).get(task)
            table.add(
                task,
                method,
                known[name].labels,
                len(rows[name]),
                *successes(rows[name]),
                last_batch(rows[name]),
                paper.text() if paper else None,
            )
    return table


def section() -> Section:
    """For the page."""
    return Section("table2", cells(), sheet, NOTE)
