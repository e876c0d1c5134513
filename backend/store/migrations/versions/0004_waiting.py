"""Since when a run waits, and whether its project was seen to be gone."""

import sqlalchemy as sa
from alembic import op

from backend.store.tables import UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns: nothing waits, and every project is where it was."""
    op.add_column("runs", sa.Column("waiting_since", UtcDateTime()))
    op.add_column(
        "runs", sa.Column("project_gone", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Back to runs that forget their projects."""
    op.drop_column("runs", "project_gone")
    op.drop_column("runs", "waiting_since")
