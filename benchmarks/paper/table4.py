"""Table 4: DDPO with a general reward, which knows nothing of the task."""

from __future__ import annotations

from benchmarks.paper.cells import METHODS, TASKS, Cell, Rows, of_task
from benchmarks.paper.numbers import SUCCESS
from benchmarks.paper.section import PRETRAINED, SUCCESS_COLUMNS, Section, successes, text
from benchmarks.paper.table2 import pretrained
from benchmarks.sheets import Sheet

EPOCHS = 50
GENERAL_TASKS = [task for task in TASKS if task != "hand"]
CLEANNESS, PICKSCORE = "ddpo, cleanness", "ddpo, pickscore"

NOTE = f"""
DDPO for {EPOCHS} epochs with HERO's settings, on batches from N(0, I) and without any label. Its
reward here is the judge's margin of cleanness: it was learned from many images and it is a real
preference, but it does not read the prompt and knows nothing of the task. PickScore, as in the
paper, is used only where its weights are given (`--pickscore`). *Paper*: PickScore's DDPO, in the
row of cleanness too, for want of another.
"""


def cells(pickscore: str | None = None) -> dict[tuple[str, str], Cell]:
    """By task and method; `pickscore` is the folder of its weights."""
    found = {}
    for task in GENERAL_TASKS:
        config = {**METHODS["ddpo"], "epochs": EPOCHS}
        found[task, CLEANNESS] = Cell(
            f"{task}/{CLEANNESS}", TASKS[task], config, reward="cleanness"
        )
        if pickscore:
            config |= {"reward_model": "pickscore", "reward_model_path": pickscore}
            found[task, PICKSCORE] = Cell(f"{task}/{PICKSCORE}", TASKS[task], config)
        found[task, "hero"] = of_task(task, "hero")
    return found


def section(pickscore: str | None = None) -> Section:
    """For the page."""
    own = cells(pickscore)

    def sheet(rows: Rows) -> Sheet:
        table = Sheet(
            f"Table 4. DDPO with a general reward for {EPOCHS} epochs, tiny model",
            ["task", "method", "labels", "seeds", *SUCCESS_COLUMNS, "paper"],
            words=2,
        )
        for task in GENERAL_TASKS:
            if before := pretrained(rows, task):
                drawn = text(before, f"success_{PRETRAINED}")
                paper = SUCCESS[PRETRAINED][task].text()
                table.add(task, PRETRAINED, 0, len(before), None, drawn, paper)
            for (of, method), cell in own.items():
                if of == task and (found := rows.get(cell.name)):
                    paper = SUCCESS[method.split(",")[0]][task].text()
                    table.add(task, method, cell.labels, len(found), *successes(found), paper)
        return table

    return Section("table4", list(own.values()), sheet, NOTE)
