"""An index of deliveries by time, and PostgreSQL's tables partitioned by the conversation's start.

Nothing is moved and no table that is in use is locked: older rows stay where they are until
retention deletes them, and older releases go on writing there during a rollout. Partitions are
made by the gateway (`app/history/partitions.py`); what has none goes to the default partition.
The index of a large table is left to the gateway, too (`app/history/indexes.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

SMALL = 32 * 1024 * 1024
"""Bytes of a table that is indexed at once: that takes less than a second."""


def _turns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("pieces", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double, nullable=False),
        sa.Column("speaker", sa.Text),
        sa.Column("held", sa.Boolean),
    )


def _events() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("data", sa.Text),
    )


def _tool_calls() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("arguments", sa.Text),
        sa.Column("result", sa.Text),
        sa.Column("approval", sa.Text),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", sa.Double),
    )


def _results() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("finish_reason", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("body", sa.Text),
    )


def upgrade() -> None:
    """Create the index, and the tables, each with its default partition."""
    connection = op.get_bind()
    is_postgresql = connection.dialect.name == "postgresql"
    size = sa.text("SELECT pg_relation_size('outbox')")
    if not is_postgresql or connection.execute(size).scalar_one() <= SMALL:
        op.create_index("outbox_by_time", "outbox", ["created_at", "id"])
    if not is_postgresql:
        return
    for name, numbers, columns in (
        ("partitioned_turns", ["number"], _turns),
        ("partitioned_events", ["number"], _events),
        ("partitioned_tool_calls", ["number"], _tool_calls),
        ("partitioned_results", [], _results),
    ):
        keys = ("conversation_id", *numbers, "conversation_started")
        op.create_table(
            name,
            sa.Column("conversation_id", sa.Text, nullable=False),
            *(sa.Column(each, sa.Integer, nullable=False) for each in numbers),
            *columns(),
            sa.Column("conversation_started", sa.Double, nullable=False),
            sa.PrimaryKeyConstraint(*keys),
            postgresql_partition_by="RANGE (conversation_started)",
        )
        op.execute(f"CREATE TABLE {name}_default PARTITION OF {name} DEFAULT")
