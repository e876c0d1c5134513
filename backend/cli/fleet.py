"""`hero serve` and `hero worker`: the service's processes, each on a machine of its own."""

import os
from typing import Annotated

import typer

from backend.cli.shared import FLEET, app, out
from backend.errors import BadInput
from backend.run.states import WORK, State


@app.command(rich_help_panel=FLEET)
def serve() -> None:
    """Run all that needs no GPU: the web server, publishing, and looking at the labels.

    This is what has to run while people label. Drawing and learning are done by `hero worker`, here
    or on other machines.
    """
    os.umask(0o077)
    from backend.web.serve import serve as run

    run()


@app.command(rich_help_panel=FLEET)
def worker(
    only: Annotated[
        str | None,
        typer.Option(
            metavar="STEP,...",
            help="Do only these steps: generating, publishing, learning. Beside `hero serve`: "
            "generating,learning. Default: all.",
        ),
    ] = None,
    until_idle: Annotated[
        bool,
        typer.Option("--until-idle", help="End when no run has anything to do now."),
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Take one run as far as it goes, and end.")
    ] = False,
) -> None:
    """Draw and learn: take every run as far as it goes without people, until Ctrl-C.

    Several workers may share the runs of one database, on as many machines.
    """
    steps = _steps(only)
    os.umask(0o077)
    from backend.worker.loop import Worker, ready

    made = Worker(*ready(), steps=steps)
    if not (until_idle or once):
        made.run_forever()
        return
    taken = made.run_until_idle(most=1 if once else None)
    runs = "1 run" if taken == 1 else f"{taken} runs"
    out.print(f"Worked on {runs}." if taken else "There was nothing to do.")


def _steps(only: str | None) -> tuple[State, ...]:
    if only is None:
        return WORK
    wanted = [name.strip() for name in only.split(",")]
    if unknown := [name for name in wanted if name not in WORK]:
        raise BadInput(
            f"Cannot do only {', '.join(map(repr, unknown))}: the steps of a worker are "
            f"{', '.join(WORK)}; write them with commas between."
        )
    return tuple(step for step in WORK if step in wanted)
