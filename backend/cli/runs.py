"""What can be done with a run that has been started."""

from backend.cli.shared import RUNS, RunId, app, find_run, let, open_store, out
from backend.run.states import Event
from backend.settings import Settings


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
def advance(run_id: RunId) -> None:
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
