"""The question which image is the best, and the answers to it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns: nobody was asked."""
    op.add_column("epochs", sa.Column("question_task_id", sa.Integer()))
    op.add_column(
        "annotations", sa.Column("pick", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Back to epochs in which nobody is asked."""
    op.drop_column("annotations", "pick")
    op.drop_column("epochs", "question_task_id")
