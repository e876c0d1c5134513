"""Changes of state: one transaction each, with all the rows that the change stands for."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from backend.errors import RunChanged
from backend.run.records import NEVER, Annotation, Claim, Run, Verdicts
from backend.run.states import ENDED, WORK, Event, next_state
from backend.store import tables
from backend.store.database import Database
from backend.store.rows import (
    NO_LEASE,
    NO_STAGE,
    check_claim,
    epoch_row,
    of_run,
    record,
    run_row,
    update,
    update_epoch,
    update_image,
)


class Steps(Database):
    """Letting events happen to runs."""

    def transition(
        self, run: Run | str, event: Event, *, claim: Claim | None = None, **columns: Any
    ) -> Run:
        """Let `event` happen to a run: one transaction.

        Args:
            run: as it was read, then it must not have changed since; or its id, then whatever
                state it is in.
            claim: of the worker whose step this ends. Without one, a worker that holds the run
                loses it.
            columns: further columns of the run to set (such as `error`).

        Returns:
            The run as it is now.

        Raises:
            WrongState: the event may not happen now.
            RunChanged: the run is no longer as it was read.
            LeaseLost: the claim is no longer the run's.
        """
        with self._write() as connection:
            return self._transition(connection, run, event, claim, columns)

    def _transition(
        self,
        connection: Connection,
        run: Run | str,
        event: Event,
        claim: Claim | None,
        columns: Mapping[str, Any],
    ) -> Run:
        run_id = run if isinstance(run, str) else run.id
        current = run_row(connection, run_id, lock=True)
        if claim is not None:
            check_claim(current, claim)
        if isinstance(run, Run) and (run.state, run.version) != (current.state, current.version):
            raise RunChanged(
                f"Cannot {event.replace('_', ' ')} the run {run_id}: it went from {run.state} to "
                f"{current.state} meanwhile; look at it again."
            )
        state, paused_from = next_state(current.state, event, current.paused_from)
        changes = {
            "state": state,
            "paused_from": paused_from,
            "version": current.version + 1,
            "updated_at": self._now(),
            "error": None,
            "retry_at": None,
            "postponed_at": None,
            "waiting_since": None,
            "polled_at": None,
            **NO_STAGE,
        }
        if claim is None:
            changes |= {**NO_LEASE, "fencing_token": current.fencing_token + 1}
        elif state not in WORK:
            changes |= NO_LEASE
        changed = update(
            connection,
            run_id,
            tables.runs.c.version == current.version,
            tables.runs.c.fencing_token == current.fencing_token,
            **{**changes, **columns},
        )
        if not changed:
            raise RunChanged(f"Cannot change the run {run_id}: somebody else just did; try again.")
        if state in ENDED:
            connection.execute(sa.delete(tables.hints).where(tables.hints.c.run_id == run_id))
        return run_row(connection, run_id)

    def extend(self, run: Run, epochs: int) -> Run:
        """finished -> generating: the run goes on for so many more epochs, and then ends whatever
        its labels say.

        Raises:
            WrongState, RunChanged
        """
        config = {**run.config, "epochs": run.epoch + epochs}
        if "until" in config:
            config["until"] = NEVER
        return self.transition(run, Event.extend, config=config)

    def batch_written(
        self,
        claim: Claim,
        paths: Sequence[str],
        predictions: Sequence[float | None] | None,
        seconds: float,
        asked: Collection[int] | None = None,
        prompts: Sequence[str] = (),
    ) -> Run:
        """generating -> publishing: an epoch's images lie on the disk.

        Args:
            paths: of the images, relative to the home's images folder, by index.
            predictions: similarity to the best so far (Eq. 4), if there is one.
            seconds: that generating took.
            asked: the images that people are asked about; all by default.
            prompts: of the images, by index, in a run of several prompts.
        """
        run = claim.run
        with self._write() as connection:
            changed = self._transition(connection, run, Event.batch_written, claim, {})
            connection.execute(
                sa.insert(tables.epochs).values(
                    run_id=run.id,
                    epoch=run.epoch,
                    generated_at=self._now(),
                    seconds={"generating": seconds},
                )
            )
            connection.execute(
                sa.insert(tables.images),
                [
                    {
                        "run_id": run.id,
                        "epoch": run.epoch,
                        "index": index,
                        "path": path,
                        "asked": asked is None or index in asked,
                        "prediction": predictions[index] if predictions else None,
                        "prompt": prompts[index] if prompts else None,
                    }
                    for index, path in enumerate(paths)
                ],
            )
            return changed

    def forget_tasks(self, claim: Claim) -> None:
        """Before tasks are made of an epoch's images: forget those that they had.

        Label Studio on SQLite gives a new task the number of one that was deleted, and so what was
        known of that number would be said of another image.
        """
        images = tables.images
        with self._write() as connection:
            run = run_row(connection, claim.run.id, lock=True)
            check_claim(run, claim)
            this = (images.c.run_id == run.id, images.c.epoch == run.epoch)
            connection.execute(sa.update(images).where(*this).values(task_id=None))

    def published(self, claim: Claim, task_ids: Mapping[int, int], seconds: float) -> Run:
        """publishing -> labelling: every image that people are asked about (by index) has a task.

        An epoch that was published before keeps its times.
        """
        run = claim.run
        with self._write() as connection:
            changed = self._transition(connection, run, Event.published, claim, {})
            for index, task_id in task_ids.items():
                update_image(connection, run, index, task_id=task_id)
            if epoch_row(connection, run).published_at is None:
                update_epoch(connection, run, {"publishing": seconds}, published_at=self._now())
            return changed

    def asked(self, run: Run, task_id: int | None) -> None:
        """Remember the task in which people are asked which image of the present epoch is the best.

        Raises:
            RunChanged: the run is no longer as it was read.
        """
        with self._write() as connection:
            current = run_row(connection, run.id, lock=True)
            if (run.state, run.version) != (current.state, current.version):
                raise RunChanged(f"Cannot ask for the best of the run {run.id}: it has gone on.")
            update_epoch(connection, run, {}, question_task_id=task_id)

    def freeze(self, claim: Claim, rows: Iterable[Annotation], verdicts: Verdicts) -> bool:
        """Close the epoch with these verdicts, and freeze the annotations that count.

        Annotations that come or change afterwards are kept and marked late. What is frozen already
        stays as it is.

        Args:
            rows: the epoch's annotations, from which the verdicts were made.

        Returns:
            False if the epoch has other annotations by now: nothing was changed, decide again.
        """
        run = claim.run
        table = tables.annotations
        with self._write() as connection:
            check_claim(run_row(connection, run.id, lock=True), claim)
            if epoch_row(connection, run).labelled_at is not None:
                return True
            found = connection.execute(of_run(table, run.id, run.epoch, "ls_id"))
            if _by_key(record(Annotation, row) for row in found) != _by_key(rows):
                return False
            if verdicts.counted:
                connection.execute(
                    sa.update(table)
                    .where(
                        table.c.run_id == run.id,
                        table.c.epoch == run.epoch,
                        sa.tuple_(table.c.ls_id, table.c.index).in_(verdicts.counted),
                    )
                    .values(frozen=True)
                )
            for index, image in enumerate(verdicts.images):
                update_image(
                    connection,
                    run,
                    index,
                    verdict=image.value,
                    verdict_by=image.by,
                    verdict_reason=image.reason,
                )
            row = epoch_row(connection, run)
            now = self._now()
            waited = (now - row.published_at).total_seconds() if row.published_at else 0.0
            update_epoch(
                connection,
                run,
                {"labelling": waited},
                labelled_at=now,
                best_index=verdicts.best_index,
                best_reason=verdicts.best_reason,
                further_bests=[i for i in verdicts.bests if i != verdicts.best_index] or None,
            )
            return True

    def learned(
        self,
        claim: Claim,
        report: Mapping[str, Any],
        rewards: Sequence[float | None],
        seconds: float,
    ) -> Run:
        """learning -> generating, or finished when this was the last epoch, or the labels prove
        the model good enough."""
        run = claim.run
        last = run.epoch + 1 >= run.epochs
        enough = report.get("good_enough") and run.ends_when_good_enough
        event = Event.finish if last or enough else Event.learned
        with self._write() as connection:
            changed = self._transition(connection, run, event, claim, {"epoch": run.epoch + 1})
            for index, reward in enumerate(rewards):
                update_image(connection, run, index, reward=reward)
            stages = {"learning": seconds, **(report.get("seconds") or {})}
            update_epoch(connection, run, stages, learned_at=self._now(), report=dict(report))
            return changed


def _by_key(rows: Iterable[Annotation]) -> dict[tuple[int, int], Annotation]:
    """An epoch's annotations, in whatever order they came."""
    return {(row.ls_id, row.index): row for row in rows}
