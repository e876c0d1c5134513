"""`hero`: argument parsing and one call a command."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from typer.core import TyperGroup

from backend.errors import BadInput, HeroServiceError, RunNotFound
from backend.runs import Event
from backend.settings import Settings
from backend.store import Run, Store

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
out = Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class _Sentences(TyperGroup):
    """Errors of ours are one sentence on stderr and an exit status, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except HeroServiceError as error:
            err.print(f"[bold red]Error:[/] {_escaped(str(error))}")
            raise typer.Exit(error.exit_status) from None
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
    "First time: `hero demo` shows the whole circle with simulated people. With people: `hero up`, "
    "and in another terminal `hero start --prompt '...'`.",
)

RunId = Annotated[
    str,
    typer.Argument(metavar="RUN", help="The run's id, the beginning of it, or latest."),
]
RunsPanel, LookPanel, UsePanel = "Runs", "Looking", "The fine-tuned model"


@app.command(rich_help_panel="Starting")
def up() -> None:
    """Start Label Studio, the backend and the worker, and keep them running until Ctrl-C.

    With LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY set, that Label Studio is used instead of one of
    our own. Everything lives in HERO_HOME (.hero in this folder).
    """
    from backend.up import keep_up

    keep_up(out)


@app.command(rich_help_panel="Starting")
def demo(
    images: Annotated[int, typer.Option(help="Images an epoch.")] = 64,
    epochs: Annotated[int, typer.Option(help="Epochs.")] = 8,
    steps: Annotated[int | None, typer.Option(help="Denoising steps of an image.")] = None,
    seed: Annotated[int, typer.Option(help="Decides every random number of the run.")] = 1,
) -> None:
    """Run the whole circle on this machine, with two simulated people labelling.

    Ends by itself in about six minutes. Ctrl-C stops it; started again, it goes on.
    """
    from backend.demo import Demo, run_demo
    from backend.stack import interruptible

    try:
        with interruptible():
            run_demo(Demo(images, epochs, steps, seed), out)
    except KeyboardInterrupt:
        err.print("Stopped, and nothing is left running; the same command goes on from here.")
        raise typer.Exit(130) from None


@app.command(rich_help_panel=RunsPanel)
def start(
    prompt: Annotated[
        str | None, typer.Option(help="What the images shall show. Each preset has one.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A diffusers pipeline: its folder, or its id on the hub."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Named settings: tiny, hand, blue-rose, black-cat, narcissus, mountain."),
    ] = None,
    images: Annotated[int | None, typer.Option(help="Images an epoch.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps of an image.")] = None,
    trained_steps: Annotated[
        int | None, typer.Option(help="Steps of each image that are trained on (K).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random number.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="Any other hyper-parameter; may be repeated."
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="The project's name in Label Studio; the prompt by default.")
    ] = None,
) -> None:
    """Start a run: its project in Label Studio is made, and the worker draws the first images.

    Without --model and --preset it is a run of the small bundled model, which knows roses and
    hands. Everything is checked first; if something is wrong, nothing is left behind.
    """
    from backend import engine
    from backend.start import start_run

    settings = Settings.load()
    name, fields = _preset_and_fields(
        settings,
        preset,
        setting or [],
        prompt=prompt,
        model=model,
        images_per_epoch=images,
        epochs=epochs,
        num_inference_steps=steps,
        trained_steps=trained_steps,
        seed=seed,
    )
    config = engine.make_config(name, **fields)
    for warning in engine.check(config):
        err.print(f"[yellow]Note:[/] {_escaped(warning)}")
    with _store(settings) as store:
        run = start_run(settings, store, config.model_dump(mode="json"), title)
    out.print(
        f"Run [bold]{run.id}[/] has started: {run.epochs} epochs of {run.images_per_epoch} images, "
        f"{run.epochs * run.images_per_epoch} labels in all.\n"
        f"Label at {run.project_url} once the images are there; `hero watch {run.id}` shows when."
    )


@app.command(rich_help_panel=LookPanel)
def status(run_id: Annotated[str | None, typer.Argument(metavar="[RUN]")] = None) -> None:
    """Show all runs, or one: its state, its labels, what it waits for, its success so far."""
    from backend import screen

    with _store() as store:
        if run_id is not None:
            out.print(screen.render(screen.read(store, _run(store, run_id).id)))
            return
        views = [screen.read(store, run.id) for run in store.runs()]
    if not views:
        out.print("There is no run yet: `hero start --prompt '...'` starts one.")
        return
    out.print(screen.overview(views))


@app.command(rich_help_panel=LookPanel)
def watch(run_id: RunId) -> None:
    """Show a run live until it ends or you press Ctrl-C; the run itself goes on."""
    from backend import screen

    with _store() as store:
        screen.watch(store, _run(store, run_id).id, out)


@app.command(rich_help_panel=RunsPanel)
def pause(run_id: RunId) -> None:
    """Pause a run; labels made meanwhile are kept."""
    _let(run_id, Event.pause)


@app.command(rich_help_panel=RunsPanel)
def resume(run_id: RunId) -> None:
    """Go on with a run that was paused or has failed."""
    _let(run_id, Event.resume)


@app.command(rich_help_panel=RunsPanel)
def stop(run_id: RunId) -> None:
    """End a run for good; what it has learned stays, for `hero generate` and `hero export`."""
    _let(run_id, Event.stop)


@app.command(rich_help_panel=RunsPanel)
def advance(run_id: RunId) -> None:
    """Learn now, from the labels there are, without waiting for the rest of the epoch."""
    from backend import collect
    from backend.label_studio import Gateway

    settings = Settings.load()
    with _store(settings) as store:
        run = _run(store, run_id)
        run = collect.advance(store, Gateway(settings), run)
        counts = store.counts(run.id, run.epoch)
    out.print(
        f"Run {run.id} learns from {counts.labelled} of {counts.total} labels of epoch "
        f"{run.epoch + 1}."
    )


@app.command(rich_help_panel=UsePanel)
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
    from backend.products import draw

    settings = Settings.load()
    with _store(settings) as store:
        run = _run(store, run_id)
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
    out.print(f"{n} images and grid.png are in {made}")


@app.command(rich_help_panel=UsePanel)
def export(
    run_id: RunId,
    what: Annotated[Literal["lora"], typer.Option(help="What to write.")] = "lora",
    folder: Annotated[Path | None, typer.Option("--out", help="Where it goes.")] = None,
) -> None:
    """Write what a run has learned, as a LoRA that diffusers' `load_lora_weights` takes."""
    from backend import engine

    settings = Settings.load()
    with _store(settings) as store:
        run = _run(store, run_id)
    made = engine.export_lora(settings, run, folder or settings.run_dir(run.id) / "exports" / what)
    out.print(f"Wrote {made}")


@app.command(rich_help_panel=LookPanel)
def doctor() -> None:
    """Check everything a run needs, and say what to do about what is missing."""
    from backend.doctor import examine, show

    if not show(examine(Settings.load()), out):
        raise typer.Exit(1)


@contextmanager
def _store(settings: Settings | None = None) -> Iterator[Store]:
    store = Store.open(settings or Settings.load())
    try:
        yield store
    finally:
        store.close()


def _run(store: Store, run_id: str) -> Run:
    try:
        return store.run(run_id)
    except RunNotFound:
        known = ", ".join(run.id for run in store.runs()[:10])
        there = f"the runs are: {known}" if known else "there is no run yet; `hero start` makes one"
        raise RunNotFound(f"There is no run whose id begins with {run_id!r}: {there}.") from None


def _let(run_id: str, event: Event) -> None:
    with _store() as store:
        run = store.transition(_run(store, run_id).id, event)
    out.print(f"Run {run.id} is {run.state} now.")


def _preset_and_fields(
    settings: Settings, preset: str | None, assignments: list[str], **options: Any
) -> tuple[str | None, dict[str, Any]]:
    """The preset (the bundled model's if neither preset nor model is said) and what replaces it."""
    fields = {name: value for name, value in options.items() if value is not None}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise BadInput(f"Cannot read --set {assignment!r}: write it as --set field=value.")
        fields[name.strip()] = value.strip()
    if preset is None and "prompt" not in fields:
        raise BadInput("Cannot start a run without a prompt: say --prompt '...', or a --preset.")
    if preset is None and "model" not in fields:
        if settings.model:
            fields["model"] = settings.model
        else:
            preset = "tiny"
    if "model" in fields and Path(fields["model"]).exists():
        fields["model"] = str(Path(fields["model"]).absolute())
    if settings.mixed_precision:
        fields.setdefault("mixed_precision", settings.mixed_precision)
    return preset, fields


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
