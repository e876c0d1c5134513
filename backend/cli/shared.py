"""What the commands share: the app, its consoles, and how errors are shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from backend.errors import HeroServiceError, RunNotFound
from backend.settings import Settings, protect
from backend.store import Run, Store

out = Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)


_USAGE_ERROR: Any = typer.BadParameter.__base__
"""Typer names only its children: an option or a command that is not there, a wrong value."""


class _Sentences(TyperGroup):
    """Errors are one sentence on stderr and an exit status, never a traceback; the help goes panel
    by panel."""

    def list_commands(self, ctx: Any) -> list[str]:
        def panel(name: str) -> int:
            return PANELS.index(getattr(self.commands[name], "rich_help_panel", ""))

        return sorted(self.commands, key=panel)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except HeroServiceError as error:
            err.print(f"[bold red]Error:[/] {escape(str(error))}")
            raise typer.Exit(error.exit_status) from None
        except OSError as error:
            if error.filename is None:
                raise
            err.print(
                f"[bold red]Error:[/] Cannot use {escape(str(error.filename))}: {error.strerror}; "
                "choose a place that can be written, with HERO_HOME or the command's option."
            )
            raise typer.Exit(1) from None
        except _USAGE_ERROR as error:
            place = error.ctx.command_path.split() if error.ctx else []
            command = " ".join(["hero", *place[1:]])
            said = error.format_message().replace("Value error, ", "").rstrip(".")
            joint = "" if said.endswith("?") else ";"
            err.print(
                f"[bold red]Error:[/] {escape(said)}{joint} `{command} --help` shows what there is."
            )
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            err.print("Stopped.")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Sentences,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Teach an image model from a few hundred judgements made in Label Studio.\n\n"
    "First time: `hero demo` shows a whole run with simulated annotators. With people: `hero up`, "
    "and in another terminal `hero start --prompt '...'`.",
)


def _print_version(asked: bool) -> None:
    if asked:
        out.print(f"hero {version('hero-label-studio')}")
        raise typer.Exit


@app.callback()
def before_any_command(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """What comes before any command."""


RunId = Annotated[
    str,
    typer.Argument(metavar="RUN", help="The run's id, the first letters of it, or latest."),
]
STARTING, RUNS, LOOKING = "Starting", "Runs", "Looking"
MODEL, TEAM, FLEET = "The fine-tuned model", "Teams", "On several machines"
PANELS = (STARTING, RUNS, LOOKING, MODEL, TEAM, FLEET)
"""The panels of `hero --help`, in their order."""


@contextmanager
def open_store(settings: Settings | None = None) -> Iterator[Store]:
    """The database, closed again after the command."""
    settings = settings or Settings.load()
    protect(settings.home)
    store = Store.open(settings)
    try:
        yield store
    finally:
        store.close()


def find_run(store: Store, run_id: str) -> Run:
    """A run by what a person typed; an error names the runs there are."""
    try:
        return store.run(run_id)
    except RunNotFound:
        known = ", ".join(run.id for run in store.runs()[:10])
        there = f"the runs are: {known}" if known else "there is no run yet; `hero start` makes one"
        raise RunNotFound(f"There is no run whose id begins with {run_id!r}: {there}.") from None
