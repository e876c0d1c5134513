"""How much there is of everything, for whoever watches the service."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from backend.run.states import WORK, State
from backend.store import tables
from backend.store.database import Database
from backend.store.leases import free_runs


@dataclass(frozen=True)
class Spent:
    """Seconds, and in how many pieces."""

    seconds: float = 0.0
    count: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.seconds + other.seconds, self.count + other.count)


@dataclass(frozen=True)
class Measures:
    """The service at one moment."""

    runs: Mapping[State, int]
    waiting: Mapping[State, int]
    """Runs by the step that they stand at, where a worker could take them now."""
    longest_wait: float
    """Seconds since the first of those came to stand there."""
    jobs: Mapping[str, int]
    """What is asked for on run pages, by state."""
    labels: int
    """Images judged by people, each person's counted."""
    stages: Mapping[str, Spent]
    """What each stage of all epochs took."""
    between_batches: Spent
    """From an epoch's last label to the next batch in Label Studio."""


class Measuring(Database):
    """Counts by the database itself."""

    def measures(self) -> Measures:
        """As they are now, in one transaction."""
        runs, epochs, labels, jobs = tables.runs, tables.epochs, tables.annotations, tables.jobs
        now = self._now()
        with self._read() as connection:
            states = Counter(map(State, connection.scalars(sa.select(runs.c.state))))
            query = sa.select(runs.c.state, runs.c.updated_at).where(free_runs(now, WORK))
            waiting = [(State(state), since) for state, since in connection.execute(query)]
            asked = Counter(connection.scalars(sa.select(jobs.c.state)))
            judged = sa.select(sa.func.count()).where(
                labels.c.value.is_not(None), ~labels.c.deleted, ~labels.c.pick
            )
            count = connection.scalar(judged) or 0
            query = sa.select(
                epochs.c.run_id,
                epochs.c.epoch,
                epochs.c.seconds,
                epochs.c.labelled_at,
                epochs.c.published_at,
            )
            rows = connection.execute(query).all()
        stages: dict[str, Spent] = defaultdict(Spent)
        for row in rows:
            for stage, seconds in row.seconds.items():
                stages[stage] += Spent(seconds, 1)
        published = {(row.run_id, row.epoch): row.published_at for row in rows}
        between = Spent()
        for row in rows:
            following = published.get((row.run_id, row.epoch + 1))
            if row.labelled_at is not None and following is not None:
                between += Spent(max((following - row.labelled_at).total_seconds(), 0.0), 1)
        waits = [(now - since).total_seconds() for _, since in waiting]
        return Measures(
            runs={state: states[state] for state in State},
            waiting={state: sum(state is each for each, _ in waiting) for state in WORK},
            longest_wait=max([0.0, *waits]),
            jobs=asked,
            labels=count,
            stages=dict(stages),
            between_batches=between,
        )
