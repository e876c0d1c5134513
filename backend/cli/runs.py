"""What can be done with a run that has been started."""

from typing import Annotated

import typer

from backend import steering
from backend.cli.shared import RUNS, RunId, app, find_run, open_store, out
from backend.errors import WrongState
from backend.run.states import WORK, State
from backend.settings import Settings
from backend.store import LATEST


@app.command(rich_help_panel=RUNS, help=steering.PAUSE.help)
def pause(run_id: RunId) -> None:
    """Pause a run."""
    _let(run_id, steering.PAUSE)


@app.command(rich_help_panel=RUNS, help=steering.RESUME.help)
def resume(run_id: RunId) -> None:
    """Continue a run that was paused or has failed."""
    _let(run_id, steering.RESUME)


@app.command(rich_help_panel=RUNS, help=steering.STOP.help)
def stop(run_id: RunId) -> None:
    """End a run for good."""
    _let(run_id, steering.STOP)


@app.command(rich_help_panel=RUNS, help=steering.EXTEND.help)
def extend(
    run_id: RunId,
    epochs: Annotated[
        int, typer.Option(min=1, help="How many more batches are drawn and labelled.")
    ] = 1,
) -> None:
    """Go on with a finished run."""
    _let(run_id, steering.EXTEND, epochs=epochs)


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


@app.command(rich_help_panel=RUNS, help=steering.ADVANCE.help)
def advance(run_id: RunId = LATEST) -> None:
    """Learn now from the labels there are."""
    _let(run_id, steering.ADVANCE)


def _let(run_id: str, act: steering.Act, *, epochs: int = 1) -> None:
    """Let an act happen to a run, and say what came of it."""
    settings = Settings.load()
    with open_store(settings) as store:
        run = find_run(store, run_id)
        out.print(steering.let(settings, store, run, act, epochs=epochs), markup=False)
