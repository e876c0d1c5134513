"""HERO on the bundled tiny model, labelled by people who err.

    python -m benchmarks.annotator_errors [--seeds 1,2,3] [--quick]

Three simulated annotators with an error rate of 0, 0.1, 0.2 or 0.3, or an adversary beside two with
an error rate of 0.1; their votes are merged by each of the service's policies. For comparison one
annotator with each error rate. Success is what the judge says of 200 images from pi_HERO (`bank`),
of 200 from N(0, I) (`normal`) and of the last epoch's batch. Finished runs are kept beside the
result file, so that an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args

from backend.run.labelling import Labelling, Policy
from benchmarks.cells import (
    MEASURES,
    Cell,
    by_epoch,
    lost,
    options,
    run_cells,
    success,
    write,
)
from benchmarks.intervals import Mean
from benchmarks.jobs import console
from benchmarks.kept_runs import Row
from benchmarks.plots import GREY, Panel, draw, line_of
from benchmarks.sheets import Sheet, share
from benchmarks.voting import Person

POLICIES: tuple[Policy, ...] = get_args(Policy)
ONE = "one annotator"
PERFECT = "0"
ADVERSARY = "adversary"
ERROR_RATES = (0.1, 0.2, 0.3)
TEAMS: dict[str, tuple[Person, ...]] = {
    **{str(rate): (Person(rate),) * 3 for rate in ERROR_RATES},
    ADVERSARY: (Person(adversary=True), Person(0.1), Person(0.1)),
}
"""Three people, by what is wrong with them."""
QUICK_CELLS = ("errors 0", "errors 0.2, majority", "errors 0.2, dawid-skene")


def cells() -> list[Cell]:
    """All cells, the decisive ones first.

    Where nobody errs three annotators say what one says, and every policy merges equal votes to
    the same verdict: one cell stands for all of these.
    """
    perfect = Cell(name(PERFECT), evaluated=("pretrained", *MEASURES))
    singles = {rate: Cell(name(str(rate), ONE), people=(Person(rate),)) for rate in ERROR_RATES}
    teams = {
        (level, policy): Cell(
            name(level, policy),
            people=people,
            labelling=Labelling(annotators_per_image=len(people), consensus=policy),
        )
        for level, people in TEAMS.items()
        for policy in POLICIES
    }
    first = [perfect, teams["0.2", "majority"], teams["0.2", "dawid-skene"], singles[0.2]]
    rest = [
        teams[level, policy]
        for policies in (("majority", "dawid-skene"), ("any-good", "all-good"))
        for level in TEAMS
        for policy in policies
    ]
    everything = [*first, *rest, *singles.values()]
    return list({cell.name: cell for cell in everything}.values())


def name(level: str, policy: str = "") -> str:
    """Of a cell."""
    people = f"errors {level}" if level != ADVERSARY else "an adversary and two with errors 0.1"
    return f"{people}, {policy}" if policy else people


def table_rows() -> list[tuple[str, str, str]]:
    """Level, policy and cell of each row of the table."""
    rows = [(PERFECT, "one annotator, or three by any policy", name(PERFECT))]
    for level in TEAMS:
        policies = [*([ONE] if level != ADVERSARY else []), *POLICIES]
        rows += [(level, policy, name(level, policy)) for policy in policies]
    return rows


def sheet(runs: dict[str, list[Row]], prompt: str) -> Sheet:
    """The table: a row a cell that was run."""
    drawn = Sheet(
        title=f"HERO with annotators who err, tiny model, “{prompt}”",
        header=[
            "errors",
            "policy",
            "seeds",
            "bank",
            "normal",
            "last batch",
            "bank, less perfect",
            "normal, less perfect",
            "right verdicts",
            "good bests",
        ],
        words=2,
    )
    perfect = runs.get(name(PERFECT))
    for level, policy, cell in table_rows():
        if cell not in runs:
            continue
        rows = runs[cell]
        less = [
            lost(rows, perfect, measure).text(signed=True)
            if perfect and rows is not perfect
            else None
            for measure in MEASURES
        ]
        drawn.add(
            "adversary; 0.1, 0.1" if level == ADVERSARY else level,
            policy,
            len(rows),
            *(Mean.of(success(rows, measure)).text() for measure in (*MEASURES, "last")),
            *less,
            share(by_epoch(rows, "accuracy")),
            share(by_epoch(rows, "best_good")),
        )
    return drawn


def summary(rows: list[Row]) -> dict[str, Any]:
    """A cell's figures for the result file."""
    figures: dict[str, Any] = {}
    for measure in (*MEASURES, "last"):
        figures[f"success_{measure}"] = dataclasses.asdict(Mean.of(success(rows, measure)))
    figures["verdict_accuracy"] = by_epoch(rows, "accuracy")
    figures["best_good"] = by_epoch(rows, "best_good")
    return figures


def plot(runs: dict[str, list[Row]], path: Path) -> None:
    """Success by error rate, a line a policy, for both kinds of noise."""
    levels = [PERFECT, *TEAMS]
    perfect = runs.get(name(PERFECT), [])
    panels = []
    for measure in MEASURES:
        lines = []
        for number, policy in enumerate([ONE, *POLICIES]):
            points = {
                level: (at + 0.06 * (number - 2), Mean.of(success(rows, measure)))
                for at, level in enumerate(levels)
                if (rows := perfect if level == PERFECT else runs.get(name(level, policy)))
            }
            label, colour = (policy, GREY) if policy == ONE else (f"three, {policy}", f"C{number}")
            beside = points.pop(ADVERSARY, None)
            if points:
                lines.append(line_of(label, colour, list(points.values())))
            if beside:
                lines.append(line_of(label, colour, [beside], named=not points))
        pretrained = [row["success_pretrained"] for row in perfect]
        panels.append(
            Panel(measure, lines, {"pretrained": Mean.of(pretrained)} if pretrained else {})
        )
    names = {level: level for level in levels} | {ADVERSARY: "adversary;\n0.1, 0.1"}
    draw(panels, path, "error rate of each annotator", dict(enumerate(names.values())))


NOTE = """
*Less perfect*: mean of the differences to the run with the same seed and an annotator without
errors. *Right verdicts*: share of the merged verdicts with which the judge agrees, over all epochs;
*good bests*: share of the best images that the judge calls good.
"""


def main() -> None:
    said, screen = options(__doc__, "annotator_errors"), console()
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
