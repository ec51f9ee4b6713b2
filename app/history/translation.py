"""What an error of a database means to history."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.history.advice import advice
from app.history.errors import HistoryUnavailable, Unstorable

CONTENT_CLASSES: Final = ("22", "23")
"""SQLSTATE classes that blame the content: data exception, integrity constraint violation."""

FAILURES: Final = (SQLAlchemyError, OSError, TimeoutError, EOFError, ValueError, OverflowError)
"""What a transaction may raise, whichever the driver is."""


def translated(error: Exception) -> HistoryUnavailable | Unstorable:
    """Say what an error means, in words that may be logged: its class and SQLSTATE alone."""
    if isinstance(error, HistoryUnavailable | Unstorable):
        return error
    cause: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        cause = error.orig.__cause__ or error.orig
    state = str(getattr(cause, "sqlstate", None) or "")
    name = f"{type(cause).__name__} {state}".strip()
    blamed = state[:2] in CONTENT_CLASSES or type(cause).__name__ == "IntegrityError"
    unfit = (
        isinstance(cause, ValueError | OverflowError)
        and not isinstance(cause, OSError)  # an untrusted certificate is both
        and "no active connection" not in str(cause)
    )
    if blamed or unfit:
        return Unstorable(name)
    return HistoryUnavailable(name, advice(state, type(cause).__name__))
