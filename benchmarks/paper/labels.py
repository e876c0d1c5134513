"""Labels that each method needs for the same success, beside D3PO's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.kept_runs import Row
from benchmarks.paper import curves
from benchmarks.paper.cells import BANKED, METHODS, TASKS, Cell, Rows
from benchmarks.paper.curves import Curve, Needed
from benchmarks.paper.numbers import FEWER_LABELS
from benchmarks.paper.section import BANK, NORMAL, Section
from benchmarks.plots import Panel, draw
from benchmarks.sheets import Sheet
from hero_engine.methods.shared_settings import TrajectorySettings
from hero_engine.methods.table import METHODS as ENGINE_METHODS

TARGET = 0.8
CURVE_IMAGES = 100
REFERENCE = "d3po"
LONGER = {"blue-rose": {"hero": (16, 64), "hero+": (16, 64), "d3po": (32, 64)}}
"""Epochs and images of an epoch, by task and method; hand's are Figure 3's."""

CURVES: dict[str, Callable[[Row], Curve]] = {NORMAL: curves.from_normal, BANK: curves.from_bank}
HEADER = [
    "task",
    "success",
    "method",
    "labels given",
    "N(0, I): labels needed",
    "reached by",
    "times fewer than D3PO",
    "pi_HERO: labels needed",
    "reached by",
    "times fewer than D3PO",
]

NOTE = f"""
Labels until success is first reached on fresh images from N(0, I) ({CURVE_IMAGES} after each epoch,
200 at the end), and on what the method itself draws (pi_HERO). Between two epochs the logarithm of
the labels is interpolated, before the first epoch the labels. Geometric mean over the seeds and its
95 % interval. *At least*, *at most*: some run did not get there with the labels given, and counts
with all of them. *Times fewer*: D3PO's labels on N(0, I), which is all that it draws from, over
the method's. Half of each batch of hero+ is from N(0, I) (`fresh_share`), the other half from
pi_HERO. Both are first passages of noisy curves (standard error about 0.05), so a single high
batch counts. The paper says {FEWER_LABELS.value:.0f} times fewer, on hand, at a success of about a
third, on pi_HERO ({FEWER_LABELS.where}).
"""


def longer(task: str, method: str, epochs: int, images: int) -> Cell:
    """A method's run with as many labels, and its curve on N(0, I)."""
    config = {**METHODS[method], "epochs": epochs}
    if images != 64:
        config["images_per_epoch"] = images
        if issubclass(ENGINE_METHODS[config["method"]].settings, TrajectorySettings):
            config["minibatch_size"] = images // 8
    curve = CURVE_IMAGES if method in BANKED else 0
    name = f"{task}/{method} {epochs}x{images}"
    return Cell(name, TASKS[task], config, curve_images=curve)


def cells_of(plan: Mapping[str, Mapping[str, tuple[int, int]]]) -> dict[tuple[str, str], Cell]:
    """The cells of a plan by task and method."""
    return {
        (task, method): longer(task, method, *size)
        for task, methods in plan.items()
        for method, size in methods.items()
    }


def runs_needed(rows: Sequence[Row], noise: str, target: float) -> list[Needed]:
    """Each seed's labels."""
    return [curves.needed(CURVES[noise](row), target) for row in rows]


def add_target(
    table: Sheet,
    task: str,
    target: float,
    by_method: Mapping[str, Sequence[Row]],
    given: Mapping[str, int],
) -> None:
    """A line a method for one success on one task; `by_method` are the seeds' rows."""
    reference = by_method.get(REFERENCE, [])
    for method, rows in by_method.items():
        line: list[object] = []
        for noise in (NORMAL, BANK):
            if noise == BANK and method not in BANKED:
                line += [None, None, None]
                continue
            runs = runs_needed(rows, noise, target)
            labels = curves.labels_needed(runs)
            line += [labels.text() if labels else "not reached", curves.reached(runs)]
            line.append(
                None if method == REFERENCE else _times_fewer(rows, reference, noise, target)
            )
        table.add(task, target, method, given[method], *line)


def _times_fewer(
    rows: Sequence[Row], reference: Sequence[Row], noise: str, target: float
) -> str | None:
    """Of the seeds that both have."""
    theirs = {row["seed"]: row for row in reference}
    both = [row for row in rows if row["seed"] in theirs]
    if not both:
        return None
    found = curves.times_fewer(
        runs_needed(both, noise, target),
        runs_needed([theirs[row["seed"]] for row in both], NORMAL, target),
    )
    return found.text(1) if found else "neither reached"


def curves_plot(named: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Success by labels, a line a method, on what it draws and on N(0, I)."""
    panels = []
    for noise, title in ((BANK, "what the method draws (pi_HERO)"), (NORMAL, "N(0, I)")):
        lines = [
            curves.line(method, f"C{number}", [CURVES[noise](row) for row in rows])
            for number, (method, rows) in enumerate(named.items())
        ]
        panels.append(Panel(title, lines, {}))
    draw(panels, path, "labels")


def section(hand: Mapping[str, Cell]) -> Section:
    """For the page; `hand` are Figure 3's cells by method."""
    by_key = {**cells_of(LONGER), **{("hand", method): cell for method, cell in hand.items()}}

    def sheet(rows: Rows) -> Sheet:
        table = Sheet(f"Labels needed for {TARGET} success, tiny model", HEADER, words=3)
        for task in (*LONGER, "hand"):
            own = {method: cell for (of, method), cell in by_key.items() if of == task}
            found = {method: rows[cell.name] for method, cell in own.items() if cell.name in rows}
            given = {method: cell.labels for method, cell in own.items()}
            add_target(table, task, TARGET, found, given)
        return table

    def plot(rows: Rows, path: Path) -> None:
        own = {
            method: rows[cell.name]
            for (task, method), cell in by_key.items()
            if task in LONGER and cell.name in rows
        }
        if own:
            curves_plot(own, path)

    return Section("labels", list(by_key.values()), sheet, NOTE, plot)
