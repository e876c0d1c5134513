"""One of several processes that do a step together: `python -m backend.worker.step`.

A worker with `HERO_PROCESSES` starts as many for each step, by torchrun, and tells where the step's
order lies. Whoever schedules may start them, on one host or several: `torchrun ... -m
backend.worker.step`. Then the first process is a worker, which draws and learns until no run has
anything to do now.
"""

import faulthandler
import json
import logging
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from backend import logs
from backend.errors import HeroServiceError, LeaseLost
from backend.run.states import State
from backend.settings import Settings
from backend.store import Store
from backend.worker.launched import ORDER, PROGRESS, TROUBLE
from backend.worker.loop import Worker, ready
from backend.worker.together import Leader, alone, follow, joined

STEPS = (State.generating, State.learning)
TELL_SECONDS = 0.2


def main() -> None:
    """Take part, until the step is done or the first process says that nothing is left to do."""
    os.umask(0o077)
    faulthandler.enable()  # a process that a library aborts says where
    settings = Settings.load()
    logs.configure(settings.log_level)
    if os.environ.get("RANK", "0") != "0":
        logging.disable(logging.INFO)  # the first process says it
    try:
        if len(sys.argv) > 1:
            _do_step(settings, Path(sys.argv[1]))
        else:
            _do_runs(settings)
    except HeroServiceError as error:
        sys.exit(str(error))


def _do_step(settings: Settings, folder: Path) -> None:
    """One step, for the worker that started these processes."""
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    number = int(os.environ["RANK"])
    try:
        with joined():
            if number == 0:
                _lead(settings, folder)
            else:
                follow(settings)
    except Exception as error:
        _tell(folder / TROUBLE.replace("*", str(number)), _said(error))
        raise


def _lead(settings: Settings, folder: Path) -> None:
    order = json.loads((folder / ORDER).read_text())
    store = Store.open(settings)
    run = store.run(order["run"])
    if (run.lease_owner, run.fencing_token) != (order["worker"], order["token"]):
        raise LeaseLost(f"Cannot begin the step of run {run.id}: another worker has it.")
    leader, run = Leader(settings, store), replace(run, epoch=order["epoch"])
    told = _Telling(folder / PROGRESS)
    if (labels := order["labels"]) is None:
        leader.draw(run, told)
    else:
        leader.learn_anew(run, labels["verdicts"], labels["bests"], told)
    leader.dismiss()


def _do_runs(settings: Settings) -> None:
    """Steps of all runs, for whoever scheduled these processes."""
    with joined() as number:
        if number > 0:
            follow(settings)
            return
        settings, store = ready(one_of_several=True)
        leader = Leader(settings, store)
        worker = Worker(settings, store, engine=leader, steps=STEPS)
        with alone():
            while not leader.broken and worker.work_once():
                pass
        if leader.broken:
            sys.exit("A step ended before it was done, so the processes end; start them again.")
        leader.dismiss()


def _end_with_the_worker() -> None:
    os.read(0, 1)  # nothing comes; it ends when the worker does, or drops the step
    os._exit(1)


def _said(error: Exception) -> dict[str, str]:
    if isinstance(error, HeroServiceError):
        return {"kind": type(error).__name__, "text": str(error)}
    first = (str(error).strip().splitlines() or [""])[0]
    text = f"A process of the step failed ({type(error).__name__}: {first}); the worker's log has "
    return {"kind": "", "text": f"{text}the details."}


class _Telling:
    """Writes how far the step is, a few times a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: tuple[str, float] = ("", 0.0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        told_stage, told_at = self._told
        now = time.monotonic()
        if stage != told_stage or now - told_at >= TELL_SECONDS or done >= total:
            self._told = (stage, now)
            _tell(self._path, [stage, done, total])


def _tell(path: Path, value: object) -> None:
    """Where the reader finds all of it or nothing."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value))
    partial.replace(path)


if __name__ == "__main__":
    main()
