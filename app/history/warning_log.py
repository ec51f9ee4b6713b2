"""Warnings about the same trouble, a few of them: it may last for days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

REPORT_EVERY: Final = 10.0
"""Seconds between two log lines about the same trouble."""


class WarningLog:
    """Logs each event once in `REPORT_EVERY` seconds; `clock` is monotonic, in seconds."""

    __slots__ = ("_clock", "_logged")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}

    def warn(self, event: str, **fields: object) -> bool:
        """Log a warning, unless one of this event was logged lately. Returns whether it was."""
        now = self._clock()
        if now - self._logged.get(event, -REPORT_EVERY) < REPORT_EVERY:
            return False
        self._logged[event] = now
        log.warning(event, **fields)
        return True

    def forget(self) -> None:
        """Let the next warning of each event be logged, however soon it comes."""
        self._logged.clear()
