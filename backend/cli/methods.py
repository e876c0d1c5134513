"""`hero methods`: what learns from the labels, and what can be set of it."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from backend.cli.shared import LOOKING, app, out


@app.command(rich_help_panel=LOOKING)
def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[METHOD]", help="List this method's settings.")
    ] = None,
    common: Annotated[
        bool, typer.Option("--common", help="List the settings that every run has, too.")
    ] = False,
) -> None:
    """List the methods, or the settings of one method with defaults and an explanation.

    Use a setting with `hero start --set NAME=VALUE`, or under `set:` in a file for `--config`.
    """
    from backend import engine

    if name is None:
        table = Table(box=None, pad_edge=False)
        table.add_column("method", style="bold", no_wrap=True)
        table.add_column("what it is")
        for method, summary in engine.methods().items():
            table.add_row(method, summary)
        out.print(table)
        out.print("`hero methods METHOD` lists a method's settings.", markup=False)
        return
    settings = engine.settings_of(name)
    if common:
        settings = [*engine.common_settings(), *settings]
    for setting in settings:
        out.print(f"[bold]{setting.name}[/] = {escape(_shown(setting))}")
        out.print(Padding(escape(setting.description), (0, 0, 0, 4)))


def _shown(setting: Any) -> str:
    value = setting.default
    if value is None:
        return "(has to be said)" if setting.needed else "(not set)"
    if value == "":
        return "(empty)"
    return f"{value:g}" if isinstance(value, float) else str(value)
