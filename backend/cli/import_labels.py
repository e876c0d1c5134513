"""`hero import-labels`: a run that begins with pictures that people judged earlier."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli.shared import STARTING, app, out
from backend.cli.start import start, start_by

PICTURES = "The pictures"


def with_options_of(command: Callable[..., None]) -> Callable[[Callable[..., None]], Any]:
    """A command that takes another one's options, too, as its keywords."""

    def more(function: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        theirs = [p for p in inspect.signature(command).parameters.values() if p.name != "words"]
        function.__signature__ = own.replace(parameters=[*kept, *theirs])  # type: ignore[attr-defined]
        return function

    return more


@app.command(rich_help_panel=STARTING)
@with_options_of(start)
def import_labels(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder with good/ and bad/, and best/ with one picture if you like; or a JSON "
            "export of Label Studio."
        ),
    ],
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            rich_help_panel=PICTURES,
            help="Of an export: the folder that holds its images. Default: that of the export.",
        ),
    ] = None,
    good: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            rich_help_panel=PICTURES,
            help="Of an export: what people chose for good images. May be repeated, as the next "
            "three. Default: good.",
        ),
    ] = None,
    bad: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", rich_help_panel=PICTURES, help="For bad ones. Default: bad."),
    ] = None,
    best: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD", rich_help_panel=PICTURES, help="For the best one. Default: best."
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD", rich_help_panel=PICTURES, help="For images that shall be left out."
        ),
    ] = None,
    **said: Any,
) -> None:
    """Start a run from pictures of your own that people judged earlier.

    The run first learns from them, as its epoch 1; then it draws, and people label, as after `hero
    start`, whose options it takes. The pictures may be of any size: they are turned upright, cut in
    the middle to the shape of the model's images, and scaled. If something is wrong, nothing is
    left behind.
    """
    from backend.labels.judged_export import Words
    from backend.starting.importing import read_source

    chosen = {"good": good, "bad": bad, "best": best, "skip": skip}
    words = Words(**{name: tuple(each) for name, each in chosen.items() if each})
    read = partial(read_source, source, words, pictures)
    out.print(start_by({"words": None, **said}, read), soft_wrap=True)
