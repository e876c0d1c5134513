"""`hero start`: what a run shall be."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from backend.cli.shared import STARTING, app, err, open_store, out
from backend.errors import BadInput
from backend.run.labelling import Labelling, Layout, Order, Policy
from backend.run.records import Run
from backend.settings import Settings

TEACH, DRAW, LABEL, ELSE = "What to teach", "How it draws and learns", "How people label", "Else"
"""The panels of `hero start --help`."""


@app.command(rich_help_panel=STARTING)
def start(
    prompt: Annotated[
        str | None,
        typer.Option(rich_help_panel=TEACH, help="What the images shall show; presets have one."),
    ] = None,
    criteria: Annotated[
        str | None,
        typer.Option(rich_help_panel=TEACH, help="What makes an image good; shown above it."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=TEACH,
            help="Named hyper-parameters: tiny, hand, blue-rose, black-cat, narcissus, mountain.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=TEACH, help="A diffusers pipeline: its folder, or its id on the hub."
        ),
    ] = None,
    images: Annotated[
        int | None, typer.Option(rich_help_panel=DRAW, help="Images an epoch.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(rich_help_panel=DRAW, help="Epochs.")] = None,
    steps: Annotated[
        int | None, typer.Option(rich_help_panel=DRAW, help="Denoising steps of an image.")
    ] = None,
    trained_steps: Annotated[
        int | None,
        typer.Option(rich_help_panel=DRAW, help="Steps of each image that are trained on (K)."),
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
            help="Any other hyper-parameter; may be repeated.",
        ),
    ] = None,
    layout: Annotated[
        Layout | None,
        typer.Option(
            metavar="LAYOUT",
            rich_help_panel=LABEL,
            help="image (the default): one task an image; gallery: one page an epoch with all of "
            "its images.",
        ),
    ] = None,
    annotators_per_image: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=LABEL,
            help="People who have to judge each image; 1 if left out.",
        ),
    ] = None,
    annotators: Annotated[
        str | None,
        typer.Option(
            metavar="EMAIL,...",
            rich_help_panel=LABEL,
            help="Only their votes count; everybody's if left out.",
        ),
    ] = None,
    adjudicators: Annotated[
        str | None,
        typer.Option(
            metavar="EMAIL,...",
            rich_help_panel=LABEL,
            help="Their vote settles an image by itself.",
        ),
    ] = None,
    consensus: Annotated[
        Policy | None,
        typer.Option(
            metavar="POLICY",
            rich_help_panel=LABEL,
            help="How several votes become one: majority (the default), any-good, all-good, "
            "dawid-skene.",
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
            help="From the second epoch on, ask for only N images; the embedding judges the rest.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=ELSE,
            help="A YAML file with any of these options; those given here win.",
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=ELSE, help="The project's name in Label Studio; the prompt by default."
        ),
    ] = None,
    project: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            rich_help_panel=ELSE,
            help="Use this project of Label Studio, which must be empty, instead of a new one.",
        ),
    ] = None,
) -> None:
    """Start a run: its project in Label Studio is made, and the worker draws the first images.

    Without --model and --preset it is a run of the small bundled model, which draws small
    stand-ins for the paper's tasks. Everything is checked first; if something is wrong, nothing is
    left behind.
    """
    options = {
        "prompt": prompt,
        "criteria": criteria,
        "preset": preset,
        "model": model,
        "images": images,
        "epochs": epochs,
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
    out.print(_start(options, config), soft_wrap=True)


def _start(options: dict[str, Any], file: Path | None) -> str:
    from backend import engine
    from backend.starting.plan import make_plan
    from backend.starting.start_run import missing_people, start_run, untested_version

    settings = Settings.load()
    plan, config = make_plan(settings, options, file)
    for warning in [*plan.notes, *engine.check(config)]:
        err.print(f"[yellow]Note:[/] {escape(warning)}")
    with open_store(settings) as store:
        fields = config.flat()
        run = start_run(
            settings,
            store,
            fields,
            plan.title,
            labelling=plan.labelling,
            project_id=plan.project,
        )
    for note in (untested_version(settings), missing_people(settings, plan.labelling)):
        if note:
            err.print(f"[yellow]Note:[/] {escape(note)}")
    return _described(settings, run)


def _assignments(said: list[str] | None) -> dict[str, str] | None:
    fields = {}
    for assignment in said or ():
        name, separator, value = assignment.partition("=")
        if not separator:
            raise BadInput(f"Cannot read --set {assignment!r}: write it as --set field=value.")
        fields[name.strip()] = value.strip()
    return fields or None


def _described(settings: Settings, run: Run) -> str:
    plan = run.labelling
    asked = run.images_per_epoch + (run.epochs - 1) * (plan.label_budget or run.images_per_epoch)
    labels = asked * plan.annotators_per_image
    return (
        f"Run [bold]{run.id}[/] has started: {run.epochs} epochs of {run.images_per_epoch} images, "
        f"{labels} labels in all.\n"
        f"{escape(_labelled_how(plan))}\nMethod: {run.config['method']}.\n"
        f"Label at {run.project_url} once the images are there; `hero watch {run.id}` shows when.\n"
        f"Its page: {settings.page_url(run.id)}"
    )


def _labelled_how(plan: Labelling) -> str:
    parts = ["an epoch's images on one page" if plan.layout == "gallery" else "one image a task"]
    if plan.annotators_per_image > 1:
        parts.append(f"{plan.annotators_per_image} people an image, {plan.consensus} decides")
    if plan.annotators:
        parts.append(f"only the votes of {', '.join(plan.annotators)} count")
    if plan.adjudicators:
        parts.append(f"{', '.join(plan.adjudicators)} may settle an image")
    if plan.label_budget:
        parts.append(f"from the second epoch on {plan.label_budget} images are asked for")
    if plan.order != "sequential":
        first = {"uncertain": "the least certain", "best-first": "the likely best"}[plan.order]
        parts.append(f"from the second epoch on {first} come first")
    return f"Labelling: {'; '.join(parts)}."
