"""The only place that talks SQL: runs, epochs, images, annotations.

Every change of state is one transaction that compares (state, version) before it writes. A worker
holds a run by a lease; the lease's fencing token is compared at every commit, so that a worker
that was taken for dead, or whose run was paused, cannot write any more.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from backend import consensus, migrations, tables
from backend.errors import (
    DatabaseUnavailable,
    LeaseLost,
    RunAmbiguous,
    RunChanged,
    RunNotFound,
)
from backend.records import Annotation, Claim, Counts, Epoch, Hint, Image, Run
from backend.runs import ENDED, WORK, Event, State, next_state
from backend.settings import Settings

__all__ = [
    "Annotation",
    "Claim",
    "Counts",
    "Epoch",
    "Hint",
    "Image",
    "Run",
    "Store",
]

_Record = TypeVar("_Record")


class Store:
    """The database of one home folder, or one that several machines share."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] | None = None) -> None:
        self._engine = engine
        self._now = now or (lambda: datetime.now(UTC))

    @classmethod
    def open(cls, settings: Settings) -> "Store":
        """Connect, and bring the tables up to date.

        Raises:
            DatabaseUnavailable: the URL is wrong, or the database does not answer.
        """
        return cls.connect(settings.sqlalchemy_url)

    @classmethod
    def connect(cls, url: str, now: Callable[[], datetime] | None = None) -> "Store":
        """Like `open`, by SQLAlchemy URL; `now` replaces the clock."""
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() == "sqlite" and parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            engine = sa.create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
            if engine.dialect.name == "sqlite":
                sa.event.listen(engine, "connect", _sqlite_connect)
                sa.event.listen(engine, "begin", _sqlite_begin)
            _migrate(engine)
        except (DBAPIError, ArgumentError, NoSuchModuleError, OSError) as error:
            shown = url if "@" not in url else make_url(url).render_as_string(hide_password=True)
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise DatabaseUnavailable(
                f"Cannot open the database {shown}: {reason}; start it or correct "
                "HERO_DATABASE_URL."
            ) from error
        return cls(engine, now)

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    # -- runs ------------------------------------------------------------------------------

    @staticmethod
    def new_run_id(prompt: str) -> str:
        """A short id that a person can read: the prompt's words and four random characters."""
        words = [w for w in re.findall(r"[a-z0-9]+", prompt.lower()) if w not in _SMALL_WORDS]
        slug = "-".join(words[:4])[:32].strip("-") or "run"
        return f"{slug}-{''.join(secrets.choice(_BASE32) for _ in range(4))}"

    def create_run(
        self,
        config: Mapping[str, Any],
        *,
        title: str | None = None,
        run_id: str | None = None,
        project_id: int | None = None,
        project_url: str | None = None,
    ) -> Run:
        """A new run, ready to be worked on.

        Args:
            config: the engine's configuration as JSON; `prompt`, `epochs` and
                `images_per_epoch` are read here.
            title: what people call it; the prompt by default.
            run_id: from `new_run_id`, if its project exists already.
        """
        now = self._now()
        values = {
            "id": run_id or self.new_run_id(config["prompt"]),
            "prompt": config["prompt"],
            "title": title or config["prompt"],
            "config": dict(config),
            "state": State.generating,
            "version": 0,
            "epoch": 0,
            "project_id": project_id,
            "project_url": project_url,
            "created_at": now,
            "updated_at": now,
            "fencing_token": 0,
        }
        with self._write() as connection:
            connection.execute(sa.insert(tables.runs).values(values))
            return _run(connection, values["id"])

    def run(self, run_id: str) -> Run:
        """A run by its id, or by the beginning of it.

        Raises:
            RunNotFound: no run's id begins so.
            RunAmbiguous: several do.
        """
        with self._read() as connection:
            rows = connection.execute(
                sa.select(tables.runs).where(
                    tables.runs.c.id.startswith(run_id, autoescape=True) if run_id else sa.false()
                )
            ).all()
        found = [_record(Run, row) for row in rows]
        exact = [run for run in found if run.id == run_id]
        if len(found) > 1 and not exact:
            ids = ", ".join(sorted(run.id for run in found))
            raise RunAmbiguous(f"Cannot tell which run {run_id!r} means: {ids}; give more of it.")
        if not found:
            raise RunNotFound(
                f"Cannot find a run whose id begins with {run_id!r}; `hero status` lists the runs."
            )
        return (exact or found)[0]

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        query = sa.select(tables.runs).order_by(tables.runs.c.created_at.desc(), tables.runs.c.id)
        return self._records(Run, query)

    def run_of_project(self, project_id: int) -> Run | None:
        """The run whose images stand in a project of Label Studio."""
        query = (
            sa.select(tables.runs)
            .where(tables.runs.c.project_id == project_id)
            .order_by(tables.runs.c.created_at.desc())
            .limit(1)
        )
        return next(iter(self._records(Run, query)), None)

    def set_project(self, run_id: str, project_id: int, project_url: str) -> Run:
        """Remember the run's project in Label Studio."""
        with self._write() as connection:
            _update(connection, run_id, project_id=project_id, project_url=project_url)
            return _run(connection, run_id)

    def epochs(self, run_id: str) -> list[Epoch]:
        """A run's epochs so far, in order."""
        table = tables.epochs
        query = sa.select(table).where(table.c.run_id == run_id).order_by(table.c.epoch)
        return self._records(Epoch, query)

    def images(self, run_id: str, epoch: int | None = None) -> list[Image]:
        """A run's (or one epoch's) images, in order."""
        return self._records(Image, _of_run(tables.images, run_id, epoch, "index"))

    def annotations(self, run_id: str, epoch: int | None = None) -> list[Annotation]:
        """A run's (or one epoch's) annotations, deleted and late ones too, by id."""
        return self._records(Annotation, _of_run(tables.annotations, run_id, epoch, "ls_id"))

    def counts(self, run_id: str, epoch: int) -> Counts:
        """How far the labelling of an epoch is."""
        total = len(self.images(run_id, epoch)) or self.run(run_id).images_per_epoch
        rows = self.annotations(run_id, epoch)
        decision = consensus.decide(rows, total)
        annotators: dict[str, int] = {}
        for vote in consensus.latest_votes(rows):
            name = vote.annotator or f"user {vote.annotator_id}"
            annotators[name] = annotators.get(name, 0) + 1
        return Counts(
            labelled=decision.labelled,
            total=total,
            has_best=decision.best_index is not None,
            good=sum(verdict in ("good", "best") for verdict in decision.verdicts),
            bad=decision.verdicts.count("bad"),
            complete=decision.complete,
            annotators=annotators,
            problems=tuple(
                f"image {row.index}: {row.problem}"
                for row in rows
                if row.problem and not row.deleted
            ),
        )

    # -- changes of state ------------------------------------------------------------------

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
        current = _run(connection, run_id, lock=True)
        if claim is not None:
            _check_claim(current, claim)
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
            "polled_at": None,
            **_NO_STAGE,
        }
        if claim is None:
            changes |= {**_NO_LEASE, "fencing_token": current.fencing_token + 1}
        elif state not in WORK:
            changes |= _NO_LEASE
        changed = _update(
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
        return _run(connection, run_id)

    def batch_written(
        self,
        claim: Claim,
        paths: Sequence[str],
        predictions: Sequence[float] | None,
        seconds: float,
    ) -> Run:
        """generating -> publishing: an epoch's images lie on the disk.

        Args:
            paths: of the images, relative to the home's images folder, by index.
            predictions: similarity to the best so far (Eq. 4), if there is one.
            seconds: that generating took.
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
                        "prediction": predictions[index] if predictions else None,
                    }
                    for index, path in enumerate(paths)
                ],
            )
            return changed

    def published(self, claim: Claim, task_ids: Mapping[int, int], seconds: float) -> Run:
        """publishing -> labelling: every image (by index) has a task."""
        run = claim.run
        with self._write() as connection:
            changed = self._transition(connection, run, Event.published, claim, {})
            for index, task_id in task_ids.items():
                _update_image(connection, run, index, task_id=task_id)
            _update_epoch(connection, run, {"publishing": seconds}, published_at=self._now())
            return changed

    def freeze(
        self, claim: Claim, decide: Callable[[list[Annotation]], consensus.Decision]
    ) -> None:
        """Decide the epoch's verdicts from its annotations, and freeze those that count.

        Annotations that come or change afterwards are kept and marked late.
        """
        run = claim.run
        with self._write() as connection:
            _check_claim(_run(connection, run.id, lock=True), claim)
            rows = [
                _record(Annotation, row)
                for row in connection.execute(
                    _of_run(tables.annotations, run.id, run.epoch, "ls_id")
                )
            ]
            decision = decide(rows)
            counted = [vote.ls_id for vote in consensus.latest_votes(rows)]
            if counted:
                connection.execute(
                    sa.update(tables.annotations)
                    .where(
                        tables.annotations.c.run_id == run.id,
                        tables.annotations.c.ls_id.in_(counted),
                    )
                    .values(frozen=True)
                )
            for index, verdict in enumerate(decision.verdicts):
                reason = decision.reasons[index]
                _update_image(connection, run, index, verdict=verdict, verdict_reason=reason)
            row = _epoch(connection, run)
            now = self._now()
            waited = (now - row.published_at).total_seconds() if row.published_at else 0.0
            _update_epoch(
                connection,
                run,
                {"labelling": waited},
                labelled_at=now,
                best_index=decision.best_index,
                best_reason=decision.best_reason,
            )

    def learned(
        self,
        claim: Claim,
        report: Mapping[str, Any],
        rewards: Sequence[float | None],
        seconds: float,
    ) -> Run:
        """learning -> generating, or finished when this was the last epoch."""
        run = claim.run
        last = run.epoch + 1 >= run.epochs
        event = Event.finish if last else Event.learned
        with self._write() as connection:
            changed = self._transition(connection, run, event, claim, {"epoch": run.epoch + 1})
            for index, reward in enumerate(rewards):
                _update_image(connection, run, index, reward=reward)
            stages = {"learning": seconds, **(report.get("seconds") or {})}
            _update_epoch(connection, run, stages, learned_at=self._now(), report=dict(report))
            return changed

    # -- leases ----------------------------------------------------------------------------

    def claim(self, worker: str, lease_seconds: float) -> Claim | None:
        """Take a run that has something to do and that nobody holds; the longest waiting first."""
        runs = tables.runs
        now = self._now()
        free = sa.and_(
            runs.c.state.in_(WORK),
            sa.or_(runs.c.lease_until.is_(None), runs.c.lease_until < now),
            sa.or_(runs.c.retry_at.is_(None), runs.c.retry_at <= now),
        )
        candidates = self._records(
            Run, sa.select(runs).where(free).order_by(runs.c.updated_at, runs.c.id)
        )
        for candidate in candidates:
            token = candidate.fencing_token + 1
            with self._write() as connection:
                won = _update(
                    connection,
                    candidate.id,
                    free,
                    runs.c.version == candidate.version,
                    runs.c.fencing_token == candidate.fencing_token,
                    lease_owner=worker,
                    lease_until=now + timedelta(seconds=lease_seconds),
                    fencing_token=token,
                )
                if won:
                    run = _run(connection, candidate.id)
                    return Claim(run, worker, token, lease_seconds)
        return None

    def heartbeat(self, claim: Claim) -> None:
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

    def release(self, claim: Claim) -> None:
        """Let the run go, for any worker to take; nothing happens if it is lost already."""
        try:
            self._as_holder(claim, **_NO_LEASE)
        except LeaseLost:
            return

    def release_dead(self, is_dead: Callable[[str], bool]) -> None:
        """Let the runs go whose holders are known to have ended, without waiting for the lease."""
        held = sa.select(tables.runs).where(tables.runs.c.lease_owner.is_not(None))
        for run in self._records(Run, held):
            if run.lease_owner and is_dead(run.lease_owner):
                with self._write() as connection:
                    _update(
                        connection,
                        run.id,
                        tables.runs.c.fencing_token == run.fencing_token,
                        fencing_token=run.fencing_token + 1,
                        **_NO_LEASE,
                    )

    def postpone(self, claim: Claim, seconds: float, reason: str) -> None:
        """Let the run go, to be tried again in `seconds`; `reason` is shown as its error.

        Raises:
            LeaseLost: it was paused, stopped, or taken over.
        """
        retry_at = self._now() + timedelta(seconds=seconds)
        self._as_holder(claim, error=reason, retry_at=retry_at, **_NO_LEASE)

    def _as_holder(self, claim: Claim, **columns: Any) -> None:
        with self._write() as connection:
            if not _update(
                connection,
                claim.run.id,
                tables.runs.c.fencing_token == claim.fencing_token,
                tables.runs.c.lease_owner == claim.worker,
                **columns,
            ):
                _check_claim(_run(connection, claim.run.id), claim)

    # -- labels ----------------------------------------------------------------------------

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
        run = self.run_of_project(project_id)
        if run is None:
            return None
        images, rows = tables.images, tables.annotations
        with self._write() as connection:
            epoch = None
            if task_id is not None:
                epoch = connection.scalar(
                    sa.select(images.c.epoch).where(
                        images.c.run_id == run.id, images.c.task_id == task_id
                    )
                )
            if epoch is None and annotation_ids:
                epoch = connection.scalar(
                    sa.select(rows.c.epoch)
                    .where(rows.c.run_id == run.id, rows.c.ls_id.in_(annotation_ids))
                    .limit(1)
                )
            values = {
                "run_id": run.id,
                "epoch": epoch,
                "action": action,
                "received_at": self._now(),
            }
            inserted = connection.execute(sa.insert(tables.hints).values(values))
            return Hint(id=inserted.inserted_primary_key[0], **values)

    def take_due(
        self, poll_seconds: float, hint_seconds: float = 0.5
    ) -> list[tuple[Run, list[Hint]]]:
        """The runs whose labels should be fetched now, each with its hints.

        A run is due if it has hints and nobody has looked for `hint_seconds`, or if it is being
        labelled and nobody has looked for `poll_seconds`. Taking it counts as a look, so that of
        several workers one does it.
        """
        now = self._now()
        runs = tables.runs
        hinted = sa.select(tables.hints.c.run_id)
        due = sa.or_(
            sa.and_(
                runs.c.id.in_(hinted),
                sa.or_(
                    runs.c.polled_at.is_(None),
                    runs.c.polled_at <= now - timedelta(seconds=hint_seconds),
                ),
            ),
            sa.and_(
                runs.c.state == State.labelling,
                sa.or_(
                    runs.c.polled_at.is_(None),
                    runs.c.polled_at <= now - timedelta(seconds=poll_seconds),
                ),
            ),
        )
        taken = []
        for run in self._records(Run, sa.select(runs).where(due).order_by(runs.c.id)):
            with self._write() as connection:
                if not _update(connection, run.id, due, polled_at=now):
                    continue
                query = sa.select(tables.hints).where(tables.hints.c.run_id == run.id)
                found = connection.execute(query.order_by(tables.hints.c.id)).all()
                taken.append((run, [_record(Hint, row) for row in found]))
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

        Args:
            merge: from the rows there are and whether the epoch is frozen to the rows to write.

        Returns:
            The rows written.
        """
        table = tables.annotations
        with self._write() as connection:
            run = _run(connection, run_id, lock=True)
            query = _of_run(table, run_id, epoch, "ls_id")
            known = [_record(Annotation, row) for row in connection.execute(query)]
            frozen_at = connection.scalar(
                sa.select(tables.epochs.c.labelled_at).where(
                    tables.epochs.c.run_id == run.id, tables.epochs.c.epoch == epoch
                )
            )
            changed = list(merge(known, frozen_at is not None))
            ids = {row.ls_id for row in known}
            for row in changed:
                values = asdict(row)
                if row.ls_id in ids:
                    connection.execute(
                        sa.update(table)
                        .where(table.c.run_id == run_id, table.c.ls_id == row.ls_id)
                        .values(values)
                    )
                else:
                    connection.execute(sa.insert(table).values(values))
            return changed

    def note(self, run_id: str, error: str | None) -> None:
        """Show (or take back) what a run waits for; its state stays."""
        with self._write() as connection:
            _update(connection, run_id, error=error)

    # -- connections -----------------------------------------------------------------------

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        engine = self._engine.execution_options(hero_write=True)
        with engine.begin() as connection:
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            yield connection

    def _records(self, record: type[_Record], query: sa.Select[Any]) -> list[_Record]:
        with self._read() as connection:
            return [_record(record, row) for row in connection.execute(query)]


_BASE32 = "abcdefghjkmnpqrstvwxyz23456789"
_SMALL_WORDS = {"a", "an", "one", "the", "of", "in", "on", "at", "and", "with", "photo", "picture"}
_NO_LEASE = {"lease_owner": None, "lease_until": None}
_NO_STAGE = {"stage": None, "stage_done": None, "stage_total": None, "stage_started_at": None}


def _record(record: type[_Record], row: Any) -> _Record:
    values = dict(row._mapping)
    if record is Run:
        values["state"] = State(values["state"])
        values["paused_from"] = State(values["paused_from"]) if values["paused_from"] else None
    return record(**{field.name: values[field.name] for field in fields(record)})


def _of_run(table: sa.Table, run_id: str, epoch: int | None, order: str) -> sa.Select[Any]:
    query = sa.select(table).where(table.c.run_id == run_id)
    if epoch is not None:
        query = query.where(table.c.epoch == epoch)
    return query.order_by(table.c.epoch, table.c[order])


def _run(connection: Connection, run_id: str, lock: bool = False) -> Run:
    query = sa.select(tables.runs).where(tables.runs.c.id == run_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise RunNotFound(f"Cannot find the run {run_id!r}; `hero status` lists the runs.")
    return _record(Run, row)


def _epoch(connection: Connection, run: Run) -> Epoch:
    table = tables.epochs
    query = sa.select(table).where(table.c.run_id == run.id, table.c.epoch == run.epoch)
    return _record(Epoch, connection.execute(query).one())


def _check_claim(current: Run, claim: Claim) -> None:
    if (current.fencing_token, current.lease_owner) != (claim.fencing_token, claim.worker):
        raise LeaseLost(
            f"Cannot go on with the run {current.id}: it is {current.state} now, or another "
            "worker has it; this step is dropped."
        )


def _update(connection: Connection, run_id: str, *conditions: Any, **columns: Any) -> bool:
    statement = sa.update(tables.runs).where(tables.runs.c.id == run_id, *conditions)
    return connection.execute(statement.values(columns)).rowcount == 1


def _update_image(connection: Connection, run: Run, index: int, **columns: Any) -> None:
    table = tables.images
    connection.execute(
        sa.update(table)
        .where(table.c.run_id == run.id, table.c.epoch == run.epoch, table.c.index == index)
        .values(columns)
    )


def _update_epoch(
    connection: Connection, run: Run, seconds: Mapping[str, float], **columns: Any
) -> None:
    table = tables.epochs
    merged = {**_epoch(connection, run).seconds, **seconds}
    connection.execute(
        sa.update(table)
        .where(table.c.run_id == run.id, table.c.epoch == run.epoch)
        .values(seconds=merged, **columns)
    )


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "busy_timeout=15000",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("hero_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: Engine) -> None:
    """Apply the migrations that the database lacks; several processes may try at once."""
    with engine.connect() as connection:
        current = None
        if sa.inspect(connection).has_table("alembic_version"):
            current = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    if current == migrations.HEAD:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.execution_options(hero_write=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(4846520)"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
