"""A run, from the options of `hero start`: checked, tried if that can be done here, and started."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backend import engine
from backend.run.chain import ImportedLabels
from backend.run.labelling import Labelling
from backend.run.records import Run
from backend.settings import Settings
from backend.show import forecast
from backend.starting.going_on import Inherited, inherited
from backend.starting.importing import Read, read_for
from backend.starting.plan import make_plan
from backend.store import Store

Trial = Callable[[engine.RunConfig], tuple[engine.RunConfig, engine.Forecast | None]]
"""The configuration with numbers for `auto`, and what an epoch takes; or as it was, and None."""


def untried(config: engine.RunConfig) -> tuple[engine.RunConfig, None]:
    """The trial that is left to the worker, before the first images."""
    return config, None


def begin(
    settings: Settings,
    store: Store,
    options: Mapping[str, Any],
    file: Path | None = None,
    *,
    note: Callable[[str], None],
    trial: Trial = untried,
    read: Read | None = None,
) -> Run:
    """Start a run, or leave everything as it was.

    Args:
        options: those of `hero start`, by their names with `_`; None where nothing was said.
        file: of `--config`.
        note: hears what a person should know, a sentence each.
        trial: tries the model.
        read: reads pictures that people have judged, to begin with.

    Raises:
        BadInput, LabelStudioError, EngineFailed
    """

    def inherit(said: str) -> Inherited:
        return inherited(settings, store, said)

    plan, config = make_plan(settings, options, file, inherit)
    for said in [*plan.notes, *engine.check(config)]:
        note(said)
    # Label Studio's SDK takes as long to load as all of these checks
    from backend.starting.start_run import missing_people, reach, start_run, untested_version

    judged = None
    if read is not None:
        config, judged = read_for(config, plan.labelling, read, note)
    reach(settings)
    config, found = trial(config)
    run = start_run(
        settings,
        store,
        config.flat(),
        plan.title,
        labelling=plan.labelling,
        project_id=plan.project,
        forecast=found,
        parent=plan.parent,
        judged=judged,
    )
    for about in (untested_version(settings), missing_people(settings, plan.labelling)):
        if about:
            note(about)
    return run


def described(run: Run, imported: ImportedLabels | None = None) -> list[str]:
    """What a new run asks of people and of the machine, a sentence each."""
    plan = run.labelling
    epochs = run.epochs - (imported is not None)
    asked = run.images_per_epoch + (epochs - 1) * (plan.label_budget or run.images_per_epoch)
    labels = asked * plan.annotators_per_image
    said = [
        f"{epochs} epochs of {run.images_per_epoch} images, {labels} labels in "
        f"all{_or_fewer(run)}.",
        *_prompts(run),
        *_goes_on_from(run),
        *([f"It learns first, as epoch 1, from {imported}."] if imported else []),
        _labelled_how(plan, len(run.prompts)),
        f"Method: {run.config['method']}.",
    ]
    if kept := engine.kept_prompts(run.config):
        said.append(f"Kept as they are: {'; '.join(kept)}.")
    return [*said, takes(run)] if run.forecast else said


def takes(run: Run) -> str:
    """What its epochs take, as its trial found."""
    assert run.forecast is not None
    said = f"{forecast.in_words(run.forecast)} ({forecast.batch_sizes(run.forecast)})"
    return f"Drawing and learning take {said}."


def _goes_on_from(run: Run) -> list[str]:
    if run.parent_id is None:
        return []
    labels = " and its labels" if run.parent_labels else ""
    return [f"It goes on from the model of {run.parent_id} after epoch {run.parent_epoch}{labels}."]


def _or_fewer(run: Run) -> str:
    if not run.ends_when_good_enough:
        return ""
    return f", or fewer once they prove that {float(run.config['until']):.0%} are good"


def _prompts(run: Run) -> list[str]:
    """The prompts of a run of several, and those that are held out."""
    said = []
    if len(run.prompts) > 1:
        said.append(f"One model learns {run.in_words}.")
    if run.held_out:
        said.append(f"Drawn every epoch, and never learned from: {'; '.join(run.held_out)}.")
    return said


def _labelled_how(plan: Labelling, prompts: int) -> str:
    page = "one page per epoch" if prompts == 1 else "one page per epoch and prompt"
    parts = [page if plan.layout == "gallery" else "one task per image"]
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
    if plan.suggestions and plan.layout == "gallery":
        parts.append("it opens with the model's suggestions where they are mostly right")
    return f"Labelling: {'; '.join(parts)}."
