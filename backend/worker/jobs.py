"""What people ask for on a run's page: images drawn with its model, and exports that need it.

A job is done between the steps of the runs, by the worker that has the model and the memory for it.
"""

import logging
import time
from contextlib import suppress
from pathlib import Path

from backend import exports
from backend.engine import Engine
from backend.errors import DatabaseUnavailable, HeroServiceError, LeaseLost
from backend.exports.jobs import made_in
from backend.run.records import Job, Run
from backend.settings import Settings
from backend.store import Store

logger = logging.getLogger(__name__)


class Jobs:
    """Does the jobs, one at a time."""

    def __init__(self, settings: Settings, store: Store, engine: Engine, worker: str) -> None:
        self._settings = settings
        self._store = store
        self._engine = engine
        self._worker = worker

    def do_one(self) -> bool:
        """Do the job that has waited longest; False if there is none."""
        job = self._store.take_job(self._worker, self._settings.lease_seconds)
        if job is None:
            return False
        logger.info("run %s: %s asked for on its page", job.run_id, job.kind)
        try:
            self._make(job, self._store.run(job.run_id))
            self._store.end_job(job)
        except (LeaseLost, DatabaseUnavailable) as error:
            logger.info("%s", error)
        except Exception as error:
            self._fail(job, error)
        except BaseException:
            with suppress(HeroServiceError):
                self._store.leave_job(job)
            raise
        return True

    def _fail(self, job: Job, error: Exception) -> None:
        known = isinstance(error, HeroServiceError)
        if known:
            logger.warning("job %d of run %s: %s", job.id, job.run_id, error)
        else:
            logger.error("job %d of run %s failed", job.id, job.run_id, exc_info=error)
        text = str(error) if known else f"It failed ({type(error).__name__}); the log says why."
        with suppress(LeaseLost):
            self._store.end_job(job, text)

    def _make(self, job: Job, run: Run) -> None:
        target = made_in(self._settings, job)
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if job.kind == "export":
            self._export(run, job, target)
            return
        options = job.options
        self._engine.draw_beside(
            run, target, options["n"], options["prompt"], options["seed"], self._telling(job)
        )

    def _export(self, run: Run, job: Job, target: Path) -> None:
        what, format = job.options["what"], job.options["format"]
        self._engine.let_go()  # an export loads the model for itself
        exports.export(self._settings, self._store, run, what, format, target)

    def _telling(self, job: Job) -> "_Telling":
        return _Telling(self._settings, self._store, job)


class _Telling:
    """Writes how far a job is, once a second."""

    def __init__(self, settings: Settings, store: Store, job: Job) -> None:
        self._settings, self._store, self._job = settings, store, job
        self._told_at = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= 1:
            self._told_at = now
            self._store.job_progress(self._job, done, total, self._settings.lease_seconds)
