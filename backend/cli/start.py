"""`hero start`: what a run shall be."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from backend.cli.shared import STARTING, app, err, open_store, out
from backend.errors import BadInput
from backend.run.labelling import Layout, Order, Policy
from backend.run.records import Run
from backend.settings import Settings, ensure_secrets
from backend.starting.prompts import read_prompts
from backend.store import Store

if TYPE_CHECKING:
    from backend.engine import Forecast, RunConfig
    from backend.run.chain import ImportedLabels
    from backend.starting.importing import Read

TEACH, DRAW, LABEL, ELSE = "What to teach", "How it draws and learns", "How people label", "Other"
"""The panels of `hero start --help`."""


@app.command(rich_help_panel=STARTING)
def start(
    words: Annotated[
        str | None,
        typer.Argument(metavar="[PROMPT]", help="What the images should show, as --prompt."),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            rich_help_panel=TEACH,
            help="What the images should show. Presets have one. Repeat it to teach one model "
            "several prompts.",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=TEACH,
            help="Several prompts, one a line, each with its criteria if you like: "
            "`a black cat | exactly one cat, and it is black`.",
        ),
    ] = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            rich_help_panel=TEACH,
            help="A prompt that is drawn after every epoch, to see what else changes. It is never "
            "learned from. May be repeated.",
        ),
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
            help="A prompt that shall stay as it is (hero+). May be repeated. neighbours keeps "
            "those next to the run's own: fewer, more, another colour. Default: none.",
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
    suggestions: Annotated[
        bool | None,
        typer.Option(
            "--suggestions/--no-suggestions",
            rich_help_panel=LABEL,
            help="A gallery's page opens with what the model takes for good, where it is mostly "
            "right. Default: yes, with `--order sequential`.",
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
    out.print(start_by(locals()), soft_wrap=True)


def start_by(said: Mapping[str, Any], read: "Read | None" = None) -> str:
    """Start a run by what was said to `hero start`, by its parameters' names; what to tell of it.

    Args:
        read: reads pictures that people have judged, to begin with.
    """
    from backend.starting.begin import begin, untried

    def note(text: str) -> None:
        err.print(f"[yellow]Note:[/] {escape(text)}")

    settings, options = Settings.load(), _options(said)
    with open_store(settings) as store:
        tried = untried if said["no_trial"] else partial(_tried, settings, store)
        run = begin(settings, store, options, said["config"], note=note, trial=tried, read=read)
        imported = store.chain(run).imported
    return _described(settings, run, imported)


OTHERWISE = ("words", "from_run", "setting", "config", "no_trial")
"""Parameters of `hero start` that are no options of a run, or not by that name."""


def _options(said: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run, by their names with `_`; None where nothing was said."""
    words = [*([] if said["words"] is None else [said["words"]]), *(said["prompt"] or ())]
    lines = [*words, *(read_prompts(said["prompts"]) if said["prompts"] else ())]
    return {
        **{name: value for name, value in said.items() if name not in OTHERWISE},
        "prompt": words[0] if len(lines) == len(words) == 1 else None,
        "prompts": lines if len(lines) > 1 or said["prompts"] else None,
        "held_out": said["held_out"] or None,
        "from": said["from_run"],
        "with_labels": said["with_labels"] or None,
        "keep": said["keep"] or None,
        "set": _assignments(said["setting"]),
    }


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


def _described(settings: Settings, run: Run, imported: "ImportedLabels | None") -> str:
    from backend.dashboard import access
    from backend.starting.begin import described

    first, *others = described(run, imported)
    said = "\n".join(others)
    return (
        f"Run [bold]{run.id}[/] has started: {escape(first)}\n{escape(said)}\n"
        "Label on this page, which goes on from batch to batch. The link works once, for you; "
        f"`hero link {run.id} --label` prints one for somebody else:\n"
        f"{access.link(ensure_secrets(settings), run.id, to_label=True)}\n"
        f"Or in Label Studio itself, once the images are there: {run.project_url}"
    )
