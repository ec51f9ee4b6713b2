"""Alembic's revisions of history's tables."""
