"""Leases: a worker holds a run for a while, and every commit of its checks that it still does."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from backend.errors import LeaseLost
from backend.run.records import Claim, Run
from backend.run.states import WORK, State
from backend.store import tables
from backend.store.database import Database
from backend.store.not_renewed import NotRenewed
from backend.store.rows import NO_LEASE, check_claim, run_row, update


class Leases(Database):
    """Taking, keeping and letting go of runs."""

    @cached_property
    def _not_renewed(self) -> NotRenewed:
        return NotRenewed()

    def claim(
        self, worker: str, lease_seconds: float, steps: Collection[State] = WORK
    ) -> Claim | None:
        """Take a run that stands at one of these steps and that nobody holds; the longest waiting
        first.

        Args:
            lease_seconds: of all workers. A lease that lasts longer is of a clock that was set back
                since: it ends when nobody has renewed it for twice as long.
        """
        runs = tables.runs
        now = self._now()
        too_long = runs.c.lease_until > now + timedelta(seconds=2 * lease_seconds)
        free = free_runs(now, steps, too_long)
        candidates = self._records(
            Run, sa.select(runs).where(free).order_by(runs.c.updated_at, runs.c.id)
        )
        for candidate in candidates:
            holder, until = candidate.fencing_token, candidate.lease_until
            if self._not_renewed.holds(candidate.id, holder, until, now, lease_seconds):
                continue
            token = candidate.fencing_token + 1
            with self._write() as connection:
                won = update(
                    connection,
                    candidate.id,
                    free,
                    runs.c.version == candidate.version,
                    runs.c.fencing_token == candidate.fencing_token,
                    runs.c.lease_until.is_not_distinct_from(candidate.lease_until),
                    lease_owner=worker,
                    lease_until=now + timedelta(seconds=lease_seconds),
                    fencing_token=token,
                )
                if won:
                    run = run_row(connection, candidate.id)
                    return Claim(run, worker, token, lease_seconds)
        return None

    def work_waits(self, steps: Collection[State] = WORK) -> bool:
        """Whether there is a run to claim."""
        with self._read() as connection:
            waiting = sa.select(tables.runs.c.id).where(free_runs(self._now(), steps)).limit(1)
            return connection.scalar(waiting) is not None

    def renew(self, claim: Claim) -> None:
        """Hold the run for another lease.

        Raises:
            LeaseLost: it was paused, stopped, or taken over.
        """
        until = self._now() + timedelta(seconds=claim.lease_seconds)
        self._as_holder(claim, lease_until=until)

    def progress(
        self, claim: Claim, stage: str, done: int, total: int, started_at: datetime
    ) -> None:
        """Tell how far the current step is, for people who watch.

        Raises:
            LeaseLost: it was paused, stopped, or taken over.
        """
        self._as_holder(
            claim,
            stage=stage,
            stage_done=done,
            stage_total=total,
            stage_started_at=started_at,
        )

    def tried(self, claim: Claim, config: Mapping[str, Any], forecast: Mapping[str, Any]) -> Run:
        """Remember what the trial of a run's model found: the configuration with numbers where it
        said `auto`, and what an epoch takes.

        Raises:
            LeaseLost: it was paused, stopped, or taken over.
        """
        self._as_holder(claim, config=dict(config), forecast=dict(forecast))
        with self._read() as connection:
            return run_row(connection, claim.run.id)

    def release(self, claim: Claim) -> None:
        """Let the run go, for any worker to take; nothing happens if it is lost already."""
        try:
            self._as_holder(claim, **NO_LEASE)
        except LeaseLost:
            return

    def release_dead(self, is_dead: Callable[[str], bool]) -> None:
        """Let the runs go whose holders are known to have ended, without waiting for the lease."""
        held = sa.select(tables.runs).where(tables.runs.c.lease_owner.is_not(None))
        for run in self._records(Run, held):
            if run.lease_owner and is_dead(run.lease_owner):
                with self._write() as connection:
                    update(
                        connection,
                        run.id,
                        tables.runs.c.fencing_token == run.fencing_token,
                        fencing_token=run.fencing_token + 1,
                        **NO_LEASE,
                    )

    def postpone(self, claim: Claim, seconds: float, reason: str) -> None:
        """Let the run go, to be tried again in `seconds`; `reason` is shown as its error.

        Raises:
            LeaseLost: it was paused, stopped, or taken over.
        """
        now = self._now()
        self._as_holder(
            claim,
            error=reason,
            retry_at=now + timedelta(seconds=seconds),
            postponed_at=now,
            waiting_since=sa.case(
                (tables.runs.c.waiting_since <= now, tables.runs.c.waiting_since), else_=now
            ),
            **NO_LEASE,
        )

    def _as_holder(self, claim: Claim, **columns: Any) -> None:
        with self._write() as connection:
            if not update(
                connection,
                claim.run.id,
                tables.runs.c.fencing_token == claim.fencing_token,
                tables.runs.c.lease_owner == claim.worker,
                **columns,
            ):
                check_claim(run_row(connection, claim.run.id), claim)


def free_runs(
    now: datetime, steps: Collection[State], also: sa.ColumnElement[bool] | None = None
) -> sa.ColumnElement[bool]:
    """Runs that stand at one of these steps and that nobody holds.

    A wait that begins in the future is of a clock that was set back since: it is over.

    Args:
        also: leases that do not count.
    """
    runs = tables.runs
    ended = [runs.c.lease_until.is_(None), runs.c.lease_until < now]
    if also is not None:
        ended.append(also)
    return sa.and_(
        runs.c.state.in_(steps),
        sa.or_(*ended),
        sa.or_(runs.c.postponed_at.is_(None), runs.c.postponed_at > now, runs.c.retry_at <= now),
    )
