"""How far the annotators of a run agree."""

import json
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from backend.cli.shared import TEAM, RunId, app, find_run, open_store, out
from backend.errors import BadInput
from backend.labels.agreement import Agreement, Person, RunAgreement, of_run
from backend.labels.doubts import MOST_IN_A_MINUTE
from backend.store import LATEST


@app.command(rich_help_panel=TEAM)
def agreement(
    run_id: RunId = LATEST,
    epoch: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Only this epoch, counted from 1 as in `hero status`."
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON for programs."),
    ] = False,
) -> None:
    """Show how much the annotators of a run agree, and how each of them labels."""
    with open_store() as store:
        run = find_run(store, run_id)
        found = of_run(store.annotations(run.id), store.epochs(run.id), run.labelling)
    if not found.run.people:
        where = f" at {run.project_url}" if run.project_url else ""
        raise BadInput(
            f"Cannot show the agreement of the run {run.id}: it has no labels that count yet; "
            f"label some images{where}, then ask again."
        )
    if epoch is not None and epoch - 1 not in found.epochs:
        there = ", ".join(str(number + 1) for number in found.epochs)
        raise BadInput(
            f"Cannot show the agreement in epoch {epoch}: nobody has labelled it; epochs with "
            f"labels: {there}."
        )
    shown = found.run if epoch is None else found.epochs[epoch - 1]
    if as_json:
        said = found.to_dict() if epoch is None else shown.to_dict()
        out.print_json(json.dumps(said, allow_nan=False))
        return
    out.print()
    out.print(Text(run.in_words, style="bold"), Text(f"  {run.id}", style="dim"))
    out.print(_in_words(shown))
    if shown.compared:
        out.print()
        out.print(_figures(found, epoch))
        out.print(
            "\nagree: equal pairs of votes on good and bad, then on good, bad and best. alpha is "
            "Krippendorff's: 1 is full agreement, 0 what chance would give; 0.80 is reliable, 0.67 "
            "the least for tentative conclusions.",
            style="dim",
        )
    out.print()
    out.print(_people(shown))
    for person in shown.people:
        if person.too_quick:
            out.print(f"\n{_doubted(person)}", markup=False)


def _in_words(shown: Agreement) -> str:
    if len(shown.people) == 1:
        return (
            f"Only {shown.people[0].name} labelled, so there is nobody to agree or disagree with. "
            "For that, start a run with --annotators-per-image 2 or more."
        )
    people = f"{len(shown.people)} people judged {shown.images} images"
    if not shown.compared:
        return (
            f"{people}, but none of them was judged by two people, so nothing can be compared. For "
            "that, start a run with --annotators-per-image 2 or more."
        )
    return (
        f"{people}, {shown.compared} of them by two or more; on {shown.differing} good stands "
        "against bad."
    )


def _figures(found: RunAgreement, epoch: int | None) -> Table:
    table = _table(
        *("", "images", "shared", "differ", "agree", "alpha", "agree on best too", "alpha")
    )
    rows = [(f"epoch {number + 1}", row) for number, row in found.epochs.items()]
    if epoch is not None:
        rows = [(name, row) for name, row in rows if name == f"epoch {epoch}"]
    else:
        rows.append(("run", found.run))
    for name, row in rows:
        table.add_row(
            Text(name, style="bold" if name == "run" else ""),
            str(row.images),
            str(row.compared),
            str(row.differing),
            _share(row.percent_good_bad),
            _number(row.alpha_good_bad),
            _share(row.percent),
            _number(row.alpha),
        )
    return table


def _doubted(person: Person) -> str:
    return (
        f"{person.name} judged {person.too_quick} images quicker than people do (more than "
        f"{MOST_IN_A_MINUTE} labels in a minute): they may have been imported, or made by a "
        "program in this name."
    )


def _people(shown: Agreement) -> Table:
    table = _table(
        *("annotator", "images", "good", "bad", "best"),
        *("right,\nestimated", "seconds\nper image", "bests\ntaken"),
    )
    for person in shown.people:
        table.add_row(*_row(person))
    return table


def _row(person: Person) -> tuple[str, ...]:
    seconds = person.seconds_per_image
    return (
        person.name,
        str(person.images),
        str(person.good),
        str(person.bad),
        str(person.best),
        _share(person.reliability),
        "-" if seconds is None else f"{seconds:.1f}",
        _share(person.bests_taken),
    )


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, overflow="fold")
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
