"""How runs stand, and whether all is well."""

from typing import Annotated

import typer

from backend.cli.shared import LOOKING, RunId, app, find_run, open_store, out
from backend.settings import Settings, ensure_secrets
from backend.store import LATEST


@app.command(rich_help_panel=LOOKING)
def runs() -> None:
    """List all runs: state, epoch, labels, success so far."""
    from backend.show import run_view, terminal

    with open_store() as store:
        views = [run_view.read(store, run.id) for run in store.runs()]
    if not views:
        out.print(
            f"There is no run in {Settings.load().home} yet: `hero start --prompt '...'` starts "
            "one; runs of another folder show where HERO_HOME names it."
        )
        return
    terminal.show_overview(views, out)
    pages = f"\nAs pages: {Settings.load().page_url()} (`hero link` lets a browser in)"
    out.print(pages, style="dim", soft_wrap=True)


@app.command(rich_help_panel=LOOKING)
def status(
    run_id: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A run. Without it, all runs are listed."),
    ] = None,
) -> None:
    """Show a run: its state, its labels, what it waits for and its success so far."""
    from backend.show import run_view, terminal

    if run_id is None:
        runs()
        return
    settings = Settings.load()
    with open_store(settings) as store:
        view = run_view.read(store, find_run(store, run_id).id)
    out.print(terminal.render(view))
    out.print(f"  As a page: {settings.page_url(view.run.id)}\n", style="dim", soft_wrap=True)


@app.command(rich_help_panel=LOOKING)
def link(
    run_id: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="A run. Without it, the list of all runs."),
    ] = None,
    label: Annotated[
        bool,
        typer.Option(
            "--label",
            help="For somebody who labels: it opens the page to label on (of the newest run), and "
            "lets them look at the others, but change nothing.",
        ),
    ] = False,
) -> None:
    """Print a link that opens the run pages in a browser.

    It leads in once, within a day; the browser is remembered for a month. Who comes by it may start
    runs and steer them, unless it is one with --label.
    """
    from backend.dashboard import access

    settings = ensure_secrets(Settings.load())
    with open_store(settings) as store:
        run = find_run(store, run_id or LATEST).id if run_id or label else ""
    role = access.Role.guest if label else access.Role.owner
    out.print(access.link(settings, run, to_label=label, role=role), soft_wrap=True)


@app.command(rich_help_panel=LOOKING)
def watch(run_id: RunId = LATEST) -> None:
    """Show a run live. Ctrl-C ends the display; the run itself goes on."""
    from backend.show import terminal

    with open_store() as store:
        terminal.watch(store, find_run(store, run_id).id, out)


@app.command(rich_help_panel=LOOKING)
def doctor(
    model: Annotated[
        str | None,
        typer.Option(
            help="A model to look at and to try for a moment, as --model of `hero start`: says "
            "what an epoch takes, without a run."
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Of a model on the hub: a branch, a tag or a commit.")
    ] = None,
) -> None:
    """Check everything that a run needs, and say how to mend what is missing."""
    from backend.doctor import examine, show

    if not show(examine(Settings.load(), model, revision), out):
        raise typer.Exit(1)
