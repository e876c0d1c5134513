"""Rows to records, and the few statements that several of the store's parts need."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from backend.errors import LeaseLost, RunNotFound
from backend.run.comparison import Comparison
from backend.run.labelling import Labelling
from backend.run.records import Claim, Epoch, Run
from backend.run.states import State
from backend.store import tables

NO_LEASE = {"lease_owner": None, "lease_until": None}
NO_STAGE = {"stage": None, "stage_done": None, "stage_total": None, "stage_started_at": None}

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def record(kind: type[Record], row: Any) -> Record:
    """A row of a table as the record of the same columns."""
    values = dict(row._mapping)
    if kind is Run:
        values["state"] = State(values["state"])
        values["paused_from"] = State(values["paused_from"]) if values["paused_from"] else None
        values["labelling"] = Labelling(**values["labelling"])
    if kind is Comparison:
        values["prompts"] = values["prompt"]
    return kind(**{name: values[name] for name in _names(kind)})


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def of_run(table: sa.Table, run_id: str, epoch: int | None, order: str) -> sa.Select[Any]:
    """A table's rows of a run (or of one epoch of it), in order."""
    query = sa.select(table).where(table.c.run_id == run_id)
    if epoch is not None:
        query = query.where(table.c.epoch == epoch)
    return query.order_by(table.c.epoch, table.c[order])


def frozen_at(run_id: str, epoch: int) -> sa.Select[tuple[datetime | None]]:
    """When an epoch's verdicts were decided."""
    table = tables.epochs
    return sa.select(table.c.labelled_at).where(table.c.run_id == run_id, table.c.epoch == epoch)


def run_row(connection: Connection, run_id: str, lock: bool = False) -> Run:
    """The run as it stands in this transaction; locked against other writers if asked."""
    query = sa.select(tables.runs).where(tables.runs.c.id == run_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise RunNotFound(f"Cannot find the run {run_id!r}; `hero runs` lists the runs.")
    return record(Run, row)


def epoch_row(connection: Connection, run: Run) -> Epoch:
    """The row of the run's present epoch."""
    table = tables.epochs
    query = sa.select(table).where(table.c.run_id == run.id, table.c.epoch == run.epoch)
    return record(Epoch, connection.execute(query).one())


def check_claim(current: Run, claim: Claim) -> None:
    """Raise `LeaseLost` if the run is no longer held by this claim."""
    if (current.fencing_token, current.lease_owner) != (claim.fencing_token, claim.worker):
        raise LeaseLost(
            f"Cannot go on with the run {current.id}: it is {current.state} now, or another "
            "worker has it; this step is dropped."
        )


def update(connection: Connection, run_id: str, *conditions: Any, **columns: Any) -> bool:
    """Change a run's columns; False if it does not meet the conditions."""
    statement = sa.update(tables.runs).where(tables.runs.c.id == run_id, *conditions)
    return connection.execute(statement.values(columns)).rowcount == 1


def update_image(connection: Connection, run: Run, index: int, **columns: Any) -> None:
    """Change the columns of an image of the run's present epoch."""
    table = tables.images
    connection.execute(
        sa.update(table)
        .where(table.c.run_id == run.id, table.c.epoch == run.epoch, table.c.index == index)
        .values(columns)
    )


def update_epoch(
    connection: Connection, run: Run, seconds: Mapping[str, float], **columns: Any
) -> None:
    """Change the columns of the run's present epoch, and add to its seconds."""
    table = tables.epochs
    merged = {**epoch_row(connection, run).seconds, **seconds}
    connection.execute(
        sa.update(table)
        .where(table.c.run_id == run.id, table.c.epoch == run.epoch)
        .values(seconds=merged, **columns)
    )


def not_looked(at: sa.ColumnElement[Any], now: datetime, seconds: float) -> sa.ColumnElement[bool]:
    """Rows at which nobody has looked for so long, by the column that says when somebody did. A
    look in the future was one before the clock was set back."""
    return sa.or_(at.is_(None), at <= now - timedelta(seconds=seconds), at > now)
