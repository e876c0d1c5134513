"""Carries runs round the circle: `python -m backend.worker`, `hero worker`.

The main thread claims a run that has something to do and takes it as far as it goes; a second
thread fetches labels. Every step can be killed at any instruction and done again: what it makes
lies under its final name whole or not at all, and its row is written last. A worker may be told to
do some of the steps only; then it hands a run on after the last of them.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from backend import logs
from backend.comparing.collect import fetch_due
from backend.engine import Engine
from backend.engine_files import read_predictions, read_prompts
from backend.errors import (
    BackendUnreachable,
    DatabaseUnavailable,
    DiskFull,
    FilesDamaged,
    HeroServiceError,
    LabelStudioUnreachable,
    LeaseLost,
    PrivateAddressRefused,
    RunChanged,
    SettingsInvalid,
    StoreError,
    WrongState,
)
from backend.files import is_disk_full
from backend.label_studio import Gateway
from backend.labels import closing, collect
from backend.outcomes import Outcome, Way, outcome_of, untroubled
from backend.repair import mend, unmended
from backend.run.records import Claim, Run
from backend.run.states import WORK, Event, State
from backend.settings import Settings, ensure_secrets
from backend.store import Store
from backend.tasks import publishing, selection
from backend.tasks.images import is_pixelated, place_images
from backend.tasks.predictions import good_from
from backend.tasks.suggestions import openings
from backend.worker import first_trial, liveness
from backend.worker.jobs import Jobs
from backend.worker.launched import LaunchedEngine
from backend.worker.lease import LeaseKeeper, is_dead, process_name
from backend.worker.poller import Poller, known_of, of_project
from backend.worker.sample_rows import SampleRows
from backend.worker.standing import Standing

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
"""How often the worker looks for something to do: a query of a millisecond."""
LONGEST_RETRY_SECONDS = 60.0
TROUBLE_PAUSE_SECONDS = 5.0


class Worker:
    """One process's work on all runs of a home folder (or of a shared database).

    Args:
        steps: what it does. Who publishes also looks at the labels and keeps the projects'
            descriptions; who draws also draws the sample rows.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        engine: Engine | None = None,
        gateway: Callable[[], Gateway] | None = None,
        steps: Collection[State] = WORK,
    ) -> None:
        self._settings = settings
        self._store = store
        self._engine = engine or (LaunchedEngine if settings.processes > 1 else Engine)(settings)
        self._make_gateway = gateway or (lambda: Gateway(settings))
        self._gateway: Gateway | None = None
        self._steps = steps
        self._name = process_name()
        self._failures: dict[str, int] = {}
        self._poller = Poller(settings, store, self._ls)
        self._standing = Standing(settings, store)
        self._ending = threading.Event()
        self._rows = SampleRows(settings, store, self._engine, self._needed)
        self._jobs = Jobs(settings, store, self._engine, self._name)

    # -- loops -----------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Work until `end` is called or the process is told to end."""
        self._let_go_of_what_the_dead_held()
        self._follow_along()
        while not self._ending.is_set():
            try:
                if not self._do_one():
                    self._rest()
            except Exception as error:
                _log(error)
                self._ending.wait(TROUBLE_PAUSE_SECONDS)

    def run_until_idle(self, *, most: int | None = None) -> int:
        """Work until nothing is left to do now, or `most` runs were taken as far as they go or jobs
        done; their number. A run that has to be tried again later is not waited for."""
        self._let_go_of_what_the_dead_held()
        self._follow_along()
        taken = 0
        while not self._ending.is_set() and taken != most and self._do_one():
            taken += 1
        return taken

    def _do_one(self) -> bool:
        """A job that somebody asked for on a run's page, or else a run's steps; False if there was
        neither."""
        draws = State.generating in self._steps
        return (draws and self._jobs.do_one()) or self.work_once()

    def _let_go_of_what_the_dead_held(self) -> None:
        untroubled("let go of dead workers' runs", lambda: self._store.release_dead(is_dead))
        untroubled("let go of their jobs", lambda: self._store.leave_dead_jobs(is_dead))

    def _follow_along(self) -> None:
        threading.Thread(target=self._poll_forever, name="poller", daemon=True).start()

    def end(self) -> None:
        """Let both loops end after what they are doing."""
        self._ending.set()

    def _rest(self) -> None:
        idle = time.monotonic() - self._engine.used_at
        if self._engine.loaded and idle > self._settings.idle_seconds:
            logger.info("the model is let go after %.0f idle seconds", idle)
            self._engine.let_go()
        if State.generating not in self._steps or not self._rows.draw_one():
            self._ending.wait(TICK_SECONDS)

    def _needed(self) -> bool:
        return self._ending.is_set() or self._store.work_waits(self._steps)

    def _poll_forever(self) -> None:
        while not self._ending.wait(TICK_SECONDS):
            try:
                reached = True
                if State.publishing in self._steps:
                    reached = self.poll_once()
                    self._standing.tell(self._ls)
                liveness.beat(self._settings)
            except Exception as error:
                _log(error)
                reached = False
            if not reached:
                self._ending.wait(TROUBLE_PAUSE_SECONDS)

    def poll_once(self) -> bool:
        """Fetch the labels of every run, and the votes of every comparison, that is due; False if
        Label Studio could not be asked."""
        reached = self._poller.poll_once()
        return fetch_due(self._store, self._ls, self._settings.poll_seconds) and reached

    # -- steps -----------------------------------------------------------------------------

    def work_once(self) -> bool:
        """Take one run as far as it goes without people; False if there was nothing to do."""
        claim = self._store.claim(self._name, self._settings.lease_seconds, self._steps)
        if claim is None:
            return False
        while (changed := self._step(claim)) is not None and changed.state in WORK:
            if changed.state not in self._steps:
                self._store.release(claim)
                break
            claim = replace(claim, run=changed)
        return True

    def _step(self, claim: Claim) -> Run | None:
        """One transition; None if the step was dropped, failed, or has to be tried again."""
        run = claim.run
        step = {
            State.generating: self._generate,
            State.publishing: self._publish,
            State.learning: self._learn,
        }[run.state]
        logger.info("run %s, epoch %d: %s", run.id, run.epoch, run.state)
        try:
            with LeaseKeeper(self._store, claim) as lease:
                try:
                    changed = step(claim, lease)
                except FilesDamaged as error:
                    self._repair(run, lease, error)
                    changed = step(claim, lease)
        except (LeaseLost, RunChanged) as error:
            logger.info("%s", error)
        except Exception as error:
            self._end_badly(claim, error)
        except BaseException:
            self._store.release(claim)
            raise
        else:
            self._failures.pop(run.id, None)
            return changed
        return None

    def _repair(self, run: Run, lease: LeaseKeeper, error: FilesDamaged) -> None:
        """Make again what was damaged; raises if that cannot be done, or nothing was."""
        logger.warning("run %s is repaired: %s", run.id, error)
        found = mend(self._settings, self._store, self._engine, run, lease.progress)
        for each in found:
            logger.warning("run %s: %s was damaged (%s)", run.id, each.what, each.trouble)
        if not found:
            raise error
        if lost := unmended(found):
            raise lost from error

    def _end_badly(self, claim: Claim, error: Exception) -> None:
        """Let the step wait or fail, as `backend/outcomes.py` says."""
        run, outcome = claim.run, outcome_of(error)
        known = isinstance(error, HeroServiceError)
        text = str(error) if known else _sentence(run, error)
        if outcome.way is not Way.fail:
            self._postpone(claim, text, outcome, error)
            return
        if known:
            logger.warning("run %s failed: %s", run.id, error)
        else:
            logger.error("run %s failed", run.id, exc_info=error)
        self._fail_step(claim, text, **known_of(error))

    def _generate(self, claim: Claim, lease: LeaseKeeper) -> Run:
        claim = first_trial.decided(self._store, self._engine, claim, lease)
        run = claim.run
        began = time.monotonic()
        batch = self._engine.generate(run, lease.progress)
        try:
            paths = place_images(self._settings, batch / "images", run.id, run.epoch)
        except OSError as error:
            if is_disk_full(error):
                raise DiskFull(
                    f"The disk of {self._settings.images_dir} is full; no image of epoch "
                    f"{run.epoch + 1} was published and the batch is kept: free space."
                ) from error
            raise
        predictions = read_predictions(batch)
        asked = selection.choose(
            predictions or [None] * len(paths),
            good_from(self._store.epochs(run.id), run.epoch),
            run.labelling.label_budget,
        )
        seconds = time.monotonic() - began
        return self._store.batch_written(
            claim, paths, predictions, seconds, asked, read_prompts(batch)
        )

    def _publish(self, claim: Claim, lease: LeaseKeeper) -> Run:
        run, gateway = claim.run, self._ls()
        began = time.monotonic()
        run = self._with_project(run)
        gateway.connect_images(of_project(run), run.id, run.labelling.layout)
        try:
            gateway.connect_backend(of_project(run))
        except (BackendUnreachable, PrivateAddressRefused, SettingsInvalid) as error:
            logger.warning("run %s goes on without webhooks, by the poll: %s", run.id, error)
        drawn = self._store.images(run.id)
        images = [image for image in drawn if image.epoch == run.epoch]
        epochs = self._store.epochs(run.id)
        bests = publishing.bests_so_far(run, drawn, epochs)
        opening = openings(run, epochs, drawn)[run.epoch]
        tasks = publishing.tasks(self._settings, run, images, epochs, bests, opening)
        self._put_away(run, run.epoch)
        self._store.forget_tasks(claim)
        task_ids = gateway.publish(of_project(run), run.id, run.epoch, tasks)
        lease.check()
        return self._store.published(claim, task_ids, time.monotonic() - began)

    def _with_project(self, run: Run) -> Run:
        """The run with its project: the one that it has, or carries its mark, or a new one."""
        run = self._looked_for(run)
        if run.project_id is not None and not run.project_gone:
            return run
        first = self._store.images(run.id, run.epoch)[0]
        pixelated = is_pixelated(self._settings.images_dir / first.path)
        project = self._ls().ensure_project(
            run.id, run.title, run.in_words, run.labelling, pixelated=pixelated
        )
        return self._store.set_project(run.id, project.id, project.url)

    def _looked_for(self, run: Run) -> Run:
        """The run as it is known after another look at a project that seemed to be gone."""
        if not run.project_gone or run.project_id is None or run.project_url is None:
            return run
        if not self._ls().has_project(run.project_id):
            return run
        return self._store.set_project(run.id, run.project_id, run.project_url)

    def _learn(self, claim: Claim, lease: LeaseKeeper) -> Run:
        claim = first_trial.decided(self._store, self._engine, claim, lease)
        run = claim.run
        began = time.monotonic()
        epoch = self._store.epochs(run.id)[run.epoch]
        if epoch.labelled_at is None:
            run = self._looked_for(run)
            collect.reconcile(self._store, self._ls(), run, {max(run.epoch - 1, 0), run.epoch})
            closing.freeze(self._store, claim)
            epoch = self._store.epochs(run.id)[run.epoch]
        self._put_away(run, run.epoch + 1)
        verdicts = [image.verdict for image in self._store.images(run.id, run.epoch)]
        report = self._engine.learn(run, verdicts, epoch.bests, lease.progress)
        rewards: list[float | None] = list(report.get("rewards") or [])
        changed = self._store.learned(claim, report, rewards, time.monotonic() - began)
        self._draw_grid(run)
        return changed

    def _put_away(self, run: Run, epoch: int) -> None:
        """Take what is unfinished of the epochs before this one out of people's queue.

        A run does not fail for that, and learns also while Label Studio does not answer.
        """
        if run.project_id is None or not epoch:
            return
        try:
            self._ls().put_away(run.project_id, run.id, epoch)
        except HeroServiceError as error:
            if run.state is State.publishing and outcome_of(error).way is not Way.fail:
                raise
            logger.warning("run %s goes on beside unfinished tasks: %s", run.id, error)

    def _draw_grid(self, run: Run) -> None:
        """The epoch as a picture; a run does not fail for want of one."""
        try:
            from PIL.Image import open as open_image

            from backend.show.pictures import epoch_grid

            rows = self._store.images(run.id, run.epoch)
            pictures = [open_image(self._settings.images_dir / row.path) for row in rows]
            path = self._settings.run_dir(run.id) / "grids" / f"epoch-{run.epoch:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            verdicts: Any = [row.verdict for row in rows]
            epoch_grid(pictures, verdicts, [row.reward for row in rows], path)
        except Exception:
            logger.exception("no picture of epoch %d of run %s", run.epoch, run.id)

    def _postpone(self, claim: Claim, text: str, outcome: Outcome, error: Exception) -> None:
        failures = self._failures[claim.run.id] = self._failures.get(claim.run.id, 0) + 1
        asked = error.retry_after if isinstance(error, LabelStudioUnreachable) else 0.0
        seconds = max(min(2.0**failures, LONGEST_RETRY_SECONDS), asked)
        logger.warning("run %s is tried again in %.0f s: %s", claim.run.id, seconds, text)
        since = claim.run.waiting_since or self._store.now()
        reason = f"{text} {_waiting(outcome, since)}"
        try:
            self._store.postpone(claim, seconds, reason)
        except (LeaseLost, StoreError, DiskFull) as trouble:
            logger.warning(
                "run %s is tried again when its lease is over: %s", claim.run.id, trouble
            )

    def _fail_step(self, claim: Claim, text: str, **columns: Any) -> None:
        try:
            self._store.transition(claim.run, Event.fail, claim=claim, error=text, **columns)
        except (LeaseLost, RunChanged, WrongState) as error:
            logger.info("%s", error)
        except (DatabaseUnavailable, DiskFull) as error:
            logger.warning("run %s is tried again when its lease is over: %s", claim.run.id, error)

    def _ls(self) -> Gateway:
        if self._gateway is None:
            self._gateway = self._make_gateway()
        return self._gateway


def _sentence(run: Run, error: Exception) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    return (
        f"The {run.state} step of epoch {run.epoch + 1} failed ({type(error).__name__}: {text}); "
        f"the worker's log has the details, `hero resume {run.id}` tries it again."
    )


def _waiting(outcome: Outcome, since: datetime) -> str:
    """Since when a run waits, and for whom."""
    when = f"{since:%Y-%m-%d %H:%M} UTC"
    if outcome.way is Way.person:
        return f"It waits for {outcome.who} since {when}, and then goes on by itself."
    return f"It is tried again by itself; it has waited since {when}."


def _log(error: Exception) -> None:
    """One line for what we know, a traceback for what we do not."""
    if isinstance(error, HeroServiceError):
        logger.warning("%s", error)
    else:
        logger.error("the worker goes on after", exc_info=error)


def _leave(*_: object) -> None:
    raise SystemExit(0)


def ready(*, one_of_several: bool = False) -> tuple[Settings, Store]:
    """This process's settings and store, as soon as both can be had. SIGTERM and Ctrl-C end it; a
    step under way is dropped and its run let go.

    Raises:
        SettingsInvalid: a setting is wrong, or the environment says that this is one of several
            processes, and it is not.
    """
    settings = Settings.load()
    launched = os.environ.get("WORLD_SIZE", "1")
    if launched != "1" and not one_of_several:
        raise SettingsInvalid(
            f"The environment says that this is one of {launched} processes (WORLD_SIZE), and a "
            "worker is one process: set HERO_PROCESSES, start several by `torchrun -m "
            "backend.worker.step`, or unset RANK, LOCAL_RANK and WORLD_SIZE."
        )
    logs.configure(settings.log_level)
    settings = untroubled("keep the secrets", lambda: ensure_secrets(settings))
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    return settings, untroubled("open the database", lambda: Store.open(settings))


def main() -> None:
    """Do every step, until SIGTERM or Ctrl-C."""
    try:
        settings, store = ready()
    except SettingsInvalid as error:
        sys.exit(str(error))
    Worker(settings, store).run_forever()
