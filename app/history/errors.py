"""What can go wrong with history; none of it ever holds a URL, a statement or a text."""

from __future__ import annotations

from app.protocol.errors import RelayError


class HistoryUnavailable(RelayError):  # noqa: N818 - in line with StoreUnavailable
    """The database is gone, full, locked or too slow: the same work may succeed later.

    `advice` tells an operator what to do, where that is known.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class Unstorable(RelayError):  # noqa: N818
    """The database refuses this very content and always will."""


class InvalidCursor(RelayError):  # noqa: N818
    """A page was asked for by a cursor that this gateway never gave out."""


class CannotRedeliver(RelayError):  # noqa: N818
    """A delivery cannot be sent again; the text says why, and may be shown."""
