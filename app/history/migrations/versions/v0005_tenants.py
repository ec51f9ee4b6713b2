"""Whose conversation it is, which replica had it, and when that was last there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add what older rows do not know: those are the operator's, of no known replica."""
    op.add_column("conversations", sa.Column("tenant", sa.Text))
    op.add_column("conversations", sa.Column("replica", sa.Text))
    op.create_index("conversations_by_tenant", "conversations", ["tenant", "started_at", "id"])
    op.create_table(
        "replicas",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("seen_at", sa.Double, nullable=False),
    )
