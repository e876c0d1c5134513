"""Labelling plans; whom an image is judged by; annotations that say something of several images."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; the rows there are get what was the only way to label before.

    Of several runs in one project, which is refused now, the newest keeps it, as before.
    """
    op.add_column("runs", sa.Column("labelling", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column(
        "images", sa.Column("asked", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    op.add_column("images", sa.Column("verdict_by", sa.String(16)))
    op.execute("UPDATE images SET verdict_by = 'people' WHERE verdict IS NOT NULL")
    op.execute(
        "UPDATE runs SET project_id = NULL WHERE EXISTS (SELECT 1 FROM runs AS newer "
        "WHERE newer.project_id = runs.project_id AND (newer.created_at > runs.created_at "
        "OR (newer.created_at = runs.created_at AND newer.id > runs.id)))"
    )
    op.drop_index("ix_runs_project_id", "runs")
    op.create_index("ix_runs_project_id", "runs", ["project_id"], unique=True)
    with op.batch_alter_table("annotations") as batch:
        batch.drop_constraint("pk_annotations", type_="primary")
        batch.create_primary_key("pk_annotations", ["run_id", "ls_id", "epoch", "index"])


def downgrade() -> None:
    """Back to one image an annotation; what galleries said goes."""
    op.execute(
        "DELETE FROM annotations WHERE run_id IN (SELECT run_id FROM annotations GROUP BY "
        "run_id, ls_id HAVING count(*) > 1)"
    )
    with op.batch_alter_table("annotations") as batch:
        batch.drop_constraint("pk_annotations", type_="primary")
        batch.create_primary_key("pk_annotations", ["run_id", "ls_id"])
    op.drop_index("ix_runs_project_id", "runs")
    op.create_index("ix_runs_project_id", "runs", ["project_id"])
    op.drop_column("images", "verdict_by")
    op.drop_column("images", "asked")
    op.drop_column("runs", "labelling")
