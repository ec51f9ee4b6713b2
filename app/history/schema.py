"""The tables of history. JSON is kept as text: as it was said, in either database.

Every table but `conversations`, `replicas`, `deliveries`, `audit` and `audit_retention` falls with
its conversation, so that retention and erasure are one statement each. An event may be stored
before its conversation is, or belong to none, so `deliveries` has a statement of its own for each.
Times are Unix seconds.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata: Final = MetaData()


def _conversation(*, primary_key: bool = True) -> Column[str]:
    return Column(
        "conversation_id",
        Text,
        ForeignKey("conversations.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )


conversations: Final = Table(
    "conversations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("call_type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("endpoint", Text),
    Column("additional_data", Text),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("close_code", Integer),
    Column("close_name", Text),
    Column("lost", Integer, nullable=False),
    Column("requested_agent", Text),
    Column("tenant", Text),
    Column("replica", Text),
    Index("conversations_by_time", "started_at", "id"),
    Index("conversations_by_agent", "agent", "started_at", "id"),
    Index("conversations_by_subject", "subject", "started_at", "id"),
    Index("conversations_by_tenant", "tenant", "started_at", "id"),
)

# When each replica was last there: the end of what it left without one.
replicas: Final = Table(
    "replicas",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seen_at", Double, nullable=False),
)

turns: Final = Table(
    "turns",
    metadata,
    _conversation(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("text", Text),
    Column("pieces", Integer, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double, nullable=False),
    Column("speaker", Text),
    Column("held", Boolean),
)

events: Final = Table(
    "events",
    metadata,
    _conversation(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("direction", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("name", Text),
    Column("data", Text),
)

tool_calls: Final = Table(
    "tool_calls",
    metadata,
    _conversation(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("call_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("arguments", Text),
    Column("result", Text),
    Column("approval", Text),
    Column("decided_by", Text),
    Column("decided_at", Double),
)

results: Final = Table(
    "results",
    metadata,
    _conversation(),
    Column("at", Double, nullable=False),
    Column("status", Text),
    Column("finish_reason", Text),
    Column("error_message", Text),
    Column("body", Text),
)

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", Text, primary_key=True),
    _conversation(primary_key=False),
    Column("state", Text, nullable=False),
    Column("body", LargeBinary),
    Column("sealed", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("deadline", Double, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("claimed_by", Text),
    Index("outbox_by_conversation", "conversation_id"),
    Index("outbox_waiting", "state", "next_at"),
    Index("outbox_by_time", "created_at", "id"),
)

audit: Final = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("subject", Text),
    Column("role", Text, nullable=False),
    Column("tenant", Text),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("details", Text, nullable=False),
    Index("audit_by_time", "at", "id"),
    Index("audit_by_actor", "actor", "at"),
    Index("audit_by_target", "target", "at"),
)

# What retention removes of `audit` just now: its rows live and die in retention's transactions, and
# the triggers of the migrations let no other entry go.
audit_retention: Final = Table(
    "audit_retention",
    metadata,
    Column("before", Double, primary_key=True),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("receiver", Text, nullable=False),
    Column("session_id", Text),
    Column("sequence", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("tenant", Text),
    Column("state", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("sealed", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("deadline", Double, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("claimed_by", Text),
    Column("trouble", Text),
    Column("settled_at", Double),
    Index("deliveries_waiting", "state", "receiver", "next_at"),
    Index("deliveries_by_session", "session_id", "receiver", "sequence"),
    Index("deliveries_by_time", "created_at", "id"),
)
