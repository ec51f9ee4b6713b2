"""What the history store says, as answers of HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException

from app.history.errors import CannotRedeliver, HistoryUnavailable, InvalidCursor


@contextmanager
def history_answers() -> Iterator[None]:
    """Raise its exceptions as `HTTPException`: 422 for a bad cursor, 409, 503."""
    try:
        yield
    except InvalidCursor:
        raise HTTPException(422, "This cursor is none of ours.") from None
    except CannotRedeliver as refused:
        raise HTTPException(409, str(refused)) from None
    except HistoryUnavailable:
        raise HTTPException(
            503, "The history store does not answer.", {"retry-after": "5"}
        ) from None
