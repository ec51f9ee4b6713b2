"""What all sockets of one process share: their timers, their mask keys, their corks, their log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from app.wire.masking import mask_keys
from app.wire.origin import Origin
from app.wire.wheel import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Corked(Protocol):
        """A socket with messages that wait for the end of the loop's turn."""

        def flush(self) -> None:
            """Write them."""
            ...


log = structlog.get_logger(__name__)

_QUIET: Final = 1.0
# So many sockets wait for their turn's end at most: a turn may be long, and none shall wait long.
_MANY: Final = 64


class Wiring:
    """Made once per process and handed to both legs.

    What is sent is corked, on any leg, and written when the event loop's turn ends: all that one
    poll brought is judged first, and then written, one write per socket. The kernel wakes whoever
    reads it; a peer that was woken once per turn, not once per message, is most of what a message
    costs less for it. `written` is called after each round of writes.
    """

    __slots__ = ("_corked", "_due", "_said", "masks", "origin", "wheel", "written")

    def __init__(self, *, tick: float = 0.05, written: Callable[[], None] | None = None) -> None:
        self.wheel = Wheel(tick)
        self.masks = mask_keys()
        self.origin = Origin()
        self.written = written
        self._corked: list[Corked] = []
        self._due = False
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def cork(self, socket: Corked) -> None:
        """Let `socket` write at the end of the loop's turn."""
        self._corked.append(socket)
        if not self._due:
            self._begin_turn()

    def delivered(self) -> None:
        """A read has been delivered: the turn will end; at once, if many wait already."""
        if not self._due:
            self._begin_turn()
        elif len(self._corked) >= _MANY:
            self._write()

    def _begin_turn(self) -> None:
        self._due = True
        asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._due = False
        self._write()

    def _write(self) -> None:
        corked = self._corked
        for socket in corked:  # may grow meanwhile: a flush may make an owner send
            try:
                socket.flush()
            except Exception as error:  # noqa: BLE001 - a transport's fault is its socket's alone
                log.error("write_failed", error=type(error).__name__)  # noqa: TRY400
        corked.clear()
        if self.written is not None:
            self.written()

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
