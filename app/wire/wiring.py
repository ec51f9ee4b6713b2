"""What all sockets of one process share: their timers, their mask keys, their corks, their log."""

from __future__ import annotations

import asyncio
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import structlog

from app.wire.masking import MaskKeys
from app.wire.origin import Origin
from app.wire.wheel import Wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class Reading(Protocol):
        """A socket that has read something."""

        def deliver(self, data: bytes) -> None:
            """Deliver it to the owner."""
            ...

        def abort(self) -> None:
            """Drop the connection."""
            ...

    class Corked(Protocol):
        """A socket with messages that wait for the end of the loop's turn."""

        def flush(self) -> None:
            """Write them."""
            ...


log = structlog.get_logger(__name__)

_QUIET: Final = 1.0
_NONE: Final[Mapping[str, str | int]] = MappingProxyType({})
# So much waits for the turn's end at most: a turn may be long, and nobody shall wait long.
_MANY: Final = 64
_LARGE: Final = 256 * 1024


class Wiring:
    """Made once per process and handed to both legs.

    A turn of the event loop has three phases: all that one poll brought is read, then judged, then
    written, one write per socket. A call to the kernel leaves the processor's caches cold, so that
    what is done between two of them costs a multiple of what is done in a row; and whoever waits
    for what is written is woken once per turn, not once per message. `written` is called after each
    round of writes, with the time (monotonic seconds) at which the first of it had arrived.
    """

    __slots__ = (
        "_began",
        "_corked",
        "_due",
        "_loop",
        "_read",
        "_said",
        "_size",
        "masks",
        "origin",
        "wheel",
        "written",
    )

    def __init__(
        self, *, tick: float = 0.05, written: Callable[[float], None] | None = None
    ) -> None:
        self.wheel = Wheel(tick)
        self.masks = MaskKeys()
        self.origin = Origin()
        self.written = written
        self._read: list[tuple[Reading, bytes]] = []
        self._size = 0
        self._corked: list[Corked] = []
        self._due = False
        self._began = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def arrived(self, socket: Reading, data: bytes) -> None:
        """Let `socket` deliver `data`, which it read, when the loop's turn ends.

        If much waits, the turn ends now.
        """
        self._read.append((socket, data))
        self._size += len(data)
        if not self._due:
            self._begin_turn()
        elif len(self._read) >= _MANY or self._size > _LARGE:
            self._turn()
            self._began = monotonic()

    def settle(self) -> None:
        """Deliver what was read; what its owners send is corked."""
        while self._read:
            read, self._read = self._read, []
            self._size = 0
            for socket, data in read:
                try:
                    socket.deliver(data)
                except Exception as error:  # noqa: BLE001 - one socket's fault is its own alone
                    log.error("read_failed", error=type(error).__name__)  # noqa: TRY400
                    socket.abort()

    def cork(self, socket: Corked) -> None:
        """Let `socket` write at the end of the loop's turn."""
        self._corked.append(socket)
        if not self._due:
            self._begin_turn()

    def _begin_turn(self) -> None:
        self._due = True
        self._began = monotonic()
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # once: Python 3.11 asks the kernel each time
        self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        try:
            self._turn()
        finally:
            self._due = False
            if self._read or self._corked:  # what came while it wrote has a turn of its own
                self._begin_turn()

    def _turn(self) -> None:
        self.settle()
        corked = self._corked
        for socket in corked:  # may grow meanwhile: a flush may make an owner send
            try:
                socket.flush()
            except Exception as error:  # noqa: BLE001 - a transport's fault is its socket's alone
                log.error("write_failed", error=type(error).__name__)  # noqa: TRY400
        corked.clear()
        if self.written is not None:
            self.written(self._began)

    def report(
        self, leg: str, fault: str, code: int, now: float, facts: Mapping[str, str | int] = _NONE
    ) -> None:
        """Log why a leg was failed: at most a line per second of each kind, with a count.

        `leg`, `fault` and `facts` are our own words, never a peer's, so that they may be logged.
        """
        since, more = self._said.get((leg, fault), (-_QUIET, 0))
        if now - since < _QUIET:
            self._said[leg, fault] = (since, more + 1)
            return
        self._said[leg, fault] = (now, 0)
        log.warning("socket_failed", leg=leg, fault=fault, code=code, suppressed=more, **facts)
