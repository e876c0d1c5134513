"""Blind comparisons, the votes on their pairs, and the run that a run goes on from."""

import sqlalchemy as sa
from alembic import op

from backend.store.tables import UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables and add the columns: no run has been compared, none goes on from another."""
    op.create_table(
        "comparisons",
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("run_id", sa.String(64), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("model_epoch", sa.Integer(), nullable=False),
        sa.Column("against_run_id", sa.String(64), nullable=False),
        sa.Column("against_epoch", sa.Integer()),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("criteria", sa.Text(), nullable=False),
        sa.Column("pairs", sa.Integer(), nullable=False),
        sa.Column("annotators_per_pair", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("sides", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("published_at", UtcDateTime()),
        sa.Column("project_id", sa.Integer()),
        sa.Column("polled_at", UtcDateTime()),
        sa.Column("complete", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_comparisons_run_id", "comparisons", ["run_id"])
    op.create_index("ix_comparisons_project_id", "comparisons", ["project_id"], unique=True)
    op.create_table(
        "pair_votes",
        sa.Column(
            "comparison_id", sa.String(80), sa.ForeignKey("comparisons.id"), primary_key=True
        ),
        sa.Column("ls_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("pair", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.Integer()),
        sa.Column("annotator", sa.Text()),
        sa.Column("choice", sa.String(8)),
        sa.Column("was_cancelled", sa.Boolean(), nullable=False),
        sa.Column("lead_time", sa.Float()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
    )
    op.add_column("runs", sa.Column("parent_id", sa.String(64)))
    op.add_column("runs", sa.Column("parent_epoch", sa.Integer()))
    op.add_column(
        "runs", sa.Column("parent_labels", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Back to runs that stand alone and are not compared."""
    op.drop_column("runs", "parent_labels")
    op.drop_column("runs", "parent_epoch")
    op.drop_column("runs", "parent_id")
    op.drop_table("pair_votes")
    op.drop_table("comparisons")
