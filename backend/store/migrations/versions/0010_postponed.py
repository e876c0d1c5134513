"""When a run was put off, so that a clock that is set back does not make it wait longer."""

import sqlalchemy as sa
from alembic import op

from backend.store.tables import UtcDateTime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column: runs that wait now are tried at once."""
    op.add_column("runs", sa.Column("postponed_at", UtcDateTime()))


def downgrade() -> None:
    """Back to waits of which only the end is known."""
    op.drop_column("runs", "postponed_at")
