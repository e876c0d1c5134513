"""What a run has learned: images drawn with it, files to take away."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from backend import exports
from backend.cli.shared import MODEL, RunId, app, err, find_run, open_store, out
from backend.errors import BadInput
from backend.settings import Settings
from backend.store import LATEST


@app.command(rich_help_panel=MODEL)
def generate(
    run_id: RunId = LATEST,
    n: Annotated[int, typer.Option("-n", min=1, help="How many images.")] = 16,
    prompt: Annotated[
        str | None, typer.Option(help="Use this prompt instead of the run's.")
    ] = None,
    noise: Annotated[
        Literal["bank", "normal"],
        typer.Option(
            help="bank: start near the noises of good images. normal: start from fresh noise."
        ),
    ] = "normal",
    scheduler: Annotated[
        str | None, typer.Option(help="Use this sampler instead of the run's own, such as dpm++.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same images.")] = 0,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for the PNGs and grid.png.")
    ] = None,
) -> None:
    """Draw images with what the model has learned so far."""
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
    each = " of each prompt" if prompt is None and len(run.prompts) > 1 else ""
    out.print(f"{n} images{each} and grid.png are in {made}", soft_wrap=True, markup=False)


_KINDS = "\n".join(
    f"* **{name}**: {kind.says} ({', '.join(kind.formats)})" for name, kind in exports.KINDS.items()
)


@app.command(
    rich_help_panel=MODEL,
    help="Write a run's results to files for other programs.\n\n"
    f"What you can export, and the formats of each:\n\n{_KINDS}\n\n"
    "hf is a folder for `datasets.load_dataset`; of the LoRA, one for the model hub. A file that "
    "is there already is only replaced with --force. Epochs count from 1 in all of them. "
    "docs/exports.md describes the columns.",
)
def export(
    run_id: RunId = LATEST,
    what: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="What to export: one of the names above.",
        ),
    ] = "lora",
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="One of the formats above. Default: the ending of --out, or else the first.",
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "--out", help="The file or folder to write. Default: in the run's exports folder."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier export of that name.")
    ] = False,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Send the LoRA with a model card to this repository on the Hugging Face hub.",
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="If --push makes a repository, only you see it.")
    ] = False,
) -> None:
    """Write a run's results to files for other programs."""
    settings = Settings.load()
    if private and push is None:
        raise BadInput("--private says who sees what --push sends: say --push OWNER/NAME too.")
    if push is not None:
        _push(settings, run_id, what, format, target, push, force=force, private=private)
        return
    with open_store(settings) as store:
        run = find_run(store, run_id)
        exports.choose_format(what, format, target)
        if exports.KINDS[what].fetched and (reason := exports.fetch(settings, store, run)):
            err.print(f"[yellow]Note:[/] what was fetched before is exported. {escape(reason)}")
        made = exports.export(settings, store, run, what, format, target, force=force)
    out.print(f"Wrote {made}", soft_wrap=True, markup=False)
    if what == "lora":
        from backend.exports.lora_usage import how_to_use

        file = next(made.glob("*.safetensors")) if made.is_dir() else made
        out.print(how_to_use(file), soft_wrap=True, markup=False, highlight=False)


def _push(
    settings: Settings,
    run_id: str,
    what: str,
    format: str | None,
    target: Path | None,
    repository: str,
    *,
    force: bool,
    private: bool,
) -> None:
    from backend.exports import hub_push

    if what != "lora" or format not in (None, "hf"):
        raise BadInput("--push sends the LoRA with its model card: leave --what and --format out.")
    with open_store(settings) as store:
        run = find_run(store, run_id)
        hub_push.check(repository, force=force)
        # An earlier folder of its own is replaced without a word.
        made = exports.export(
            settings, store, run, what, "hf", target,
            force=force or target is None, repository=repository,
        )  # fmt: skip
    out.print(f"Wrote {made}", soft_wrap=True, markup=False)
    message = f"{run.id}, {run.epoch} of {run.epochs} epochs"
    where = hub_push.push(made, repository, message=message, private=private)
    out.print(f"Pushed it: {where}", soft_wrap=True, markup=False)
