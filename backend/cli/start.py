"""`hero start`: what a run shall be."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from backend.cli.shared import STARTING, app, err, open_store, out
from backend.errors import BadInput
from backend.run.labelling import Labelling, Layout, Order, Policy
from backend.run.records import Run
from backend.settings import Settings, ensure_secrets
from backend.store import Store

if TYPE_CHECKING:
    from backend.engine import Forecast, RunConfig
    from backend.starting.going_on import Inherited

TEACH, DRAW, LABEL, ELSE = "What to teach", "How it draws and learns", "How people label", "Other"
"""The panels of `hero start --help`."""


@app.command(rich_help_panel=STARTING)
def start(
    words: Annotated[
        str | None,
        typer.Argument(metavar="[PROMPT]", help="What the images should show, as --prompt."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(rich_help_panel=TEACH, help="What the images should show. Presets have one."),
    ] = None,
    criteria: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=TEACH,
            help="What makes an image good. Annotators see it above the image.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=TEACH,
            help="A named set of settings: tiny, hand, blue-rose, black-cat, narcissus, mountain.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=TEACH,
            help="The model: tiny, a folder with a diffusers pipeline, an id on the hub, or one "
            ".safetensors file with a whole model.",
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=TEACH, help="Of a model on the hub: a branch, a tag or a commit."
        ),
    ] = None,
    from_run: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN[:EPOCH]",
            rich_help_panel=TEACH,
            help="Go on with the model that another run has learned. All that is not said is as "
            "in that run; prompt, criteria and people may be others.",
        ),
    ] = None,
    with_labels: Annotated[
        bool,
        typer.Option(
            "--with-labels",
            rich_help_panel=TEACH,
            help="With --from: learn from the labels of that run, too (hero+).",
        ),
    ] = False,
    images: Annotated[
        int | None, typer.Option(rich_help_panel=DRAW, help="Images per epoch.")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(rich_help_panel=DRAW, help="How many batches are drawn and labelled."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            rich_help_panel=DRAW,
            help="End the run early, once the labels prove that at least this share of the images "
            "is good: 0.95 (the default of hero+), another share, or never.",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROMPT",
            rich_help_panel=TEACH,
            help="A prompt that shall stay as it is (hero+). May be repeated. Left out, prompts "
            "next to the run's own are kept: fewer, more, another colour. none keeps none.",
        ),
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=DRAW,
            help="Height of the images in pixels; the model's own if left out.",
        ),
    ] = None,
    width: Annotated[
        int | None, typer.Option(rich_help_panel=DRAW, help="Width of the images in pixels.")
    ] = None,
    memory: Annotated[
        Literal["auto", "high", "low", "8-bit", "4-bit"] | None,
        typer.Option(
            metavar="LEVEL",
            rich_help_panel=DRAW,
            help="How the model is held in memory: high, low (slower, takes much less), 8-bit, "
            "4-bit. Default: auto, the first of these that fits.",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(rich_help_panel=DRAW, help="Denoising steps per image.")
    ] = None,
    trained_steps: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=DRAW,
            help="How many denoising steps of each image hero, d3po and ddpo learn from (K).",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=DRAW,
            help="What learns from the labels: hero (the paper's, and the default), hero+ (the "
            "default of the preset tiny), or another that `hero methods` lists.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(rich_help_panel=DRAW, help="Decides every random number.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            rich_help_panel=DRAW,
            help="Any other setting (`hero methods METHOD` lists them). May be repeated.",
        ),
    ] = None,
    layout: Annotated[
        Layout | None,
        typer.Option(
            metavar="LAYOUT",
            rich_help_panel=LABEL,
            help="image (the default): one task per image. gallery: one page per epoch with all "
            "its images.",
        ),
    ] = None,
    annotators_per_image: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=LABEL,
            help="How many people judge each image. Default: 1.",
        ),
    ] = None,
    annotators: Annotated[
        str | None,
        typer.Option(
            metavar="EMAIL,...",
            rich_help_panel=LABEL,
            help="Only the votes of these people count. Default: everybody's.",
        ),
    ] = None,
    adjudicators: Annotated[
        str | None,
        typer.Option(
            metavar="EMAIL,...",
            rich_help_panel=LABEL,
            help="The vote of one of these people decides an image alone.",
        ),
    ] = None,
    consensus: Annotated[
        Policy | None,
        typer.Option(
            metavar="POLICY",
            rich_help_panel=LABEL,
            help="How several votes become one verdict: majority (the default), any-good, "
            "all-good, dawid-skene.",
        ),
    ] = None,
    order: Annotated[
        Order | None,
        typer.Option(
            metavar="ORDER",
            rich_help_panel=LABEL,
            help="What people see first, from the second epoch on: sequential (the default), "
            "uncertain, best-first.",
        ),
    ] = None,
    label_budget: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=LABEL,
            help="From the second epoch on, ask people about only N images. The model judges "
            "the rest.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=ELSE,
            help="A YAML file with any of these options. Options given here win.",
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=ELSE, help="The project's name in Label Studio. Default: the prompt."
        ),
    ] = None,
    project: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            rich_help_panel=ELSE,
            help="Use this empty Label Studio project instead of a new one.",
        ),
    ] = None,
    no_trial: Annotated[
        bool,
        typer.Option(
            "--no-trial",
            rich_help_panel=ELSE,
            help="Do not try the model first. Then nothing is said of what an epoch takes, and "
            "the worker finds batch sizes that are auto, before the first images.",
        ),
    ] = False,
) -> None:
    """Start a run: make its project in Label Studio and draw the first images.

    Without --model and --preset, the run uses the small bundled model. Everything is checked first,
    and the model is tried for a moment, to say how long an epoch takes and how much memory.
    If something is wrong, nothing is left behind.
    """
    if words is not None and prompt is not None:
        raise BadInput("Cannot start a run with two prompts: say one, with or without --prompt.")
    options = {
        "prompt": prompt if words is None else words,
        "criteria": criteria,
        "preset": preset,
        "model": model,
        "revision": revision,
        "from": from_run,
        "with_labels": with_labels or None,
        "height": height,
        "width": width,
        "memory": memory,
        "images": images,
        "epochs": epochs,
        "until": until,
        "keep": keep or None,
        "steps": steps,
        "trained_steps": trained_steps,
        "method": method,
        "seed": seed,
        "set": _assignments(setting),
        "layout": layout,
        "annotators_per_image": annotators_per_image,
        "annotators": annotators,
        "adjudicators": adjudicators,
        "consensus": consensus,
        "order": order,
        "label_budget": label_budget,
        "title": title,
        "project": project,
    }
    out.print(_start(options, config, trial=not no_trial), soft_wrap=True)


def _start(options: dict[str, Any], file: Path | None, *, trial: bool) -> str:
    from backend import engine
    from backend.starting.going_on import inherited
    from backend.starting.plan import make_plan
    from backend.starting.start_run import missing_people, reach, start_run, untested_version

    settings = Settings.load()

    def inherit(said: str) -> "Inherited":
        with open_store(settings) as store:
            return inherited(settings, store, said)

    plan, config = make_plan(settings, options, file, inherit)
    for warning in [*plan.notes, *engine.check(config)]:
        err.print(f"[yellow]Note:[/] {escape(warning)}")
    reach(settings)
    with open_store(settings) as store:
        forecast = None
        if trial:
            config, forecast = _tried(settings, store, config)
        fields = config.flat()
        run = start_run(
            settings,
            store,
            fields,
            plan.title,
            labelling=plan.labelling,
            project_id=plan.project,
            forecast=forecast,
            parent=plan.parent,
        )
    for note in (untested_version(settings), missing_people(settings, plan.labelling)):
        if note:
            err.print(f"[yellow]Note:[/] {escape(note)}")
    return _described(settings, run)


def _tried(
    settings: Settings, store: Store, config: "RunConfig"
) -> tuple["RunConfig", "Forecast | None"]:
    """The configuration with numbers for `auto`, and what an epoch takes; or as it was, and why."""
    from backend import engine
    from backend.show.terminal import Waiting
    from backend.worker.first_trial import why_not_here

    if why := why_not_here(settings, store):
        then = (
            "it is tried by the worker, before the first images; `hero status` shows what it finds"
            if engine.undecided(config.flat())
            else "so what an epoch takes is not known"
        )
        err.print(f"[yellow]Note:[/] The model was not tried here, since {escape(why)}: {then}.")
        return config, None
    with Waiting(err) as waiting:
        waiting.say("The model is tried: a few denoising steps and an update step")
        tried = engine.try_out(config)
        waiting.over()
    return tried


def _assignments(said: list[str] | None) -> dict[str, str] | None:
    fields = {}
    for assignment in said or ():
        name, separator, value = assignment.partition("=")
        if not separator:
            raise BadInput(f"Cannot read --set {assignment!r}: write it as --set field=value.")
        fields[name.strip()] = value.strip()
    return fields or None


def _described(settings: Settings, run: Run) -> str:
    from backend.dashboard import access

    plan = run.labelling
    asked = run.images_per_epoch + (run.epochs - 1) * (plan.label_budget or run.images_per_epoch)
    labels = asked * plan.annotators_per_image
    return (
        f"Run [bold]{run.id}[/] has started: {run.epochs} epochs of {run.images_per_epoch} images, "
        f"{labels} labels in all{_or_fewer(run)}.\n"
        f"{_goes_on_from(run)}{escape(_labelled_how(plan))}\n"
        f"Method: {run.config['method']}.\n{_kept(run)}{_takes(run)}"
        "Label on this page, which goes on from batch to batch. The link works once; "
        f"`hero link {run.id} --label` prints another:\n"
        f"{access.link(ensure_secrets(settings), run.id, to_label=True)}\n"
        f"Or in Label Studio itself, once the images are there: {run.project_url}"
    )


def _goes_on_from(run: Run) -> str:
    if run.parent_id is None:
        return ""
    labels = " and its labels" if run.parent_labels else ""
    return f"It goes on from the model of {run.parent_id} after epoch {run.parent_epoch}{labels}.\n"


def _or_fewer(run: Run) -> str:
    if not run.ends_when_good_enough:
        return ""
    return f", or fewer once they prove that {float(run.config['until']):.0%} are good"


def _kept(run: Run) -> str:
    """Which prompts shall stay as they are, as a line."""
    from backend import engine

    kept = engine.kept_prompts(run.config)
    return f"Kept as they are: {escape('; '.join(kept))}.\n" if kept else ""


def _takes(run: Run) -> str:
    """What an epoch takes, as a line; nothing where it is not known."""
    from backend.show import forecast

    if run.forecast is None:
        return ""
    said = f"{forecast.in_words(run.forecast)} ({forecast.batch_sizes(run.forecast)})"
    return f"Drawing and learning take {said}.\n"


def _labelled_how(plan: Labelling) -> str:
    parts = ["one page per epoch" if plan.layout == "gallery" else "one task per image"]
    if plan.annotators_per_image > 1:
        parts.append(f"{plan.annotators_per_image} people per image, {plan.consensus} decides")
    if plan.annotators:
        parts.append(f"only the votes of {', '.join(plan.annotators)} count")
    if plan.adjudicators:
        parts.append(f"{', '.join(plan.adjudicators)} may decide an image alone")
    if plan.label_budget:
        parts.append(f"from the second epoch on {plan.label_budget} images are asked for")
    if plan.order != "sequential":
        first = {"uncertain": "the least certain", "best-first": "the likely best"}[plan.order]
        parts.append(f"from the second epoch on {first} come first")
    return f"Labelling: {'; '.join(parts)}."
