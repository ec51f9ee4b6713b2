"""What Alembic runs around every migration: the caller's connection, in its transaction."""

from __future__ import annotations

from alembic import context

from app.history.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
