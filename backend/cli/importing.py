"""`hero import-annotations`: labels made in another Label Studio, or without a network."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from backend.cli.shared import TEAM, RunId, app, err, find_run, open_store, out
from backend.settings import Settings


@app.command(rich_help_panel=TEAM)
def import_annotations(
    run_id: RunId,
    file: Annotated[Path, typer.Argument(help="A JSON export of Label Studio.")],
    annotators: Annotated[
        list[str] | None,
        typer.Option(
            "--annotator",
            metavar="[WHO=]EMAIL",
            help="Whose labels they are here. EMAIL alone: all of them; WHO=EMAIL, which may be "
            "repeated: those by the person whom the file calls WHO, by number or address. Needed "
            "where the file's people have other accounts here.",
        ),
    ] = None,
) -> None:
    """Import labels from a JSON export of Label Studio.

    They are made in the run's own project, under the people who labelled. Importing a file twice
    makes nothing twice. What cannot be imported is named, with the reason.
    """
    from backend.label_studio import Gateway
    from backend.labels import collect, import_annotations

    settings = Settings.load()
    with open_store(settings) as store:
        run = find_run(store, run_id)
        gateway = Gateway(settings)
        plan = import_annotations.plan(store, gateway, run, file, annotators or ())
        with Progress(console=err, transient=True) as progress:
            task = progress.add_task("importing", total=len(plan.new))
            import_annotations.carry_out(
                gateway, plan, lambda done: progress.update(task, completed=done)
            )
        collect.reconcile(store, gateway, run)
        emails = gateway.emails()
    people = import_annotations.count_by_person(plan, emails)
    said = ", ".join(f"{count} by {email}" for email, count in people.items())
    out.print(f"Imported {len(plan.new)} annotations{f': {said}' if said else ''}.", markup=False)
    if plan.present:
        since = f", {plan.changed} of them changed since and left so" if plan.changed else ""
        out.print(f"{plan.present} were there already{since}.")
    for reason in plan.reasons:
        err.print(f"[yellow]Left out:[/] {escape(reason)}.")
    for email in people:
        if not run.labelling.may_vote(email):
            err.print(
                f"[yellow]Note:[/] votes of {escape(email)} do not count in this run; it was "
                "started with --annotators."
            )
