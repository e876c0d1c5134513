"""What a run has learned: images drawn with it, files to take away."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from backend import exports
from backend.cli.shared import MODEL, RunId, app, err, find_run, open_store, out
from backend.settings import Settings


@app.command(rich_help_panel=MODEL)
def generate(
    run_id: RunId,
    n: Annotated[int, typer.Option("-n", min=1, help="How many images.")] = 16,
    prompt: Annotated[
        str | None, typer.Option(help="Another prompt than the run's, to see what transfers.")
    ] = None,
    noise: Annotated[
        Literal["bank", "normal"],
        typer.Option(help="bank: round the noises that gave good images; normal: fresh."),
    ] = "normal",
    scheduler: Annotated[
        str | None, typer.Option(help="Another sampler than the run's DDIM, such as dpm++.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same images.")] = 0,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Where the PNGs and grid.png go.")
    ] = None,
) -> None:
    """Draw images with the model as the run has taught it so far."""
    from backend.exports.drawing import draw

    settings = Settings.load()
    with open_store(settings) as store:
        run = find_run(store, run_id)
    made = draw(
        settings,
        run,
        n,
        prompt=prompt,
        noise=noise,
        scheduler=scheduler,
        seed=seed,
        folder=folder,
        console=err,
    )
    out.print(f"{n} images and grid.png are in {made}", soft_wrap=True, markup=False)


_KINDS = "\n".join(
    f"* **{name}**: {kind.says} ({', '.join(kind.formats)})" for name, kind in exports.KINDS.items()
)


@app.command(
    rich_help_panel=MODEL,
    help="Take a run's results out, for other programs.\n\n"
    f"What there is, and the formats of each:\n\n{_KINDS}\n\n"
    "hf is a folder for `datasets.load_dataset`. Nothing is ever half-written, and what is there "
    "already is only replaced with --force. docs/exports.md describes the columns.",
)
def export(
    run_id: RunId,
    what: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="annotations, verdicts, ... (above).",
        ),
    ] = "lora",
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="One of those named above; the first by default, or what --out ends in.",
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("--out", help="Where it goes; the run's own exports folder by default."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier export of that name.")
    ] = False,
) -> None:
    """Take a run's results out, for other programs."""
    settings = Settings.load()
    with open_store(settings) as store:
        run = find_run(store, run_id)
        exports.choose_format(what, format, target)
        if exports.KINDS[what].fetched and (reason := exports.fetch(settings, store, run)):
            err.print(f"[yellow]Note:[/] what was fetched before is exported. {escape(reason)}")
        made = exports.export(settings, store, run, what, format, target, force=force)
    out.print(f"Wrote {made}", soft_wrap=True, markup=False)
    if what == "lora":
        from backend.exports.lora import how_to_use

        out.print(how_to_use(made), soft_wrap=True, markup=False, highlight=False)
