"""What an epoch of a run takes, as its trial found."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; runs that were there have had no trial."""
    op.add_column("runs", sa.Column("forecast", sa.JSON()))


def downgrade() -> None:
    """Back to runs without a trial."""
    op.drop_column("runs", "forecast")
