"""Runs of several prompts: each image's, and a best image of each."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns: all images are of the run's one prompt."""
    op.add_column("images", sa.Column("prompt", sa.Text()))
    op.add_column("epochs", sa.Column("further_bests", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    """Back to runs of one prompt."""
    op.drop_column("epochs", "further_bests")
    op.drop_column("images", "prompt")
