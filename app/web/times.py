"""Times in the bodies of requests."""

from __future__ import annotations

from datetime import UTC, datetime


def with_zone(value: object) -> object:
    """Read a time in ISO 8601 that names no zone as UTC; leave anything else to the schema."""
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return value
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return value
