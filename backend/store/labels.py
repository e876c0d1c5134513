"""Annotations, and the hints that there are new ones."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

import sqlalchemy as sa

from backend.run.records import Annotation, Hint, Run
from backend.run.states import State
from backend.run.webhook_contract import ANNOTATION_CREATED
from backend.store import tables
from backend.store.rows import frozen_at, not_looked, of_run, record, run_row, update
from backend.store.runs import Runs


class Labels(Runs):
    """Collecting what people said."""

    def hint(
        self,
        project_id: int,
        action: str,
        *,
        task_id: int | None = None,
        annotation_ids: Sequence[int] = (),
    ) -> Hint | None:
        """Note that something happened in a project, so that it is looked at soon.

        Returns:
            The hint; None if no run belongs to the project.
        """
        runs, images, rows = tables.runs, tables.images, tables.annotations
        with self._write() as connection:
            run_id = connection.scalar(sa.select(runs.c.id).where(runs.c.project_id == project_id))
            if run_id is None:
                return None
            epoch = None
            if task_id is not None:
                epoch = connection.scalar(
                    sa.select(images.c.epoch).where(
                        images.c.run_id == run_id, images.c.task_id == task_id
                    )
                )
            if epoch is None and annotation_ids:
                epoch = connection.scalar(
                    sa.select(rows.c.epoch)
                    .where(rows.c.run_id == run_id, rows.c.ls_id.in_(annotation_ids))
                    .limit(1)
                )
            now = self._now()
            about = annotation_ids[0] if len(annotation_ids) == 1 else None
            inserted = sa.insert(tables.hints).values(
                run_id=run_id, epoch=epoch, action=action, received_at=now, annotation_id=about
            )
            number = connection.execute(inserted.returning(tables.hints.c.id)).scalar_one()
            return Hint(number, run_id, epoch, action, now, about)

    def unseen(self, run: Run) -> int:
        """How many annotations of the present epoch Label Studio has told of that are not fetched
        yet."""
        hints, rows = tables.hints, tables.annotations
        fetched = sa.select(rows.c.ls_id).where(
            rows.c.run_id == run.id, rows.c.ls_id == hints.c.annotation_id
        )
        told = sa.select(sa.func.count(hints.c.annotation_id.distinct())).where(
            hints.c.run_id == run.id,
            hints.c.action == ANNOTATION_CREATED,
            sa.or_(hints.c.epoch == run.epoch, hints.c.epoch.is_(None)),
            ~fetched.exists(),
        )
        with self._read() as connection:
            return connection.scalar(told) or 0

    def take_due(
        self, poll_seconds: float, hint_seconds: float = 0.5
    ) -> list[tuple[Run, list[Hint]]]:
        """The runs whose labels should be fetched now, each with its hints.

        A run is due if it has hints and nobody has looked for `hint_seconds`, or if it is being
        labelled and nobody has looked for `poll_seconds`. Taking it counts as a look, so that of
        several workers one does it. A look in the future was one before the clock was set back.
        """
        now = self._now()
        runs = tables.runs
        hinted = sa.select(tables.hints.c.run_id)
        due = sa.or_(
            sa.and_(
                runs.c.id.in_(hinted),
                not_looked(runs.c.polled_at, now, hint_seconds),
            ),
            sa.and_(
                runs.c.state == State.labelling,
                not_looked(runs.c.polled_at, now, poll_seconds),
            ),
        )
        taken = []
        for run in self._records(Run, sa.select(runs).where(due).order_by(runs.c.id)):
            with self._write() as connection:
                if not update(connection, run.id, due, polled_at=now):
                    continue
                query = sa.select(tables.hints).where(tables.hints.c.run_id == run.id)
                found = connection.execute(query.order_by(tables.hints.c.id)).all()
                taken.append((run, [record(Hint, row) for row in found]))
        return taken

    def clear_hints(self, hints: Iterable[Hint]) -> None:
        """Forget hints that were followed."""
        ids = [hint.id for hint in hints]
        if ids:
            with self._write() as connection:
                connection.execute(sa.delete(tables.hints).where(tables.hints.c.id.in_(ids)))

    def merge_annotations(
        self,
        run_id: str,
        epoch: int,
        merge: Callable[[list[Annotation], bool], Iterable[Annotation]],
    ) -> list[Annotation]:
        """Change an epoch's annotations in one transaction.

        What changes is worked out before the transaction begins, so that webhooks do not wait for
        it, and once more within it if those rows are other ones by then.

        Args:
            merge: from the rows there are and whether the epoch is frozen to the rows to write;
                what it makes of an annotation depends on no other one.

        Returns:
            The rows written.
        """
        table = tables.annotations
        query = of_run(table, run_id, epoch, "ls_id")
        with self._read() as connection:
            rows = connection.execute(query).all()
            frozen = connection.scalar(frozen_at(run_id, epoch)) is not None
        known = [record(Annotation, row) for row in rows]
        changed = list(merge(known, frozen))
        if not changed:
            return []
        with self._write() as connection:
            run = run_row(connection, run_id, lock=True)
            now_frozen = connection.scalar(frozen_at(run.id, epoch)) is not None
            ids = {row.ls_id for row in changed}
            there = connection.execute(query.where(table.c.ls_id.in_(ids))).all()
            if now_frozen != frozen or there != [row for row in rows if row.ls_id in ids]:
                known = [record(Annotation, row) for row in connection.execute(query)]
                changed = list(merge(known, now_frozen))
            keys = {(row.ls_id, row.index) for row in known}
            new = [asdict(row) for row in changed if (row.ls_id, row.index) not in keys]
            old = [asdict(row) for row in changed if (row.ls_id, row.index) in keys]
            if new:
                connection.execute(sa.insert(table), new)
            if old:
                key = table.primary_key.columns
                this = [column == sa.bindparam(f"this_{column.name}") for column in key]
                values = [
                    row | {f"this_{column.name}": row[column.name] for column in key} for row in old
                ]
                connection.execute(sa.update(table).where(*this), values)
            return changed
