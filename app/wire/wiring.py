"""What all sockets of one process share: their timers, their mask keys, their corks, their log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from app.wire.masking import mask_keys
from app.wire.origin import Origin
from app.wire.wheel import Wheel

if TYPE_CHECKING:
    from typing import Protocol

    class Corked(Protocol):
        """A socket with messages that wait for the end of a batch."""

        def flush(self) -> None:
            """Write them."""
            ...


log = structlog.get_logger(__name__)

_QUIET = 1.0


class Wiring:
    """Made once per process and handed to both legs.

    `batching` is true while what one read brought is being delivered: `send_text` then corks,
    on any leg, and the sockets in `corked` are flushed at the batch's end.
    """

    __slots__ = ("_said", "batching", "corked", "masks", "origin", "wheel")

    def __init__(self, *, tick: float = 0.05) -> None:
        self.wheel = Wheel(tick)
        self.masks = mask_keys()
        self.origin = Origin()
        self.batching = False
        self.corked: list[Corked] = []
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def report(self, leg: str, fault: str, code: int, now: float) -> None:
        """Log why a leg was failed: at most a line per second of each kind, with a count.

        `leg` and `fault` are our own words, never a peer's, so that they may be logged.
        """
        since, more = self._said.get((leg, fault), (-_QUIET, 0))
        if now - since < _QUIET:
            self._said[leg, fault] = (since, more + 1)
            return
        self._said[leg, fault] = (now, 0)
        log.warning("socket_failed", leg=leg, fault=fault, code=code, suppressed=more)
