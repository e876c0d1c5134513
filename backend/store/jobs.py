"""Jobs: what people ask for on a run's page, and a worker makes under a lease."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from backend.errors import LeaseLost, RunNotFound, WrongState
from backend.run.records import Job, JobKind
from backend.store import tables
from backend.store.database import Database
from backend.store.not_renewed import NotRenewed

MOST_OPEN = 4
"""So many may wait for one run; more would keep the workers from the runs themselves."""


class Jobs(Database):
    """Asking for jobs, and doing them."""

    @cached_property
    def _unrenewed_jobs(self) -> NotRenewed:
        return NotRenewed()

    def ask(self, run_id: str, kind: JobKind, options: Mapping[str, Any]) -> Job:
        """Ask for a job; one that is open already and the same is taken instead.

        Raises:
            WrongState: too many of the run's are open.
        """
        table = tables.jobs
        with self._write() as connection:
            query = sa.select(table).where(table.c.run_id == run_id, _open())
            there = [Job(**row._mapping) for row in connection.execute(query)]
            for job in there:
                if (job.kind, job.options) == (kind, dict(options)):
                    return job
            if len(there) >= MOST_OPEN:
                raise WrongState(
                    f"Cannot ask for more of the run {run_id}: {len(there)} things that were asked "
                    "for are still to be made; wait for one of them."
                )
            inserted = sa.insert(table).values(
                run_id=run_id,
                kind=kind,
                options=dict(options),
                state="waiting",
                done=0,
                total=0,
                asked_at=self._now(),
            )
            number = connection.execute(inserted.returning(table.c.id)).scalar_one()
            row = connection.execute(sa.select(table).where(table.c.id == number)).one()
            return Job(**row._mapping)

    def jobs(self, run_id: str) -> list[Job]:
        """A run's jobs, the newest first."""
        table = tables.jobs
        query = sa.select(table).where(table.c.run_id == run_id).order_by(table.c.id.desc())
        return self._records(Job, query)

    def job(self, run_id: str, number: int) -> Job:
        """One of them.

        Raises:
            RunNotFound: there is none of that number.
        """
        table = tables.jobs
        query = sa.select(table).where(table.c.run_id == run_id, table.c.id == number)
        for job in self._records(Job, query):
            return job
        raise RunNotFound(f"Cannot find what was asked for of the run {run_id} as number {number}.")

    def take_job(self, worker: str, lease_seconds: float) -> Job | None:
        """The job that has waited longest, or that a worker has left, for this worker.

        Args:
            lease_seconds: of all workers. A lease that lasts longer is of a clock that was set back
                since: it ends when nobody has renewed it for twice as long.
        """
        table = tables.jobs
        now, longest = self._now(), timedelta(seconds=2 * lease_seconds)
        until = table.c.lease_until
        free = sa.and_(_open(), sa.or_(until.is_(None), until < now, until > now + longest))
        for job in self._records(Job, sa.select(table).where(free).order_by(table.c.id)):
            held = (job.id, job.worker, job.lease_until)
            if self._unrenewed_jobs.holds(*held, now, lease_seconds):
                continue
            with self._write() as connection:
                same = until.is_not_distinct_from(job.lease_until)
                statement = sa.update(table).where(table.c.id == job.id, free, same)
                taken = statement.values(
                    state="working",
                    worker=worker,
                    lease_until=now + timedelta(seconds=lease_seconds),
                )
                if connection.execute(taken).rowcount == 1:
                    row = connection.execute(sa.select(table).where(table.c.id == job.id)).one()
                    return Job(**row._mapping)
        return None

    def job_progress(self, job: Job, done: int, total: int, lease_seconds: float) -> None:
        """Tell how far a job is, and hold it for another lease.

        Raises:
            LeaseLost: another worker has it.
        """
        until = self._now() + timedelta(seconds=lease_seconds)
        self._of_worker(job, done=done, total=total, lease_until=until)

    def leave_job(self, job: Job) -> None:
        """Let a job go, for any worker to take."""
        self._of_worker(job, state="waiting", worker=None, lease_until=None, done=0)

    def end_job(self, job: Job, error: str | None = None) -> None:
        """What was asked for lies on the disk; or why it cannot be made."""
        state = "done" if error is None else "failed"
        self._of_worker(
            job, state=state, error=error, ended_at=self._now(), worker=None, lease_until=None
        )

    def leave_dead_jobs(self, is_dead: Callable[[str], bool]) -> None:
        """Let the jobs go whose workers are known to have ended."""
        table = tables.jobs
        for job in self._records(Job, sa.select(table).where(table.c.state == "working")):
            if job.worker and is_dead(job.worker):
                self.leave_job(job)

    def _of_worker(self, job: Job, **columns: Any) -> None:
        table = tables.jobs
        with self._write() as connection:
            statement = sa.update(table).where(
                table.c.id == job.id, table.c.state == "working", table.c.worker == job.worker
            )
            if connection.execute(statement.values(columns)).rowcount != 1:
                raise LeaseLost(f"Cannot go on with job {job.id}: another worker has it.")


def _open() -> sa.ColumnElement[bool]:
    return tables.jobs.c.state.in_(("waiting", "working"))
