"""What can be done with a run that has been started."""

from typing import Annotated

import typer

from backend.cli.shared import RUNS, RunId, app, find_run, let, open_store, out
from backend.errors import WrongState
from backend.run.states import WORK, Event, State
from backend.settings import Settings
from backend.store import LATEST


@app.command(rich_help_panel=RUNS)
def pause(run_id: RunId) -> None:
    """Pause a run. Labels that people make meanwhile are kept."""
    let(run_id, Event.pause)


@app.command(rich_help_panel=RUNS)
def resume(run_id: RunId) -> None:
    """Continue a run that was paused or has failed."""
    let(run_id, Event.resume)


@app.command(rich_help_panel=RUNS)
def stop(run_id: RunId) -> None:
    """End a run for good. You can still `hero generate` with it and `hero export` it."""
    let(run_id, Event.stop)


@app.command(rich_help_panel=RUNS)
def extend(
    run_id: RunId,
    epochs: Annotated[
        int, typer.Option(min=1, help="How many more batches are drawn and labelled.")
    ] = 1,
) -> None:
    """Go on with a finished run, with all that it has learned."""
    with open_store(Settings.load()) as store:
        run = find_run(store, run_id)
        run = store.extend(run, epochs)
    more = "epoch" if epochs == 1 else "epochs"
    out.print(
        f"Run {run.id} goes on: {epochs} more {more} of {run.images_per_epoch} images, "
        f"{run.epochs} in all."
    )


@app.command(rich_help_panel=RUNS)
def repair(run_id: RunId = LATEST) -> None:
    """Make damaged batches, images, checkpoints and reports of a run again."""
    from backend.engine import Engine
    from backend.repair import Found, mend, unmended

    def tell(found: Found) -> None:
        done = "made again" if found.mended else "CANNOT be made again"
        out.print(f"{found.what.capitalize()}: {done} ({found.trouble})", soft_wrap=True)

    settings = Settings.load()
    with open_store(settings) as store:
        run = find_run(store, run_id)
        if run.state in WORK:
            raise WrongState(
                f"Cannot repair the run {run.id} while it is {run.state}: a worker repairs what "
                f"it needs by itself; `hero pause {run.id}` first."
            )
        found = mend(settings, store, Engine(settings), run, lambda *_: None, tell)
    if lost := unmended(found):
        raise lost
    if not found:
        out.print(f"All files of the run {run.id} are whole.")
    elif run.state in (State.failed, State.paused):
        out.print(f"`hero resume {run.id}` goes on.")


@app.command(rich_help_panel=RUNS)
def advance(run_id: RunId = LATEST) -> None:
    """Learn now from the labels there are, without waiting for the rest of the epoch."""
    from backend.label_studio import Gateway
    from backend.labels import closing
    from backend.labels.progress import count_labels

    settings = Settings.load()
    with open_store(settings) as store:
        run = find_run(store, run_id)
        run = closing.advance(store, Gateway(settings), run)
        counts = count_labels(store, run.id, run.epoch)
    out.print(
        f"Run {run.id} learns from {counts.judged} of {counts.total} labels of epoch "
        f"{run.epoch + 1}."
    )
