"""Batches reads and writes of all sockets of one process, once per event-loop iteration."""

from __future__ import annotations

import asyncio
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import structlog

from app.websocket.masking import MaskKeys
from app.websocket.pass_through import PassThrough
from app.websocket.timer_wheel import TimerWheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class ReadTarget(Protocol):
        """A socket that has read something."""

        def deliver(self, data: bytes) -> None:
            """Deliver it to the owner."""
            ...

        def abort(self) -> None:
            """Drop the connection."""
            ...

    class WriteTarget(Protocol):
        """A socket with messages that wait for the end of the loop iteration."""

        def flush(self) -> None:
            """Write them."""
            ...


log = structlog.get_logger(__name__)

_LOG_INTERVAL: Final = 1.0
_NONE: Final[Mapping[str, str | int]] = MappingProxyType({})
# Flush early at so many reads or bytes, to bound latency within one loop iteration.
_MAX_READS: Final = 64
_MAX_BYTES: Final = 256 * 1024


class IoBatcher:
    """Made once per process and handed to both legs.

    The first read of an event-loop iteration is judged and written at once: where it is the only
    one, as at light load, no frame waits for the loop to turn. What the same poll brings behind it
    is read, then judged, then written, one write per socket. A call to the kernel leaves the
    processor's caches cold, so that what is done between two of them costs a multiple of what is
    done in a row; and a peer that waits for what is written is woken once per iteration, not once
    per message. So after an iteration with several reads the first one is batched, too. `written`
    is called after each round of writes, with the time (monotonic seconds) at which the first of it
    had arrived.
    """

    __slots__ = (
        "_corked",
        "_count",
        "_is_busy",
        "_logged",
        "_loop",
        "_reads",
        "_scheduled",
        "_size",
        "_started_at",
        "masks",
        "pass_through",
        "timer_wheel",
        "written",
    )

    def __init__(
        self, *, tick: float = 0.05, written: Callable[[float], None] | None = None
    ) -> None:
        self.timer_wheel = TimerWheel(tick)
        self.masks = MaskKeys()
        self.pass_through = PassThrough()
        self.written = written
        self._reads: list[tuple[ReadTarget, bytes]] = []
        self._size = 0
        self._count = 0  # reads of this iteration
        self._is_busy = False  # whether the last iteration with a read had several
        self._corked: list[WriteTarget] = []
        self._scheduled = False
        self._started_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}

    def enqueue_read(self, socket: ReadTarget, data: bytes) -> None:
        """Let `socket` deliver `data`, which it read.

        The iteration's first read is delivered now, and what it leads to is written; further ones
        at the end of the iteration, or as soon as much waits.
        """
        self._count += 1
        if not self._scheduled:
            self._schedule_batch()  # first: what is read meanwhile waits for the iteration's end
            if not self._is_busy:
                self._deliver(socket, data)
                self._write_corked()
                return
        self._reads.append((socket, data))
        self._size += len(data)
        if len(self._reads) == 1:
            self._started_at = monotonic()
        elif len(self._reads) >= _MAX_READS or self._size > _MAX_BYTES:
            self._run_batch()

    def deliver_reads(self) -> None:
        """Deliver what was read; what its owners send is corked."""
        while self._reads:
            read, self._reads = self._reads, []
            self._size = 0
            for socket, data in read:
                self._deliver(socket, data)

    def _deliver(self, socket: ReadTarget, data: bytes) -> None:
        try:
            socket.deliver(data)
        except Exception as error:  # noqa: BLE001 - one socket's fault is its own alone
            log.error("read_failed", error=type(error).__name__)  # noqa: TRY400
            socket.abort()

    def schedule_flush(self, socket: WriteTarget) -> None:
        """Let `socket` write at the end of the loop iteration."""
        self._corked.append(socket)
        if not self._scheduled:
            self._schedule_batch()

    def _schedule_batch(self) -> None:
        self._scheduled = True
        self._started_at = monotonic()
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # once: Python 3.11 asks the kernel each time
        self._loop.call_soon(self._on_iteration_end)

    def _on_iteration_end(self) -> None:
        try:
            self._run_batch()
        finally:
            self._scheduled = False
            if self._count:
                self._is_busy = self._count > 1
                self._count = 0
            if self._reads or self._corked:  # what came while it wrote has a turn of its own
                self._schedule_batch()

    def _run_batch(self) -> None:
        if self._reads or self._corked:
            self.deliver_reads()
            self._write_corked()

    def _write_corked(self) -> None:
        corked = self._corked
        for socket in corked:  # may grow meanwhile: a flush may make an owner send
            try:
                socket.flush()
            except Exception as error:  # noqa: BLE001 - a transport's fault is its socket's alone
                log.error("write_failed", error=type(error).__name__)  # noqa: TRY400
        corked.clear()
        if self.written is not None:
            self.written(self._started_at)

    def report(
        self, leg: str, fault: str, code: int, now: float, facts: Mapping[str, str | int] = _NONE
    ) -> None:
        """Log why a leg was failed: at most a line per second of each kind, with a count.

        `leg`, `fault` and `facts` are our own words, never a peer's, so that they may be logged.
        """
        since, more = self._logged.get((leg, fault), (-_LOG_INTERVAL, 0))
        if now - since < _LOG_INTERVAL:
            self._logged[leg, fault] = (since, more + 1)
            return
        self._logged[leg, fault] = (now, 0)
        log.warning("socket_failed", leg=leg, fault=fault, code=code, suppressed=more, **facts)
