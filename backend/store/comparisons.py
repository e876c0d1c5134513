"""Blind comparisons, and the votes on their pairs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from backend.run.comparison import Comparison, PairVote
from backend.store import tables
from backend.store.database import Database
from backend.store.rows import not_looked, record


class Comparisons(Database):
    """Making comparisons, and remembering what people said."""

    def create_comparison(
        self, run_id: str, *, prompts: Sequence[str], **columns: Any
    ) -> Comparison:
        """A new comparison of a run, not drawn yet; `columns` are the others of `Comparison`."""
        table = tables.comparisons
        with self._write() as connection:
            last = connection.scalar(
                sa.select(sa.func.max(table.c.number)).where(table.c.run_id == run_id)
            )
            number = (last or 0) + 1
            made = f"{run_id}-ab-{number}"
            connection.execute(
                sa.insert(table).values(
                    id=made,
                    run_id=run_id,
                    number=number,
                    created_at=self._now(),
                    complete=False,
                    prompt=prompts,
                    **columns,
                )
            )
            row = connection.execute(sa.select(table).where(table.c.id == made)).one()
            return record(Comparison, row)

    def comparisons(self, run_id: str) -> list[Comparison]:
        """A run's comparisons, the newest first."""
        table = tables.comparisons
        query = sa.select(table).where(table.c.run_id == run_id)
        return self._records(Comparison, query.order_by(table.c.number.desc()))

    def comparison_of_project(self, project_id: int) -> Comparison | None:
        """The comparison whose pairs stand in a project of Label Studio."""
        table = tables.comparisons
        query = sa.select(table).where(table.c.project_id == project_id)
        return next(iter(self._records(Comparison, query)), None)

    def comparison_published(self, comparison: Comparison, project_id: int) -> None:
        """All pairs stand in this project."""
        self._change(comparison.id, project_id=project_id, published_at=self._now())

    def look_at_comparison(self, comparison: Comparison) -> None:
        """Let its votes be fetched soon."""
        self._change(comparison.id, polled_at=None)

    def take_due_comparisons(self, poll_seconds: float) -> list[Comparison]:
        """The comparisons whose votes should be fetched now: something was heard of them, or they
        are open and nobody has looked for `poll_seconds`. Taking one counts as a look."""
        table, now = tables.comparisons, self._now()
        due = sa.and_(
            table.c.published_at.is_not(None),
            sa.or_(
                table.c.polled_at.is_(None),
                sa.and_(
                    sa.not_(table.c.complete),
                    not_looked(table.c.polled_at, now, poll_seconds),
                ),
            ),
        )
        found = self._records(Comparison, sa.select(table).where(due).order_by(table.c.id))
        return [each for each in found if self._change(each.id, due, polled_at=now)]

    def set_pair_votes(
        self, comparison: Comparison, votes: Sequence[PairVote], *, complete: bool
    ) -> None:
        """Let the votes on a comparison's pairs be these."""
        table = tables.pair_votes
        with self._write() as connection:
            connection.execute(sa.delete(table).where(table.c.comparison_id == comparison.id))
            if votes:
                connection.execute(sa.insert(table), [asdict(vote) for vote in votes])
            connection.execute(
                sa.update(tables.comparisons)
                .where(tables.comparisons.c.id == comparison.id)
                .values(complete=complete, polled_at=self._now())
            )

    def end_comparison(self, comparison: Comparison) -> None:
        """Its project is gone: nobody looks for votes any more."""
        self._change(comparison.id, complete=True)

    def pair_votes(self, comparison_id: str) -> list[PairVote]:
        """What people said of a comparison's pairs, by pair and annotation."""
        table = tables.pair_votes
        query = sa.select(table).where(table.c.comparison_id == comparison_id)
        return self._records(PairVote, query.order_by(table.c.pair, table.c.ls_id))

    def _change(self, comparison_id: str, *conditions: Any, **columns: Any) -> bool:
        table = tables.comparisons
        statement = sa.update(table).where(table.c.id == comparison_id, *conditions)
        with self._write() as connection:
            return connection.execute(statement.values(columns)).rowcount == 1
