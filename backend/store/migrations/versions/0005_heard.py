"""Which annotation a hint is about."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column; hints that were there do not say it."""
    op.add_column("hints", sa.Column("annotation_id", sa.BigInteger()))


def downgrade() -> None:
    """Back to hints of a run and an epoch."""
    op.drop_column("hints", "annotation_id")
