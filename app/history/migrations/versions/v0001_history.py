"""The first tables: conversations and all that falls with them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _conversation() -> sa.Column[str]:
    return sa.Column(
        "conversation_id",
        sa.Text,
        sa.ForeignKey("conversations.id", ondelete="CASCADE"),
        nullable=False,
    )


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "conversations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("call_type", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text),
        sa.Column("additional_data", sa.Text),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("close_code", sa.Integer),
        sa.Column("close_name", sa.Text),
        sa.Column("lost", sa.Integer, nullable=False),
    )
    op.create_index("conversations_by_time", "conversations", ["started_at", "id"])
    op.create_index("conversations_by_agent", "conversations", ["agent", "started_at", "id"])
    op.create_index("conversations_by_subject", "conversations", ["subject", "started_at", "id"])
    op.create_table(
        "turns",
        _conversation(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("pieces", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "number"),
    )
    op.create_table(
        "events",
        _conversation(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("data", sa.Text),
        sa.PrimaryKeyConstraint("conversation_id", "number"),
    )
    op.create_table(
        "tool_calls",
        _conversation(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("arguments", sa.Text),
        sa.Column("result", sa.Text),
        sa.PrimaryKeyConstraint("conversation_id", "number"),
    )
    op.create_table(
        "results",
        _conversation(),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("finish_reason", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("body", sa.Text),
        sa.PrimaryKeyConstraint("conversation_id"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Text, primary_key=True),
        _conversation(),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("sealed", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("deadline", sa.Double, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claimed_by", sa.Text),
    )
    op.create_index("outbox_by_conversation", "outbox", ["conversation_id"])
    op.create_index("outbox_waiting", "outbox", ["state", "next_at"])


def downgrade() -> None:
    """Drop everything."""
    for table in ("outbox", "results", "tool_calls", "events", "turns", "conversations"):
        op.drop_table(table)
