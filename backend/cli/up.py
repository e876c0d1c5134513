"""`hero up` and `hero demo`: everything on this machine."""

from typing import Annotated

import typer

from backend.cli.shared import STARTING, app, err, out


@app.command(rich_help_panel=STARTING)
def up() -> None:
    """Start Label Studio, the backend and the worker, and keep them running until Ctrl-C.

    With LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY set, that Label Studio is used instead of one of
    our own. Everything lives in HERO_HOME (.hero in this folder).
    """
    from backend.local.up import keep_up

    keep_up(out)


@app.command(rich_help_panel=STARTING)
def demo(
    images: Annotated[int, typer.Option(help="Images per epoch.")] = 64,
    epochs: Annotated[int, typer.Option(help="How many batches are drawn and labelled.")] = 8,
    steps: Annotated[int | None, typer.Option(help="Denoising steps per image.")] = None,
    seed: Annotated[int, typer.Option(help="Decides every random number of the run.")] = 1,
    method: Annotated[
        str | None,
        typer.Option(help="What learns from the labels: hero+ (the default) or hero, the paper's."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="One of the bundled models: tiny, tiny-sd3 or tiny-sdxl.")
    ] = "tiny",
) -> None:
    """Show a whole run on this machine, labelled by two simulated annotators.

    Takes about eight minutes with the model tiny. Ctrl-C stops it; start it again and it goes on.
    """
    from backend.local.demo import Demo, run_demo
    from backend.local.stack import interruptible

    try:
        with interruptible():
            run_demo(Demo(images, epochs, steps, seed, method, model), out)
    except KeyboardInterrupt:
        err.print("Stopped, and nothing is left running; the same command goes on from here.")
        raise typer.Exit(130) from None
