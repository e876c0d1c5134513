"""Runs, epochs, images, annotations, hints."""

import sqlalchemy as sa
from alembic import op

from backend.store.tables import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "runs",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer()),
        sa.Column("project_url", sa.Text()),
        sa.Column("paused_from", sa.String(16)),
        sa.Column("error", sa.Text()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("lease_owner", sa.Text()),
        sa.Column("lease_until", UtcDateTime()),
        sa.Column("fencing_token", sa.Integer(), nullable=False),
        sa.Column("retry_at", UtcDateTime()),
        sa.Column("polled_at", UtcDateTime()),
        sa.Column("stage", sa.String(32)),
        sa.Column("stage_done", sa.Integer()),
        sa.Column("stage_total", sa.Integer()),
        sa.Column("stage_started_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index("ix_runs_state", "runs", ["state"])
    op.create_index("ix_runs_project_id", "runs", ["project_id"])
    op.create_table(
        "epochs",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("generated_at", UtcDateTime()),
        sa.Column("published_at", UtcDateTime()),
        sa.Column("labelled_at", UtcDateTime()),
        sa.Column("learned_at", UtcDateTime()),
        sa.Column("seconds", sa.JSON(), nullable=False),
        sa.Column("report", sa.JSON()),
        sa.Column("best_index", sa.Integer()),
        sa.Column("best_reason", sa.Text()),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_epochs_run_id"),
        sa.PrimaryKeyConstraint("run_id", "epoch", name="pk_epochs"),
    )
    op.create_table(
        "images",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Integer()),
        sa.Column("verdict", sa.String(8)),
        sa.Column("verdict_reason", sa.Text()),
        sa.Column("reward", sa.Float()),
        sa.Column("prediction", sa.Float()),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_images_run_id"),
        sa.PrimaryKeyConstraint("run_id", "epoch", "index", name="pk_images"),
    )
    op.create_index("ix_images_task_id", "images", ["task_id"])
    op.create_table(
        "annotations",
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("ls_id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.Integer()),
        sa.Column("annotator", sa.Text()),
        sa.Column("value", sa.String(8)),
        sa.Column("problem", sa.Text()),
        sa.Column("lead_time", sa.Float()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("was_cancelled", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("frozen", sa.Boolean(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("late_value", sa.String(8)),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_annotations_run_id"),
        sa.PrimaryKeyConstraint("run_id", "ls_id", name="pk_annotations"),
    )
    op.create_index("ix_annotations_run_id", "annotations", ["run_id", "epoch"])
    op.create_table(
        "hints",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("epoch", sa.Integer()),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_hints_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_hints"),
    )
    op.create_index("ix_hints_run_id", "hints", ["run_id"])


def downgrade() -> None:
    """Drop them all."""
    for table in ("hints", "annotations", "images", "epochs", "runs"):
        op.drop_table(table)
