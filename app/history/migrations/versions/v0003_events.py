"""Deliveries of lifecycle events to the receivers of webhooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("deadline", sa.Double, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claimed_by", sa.Text),
        sa.Column("trouble", sa.Text),
        sa.Column("settled_at", sa.Double),
    )
    op.create_index("deliveries_waiting", "deliveries", ["state", "receiver", "next_at"])
    op.create_index("deliveries_by_session", "deliveries", ["session_id", "receiver", "sequence"])
    op.create_index("deliveries_by_time", "deliveries", ["created_at", "id"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("deliveries")
