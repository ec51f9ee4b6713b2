"""Whether this process has time to spare: history takes what conversations leave."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY: Final = 0.85
"""Share of the time that a thread was let run, from which on it has none to spare."""

WINDOW: Final = 0.2
"""Seconds over which the share is taken; a shorter look says nothing."""

SCHEDULED: Final = Path("/proc/thread-self/schedstat")
"""Linux: nanoseconds that this thread ran, and nanoseconds that it was kept waiting for a core."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """What is read of this thread, each in seconds."""

    now: Callable[[], float]
    ran: Callable[[], float]
    kept_waiting: Callable[[], float]


class LoadMonitor:
    """How much of its time this thread used lately. Asked on the event loop, tells of the loop.

    Time for which others held the core counts as neither used nor spare. Where the system does not
    tell that time, it counts as spare. What history itself used to gather batches is left out, too:
    it would take its own work for that of conversations, and pause on a loop that is idle.
    """

    __slots__ = ("_busy", "_clocks", "_kept", "_own", "_ran", "_since")

    def __init__(self, clocks: Clocks | None = None) -> None:
        self._clocks = clocks or Clocks(perf_counter, thread_time, _kept_waiting)
        self._since = self._clocks.now()
        self._ran = self._clocks.ran()
        self._kept = self._clocks.kept_waiting()
        self._own = 0.0
        self._busy = False

    def is_busy(self, work: float) -> bool:
        """Judge by the time since the last judgement, if that is long enough.

        `work` is how many CPU seconds of this thread history has used until now.
        """
        now = self._clocks.now()
        if now - self._since >= WINDOW:
            ran, kept = self._clocks.ran(), self._clocks.kept_waiting()
            own = work - self._own
            free = (now - self._since) - (kept - self._kept) - own
            self._busy = ran - self._ran - own > BUSY * free
            self._since, self._ran, self._kept, self._own = now, ran, kept, work
        return self._busy


def _kept_waiting() -> float:
    with suppress(OSError, ValueError, IndexError):
        return int(SCHEDULED.read_bytes().split()[1]) / 1e9
    return 0.0
