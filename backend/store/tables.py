"""The database's tables (SQLAlchemy Core). Changing one needs a migration beside it."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC also where the database drops the zone (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: object) -> datetime | None:
        """UTC on the way in."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: object) -> datetime | None:
        """UTC on the way out."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Texts(TypeDecorator[tuple[str, ...]]):
    """Several texts in one column, with ASCII's record separator between; one stands as it is. A
    space takes the place of that sign within a text."""

    impl = Text
    cache_ok = True
    SEPARATOR = "\x1e"

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: object) -> str | None:
        """Joined on the way in."""
        if value is None:
            return None
        return self.SEPARATOR.join(text.replace(self.SEPARATOR, " ") for text in value)

    def process_result_value(self, value: str | None, dialect: object) -> tuple[str, ...] | None:
        """Apart on the way out."""
        return None if value is None else tuple(value.split(self.SEPARATOR))


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("prompt", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("config", JSON, nullable=False),
    Column("labelling", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("project_id", Integer),
    Column("project_url", Text),
    Column("project_gone", Boolean, nullable=False, server_default=false()),
    Column("paused_from", String(16)),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", UtcDateTime),
    Column("fencing_token", Integer, nullable=False),
    Column("retry_at", UtcDateTime),
    Column("postponed_at", UtcDateTime),
    Column("waiting_since", UtcDateTime),
    Column("polled_at", UtcDateTime),
    Column("stage", String(32)),
    Column("stage_done", Integer),
    Column("stage_total", Integer),
    Column("stage_started_at", UtcDateTime),
    Column("forecast", JSON(none_as_null=True)),
    Column("parent_id", String(64)),
    Column("parent_epoch", Integer),
    Column("parent_labels", Boolean, nullable=False, server_default=false()),
    Index("ix_runs_state", "state"),
    Index("ix_runs_project_id", "project_id", unique=True),
)

epochs = Table(
    "epochs",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("generated_at", UtcDateTime),
    Column("published_at", UtcDateTime),
    Column("labelled_at", UtcDateTime),
    Column("learned_at", UtcDateTime),
    Column("seconds", JSON, nullable=False),
    Column("report", JSON),
    Column("best_index", Integer),
    Column("best_reason", Text),
    Column("question_task_id", Integer),
    Column("further_bests", JSON(none_as_null=True)),
)

images = Table(
    "images",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("path", Text, nullable=False),
    Column("task_id", Integer),
    Column("asked", Boolean, nullable=False),
    Column("verdict", String(8)),
    Column("verdict_by", String(16)),
    Column("verdict_reason", Text),
    Column("reward", Float),
    Column("prediction", Float),
    Column("prompt", Text),
    Index("ix_images_task_id", "task_id"),
)

annotations = Table(
    "annotations",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("ls_id", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("task_id", Integer, nullable=False),
    Column("annotator_id", Integer),
    Column("annotator", Text),
    Column("value", String(8)),
    Column("problem", Text),
    Column("lead_time", Float),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("was_cancelled", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("frozen", Boolean, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("late_value", String(8)),
    Column("pick", Boolean, nullable=False, server_default=false()),
    Index("ix_annotations_run_id", "run_id", "epoch"),
)

hints = Table(
    "hints",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("epoch", Integer),
    Column("action", String(64), nullable=False),
    Column("annotation_id", BigInteger),
    Column("received_at", UtcDateTime, nullable=False),
    Index("ix_hints_run_id", "run_id"),
)

comparisons = Table(
    "comparisons",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("model_epoch", Integer, nullable=False),
    Column("against_run_id", String(64), nullable=False),
    Column("against_epoch", Integer),
    Column("prompt", Texts, nullable=False),
    Column("criteria", Texts, nullable=False),
    Column("pairs", Integer, nullable=False),
    Column("annotators_per_pair", Integer, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("sides", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("published_at", UtcDateTime),
    Column("project_id", Integer),
    Column("polled_at", UtcDateTime),
    Column("complete", Boolean, nullable=False),
    Index("ix_comparisons_run_id", "run_id"),
    Index("ix_comparisons_project_id", "project_id", unique=True),
)

pair_votes = Table(
    "pair_votes",
    metadata,
    Column("comparison_id", ForeignKey("comparisons.id"), primary_key=True),
    Column("ls_id", Integer, primary_key=True, autoincrement=False),
    Column("pair", Integer, nullable=False),
    Column("annotator_id", Integer),
    Column("annotator", Text),
    Column("choice", String(8)),
    Column("was_cancelled", Boolean, nullable=False),
    Column("lead_time", Float),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("options", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("error", Text),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("worker", Text),
    Column("lease_until", UtcDateTime),
    Index("ix_jobs_run_id", "run_id"),
)
