"""The browser's leg: it outlives its sockets.

A browser's socket may die at any byte and another may take its place. What was sent is numbered
and held by the session's `ReplayBuffer` until it is confirmed; this end writes it to whichever
socket is there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.protocol import frames
from app.protocol.close_codes import (
    CANNOT_RESUME,
    ENDED,
    RESUMED_ELSEWHERE,
    TOO_SLOW,
    CloseReason,
)
from app.protocol.kept_events import KeptEvents
from app.relay.browser_life import BrowserLife
from app.relay.refusals import REASON_BY_CLOSE_CODE, refuse, retry_after
from app.websocket.interface import ABNORMAL

if TYPE_CHECKING:
    from app.protocol.session import Session
    from app.relay.interface import BrowserFrameHandler, BrowserLegEvents
    from app.relay.scope import Scope
    from app.websocket.interface import CloseEvent, Socket


class BrowserLeg:
    """The browser's leg: the socket that is connected right now, if any, and its handler.

    `received` takes what that socket receives, `events` hears how it fares. A reader that is
    too slow by either bound of `RelayLimits` loses its socket with 4508, for good where it cannot
    come back.
    """

    def __init__(
        self,
        scope: Scope,
        session: Session,
        received: BrowserFrameHandler,
        events: BrowserLegEvents,
    ) -> None:
        self.text_received = received.text_received
        self.binary_received = received.binary_received
        self.read_complete = received.read_complete
        self._scope = scope
        self._received = received
        self._session = session
        self._events = events
        self._observer = scope.observer
        self._session_id = scope.conversation.id
        self._outgoing = session.outgoing
        self._outbox = scope.limits.outbox
        self._slow_reader_timeout = scope.limits.slow_reader_timeout
        self._socket: Socket | None = None
        self._was_connected = False
        self._is_gone = False
        self._is_held = False  # what was read waits for a guardrail
        self._kept: KeptEvents | None = None
        self.slow_timer: asyncio.TimerHandle | None = None  # while it reads slowly
        self._close_reason: CloseReason | None = None
        self._close_acknowledged: asyncio.Future[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a socket is attached."""
        return self._socket is not None

    @property
    def life(self) -> BrowserLife:
        """Where this leg stands."""
        if self._is_gone:
            return BrowserLife.GONE
        if self._socket is not None:
            return BrowserLife.CONNECTED
        return BrowserLife.AWAY if self._was_connected else BrowserLife.NEVER

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait to be written."""
        return self._socket.write_buffer_size if self._socket is not None else 0

    @property
    def kept_bytes(self) -> int:
        """Bytes of events that are kept for a resume."""
        return 0 if self._kept is None else self._kept.size

    def attach(self, socket: Socket) -> None:
        """Take a browser's first socket."""
        self._was_connected = True
        self._socket = socket
        socket.open(self)

    def holds_after(self, received: int) -> bool:
        """Whether all that a browser has missed, which has received so many frames, is held."""
        return self._outgoing.after(received) is not None

    def resume(self, socket: Socket, received: int) -> bool:
        """Take a later socket, and send what its browser has missed; False if that is not held.

        The newest socket wins: an older one is told so, and heard no more.
        """
        missed = self._outgoing.after(received)
        if missed is None:
            refuse(socket, self._scope.now(), CANNOT_RESUME, self._session_id)
            return False
        if self._socket is not None:
            older = self._detach_socket(self._socket)
            refuse(older, self._scope.now(), RESUMED_ELSEWHERE, self._session_id)
        self._received.restart()
        self._outgoing.ack(received)
        self._socket = socket
        now = self._scope.now()
        socket.send_text(frames.resumed(now, len(missed), self._session.received))
        kept = self._kept
        for payload in missed if kept is None else kept.merged(received, missed):
            socket.send_text(payload)
        for payload in self._session.unanswered(received):
            self.send(payload)
        socket.open(self)
        if self._close_reason is not None:
            self._close(self._close_reason)
        return True

    def send(self, payload: bytes) -> None:
        """Number a frame, hold it, and write it if a socket is connected."""
        self._outgoing.append(payload)
        socket = self._socket
        if socket is not None:
            socket.send_text(payload)

    def send_unnumbered(self, payload: bytes) -> None:
        """Write one of the gateway's own frames, which have no number."""
        if self._socket is not None:
            self._socket.send_text(payload)

    def send_event(self, payload: bytes) -> None:
        """Write one of the gateway's own frames that must not be missed: kept for a resume."""
        if self._scope.resume_window:
            if self._kept is None:
                self._kept = KeptEvents()
            self._kept.acknowledge(self._outgoing.acked)
            self._kept.append(self._outgoing.count, payload)
        self.send_unnumbered(payload)

    def check_slow_reader(self) -> None:
        """Look at what waits: a reader that is too far behind loses its socket."""
        socket = self._socket
        if socket is None:
            return
        if self._outgoing.is_full:
            self._outgoing.evict()
        if socket.write_buffer_size > self._outbox:
            self._too_slow()

    def pause_reading(self) -> None:
        """Upstream is slow: read no further from the browser."""
        if self._socket is not None:
            self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Upstream caught up."""
        if self._socket is not None and not self._is_held:
            self._socket.resume_reading()

    def hold_reading(self, *, held: bool) -> None:
        """Read no further while too much waits for a guardrail; letting go resumes nothing yet."""
        self._is_held = held
        if held:
            self.pause_reading()

    # Events of the socket, beside what it receives

    def pause_writing(self) -> None:
        """The browser reads slowly: it has its time to catch up."""
        self._events.on_browser_writable(writable=False)
        if self.slow_timer is None:
            loop = asyncio.get_running_loop()
            self.slow_timer = loop.call_later(self._slow_reader_timeout, self._too_slow)

    def resume_writing(self) -> None:
        """The browser caught up."""
        self._cancel_slow_timer()
        self._events.on_browser_writable(writable=True)

    def protocol_error(self, code: int) -> None:
        """A close with `code` for a protocol error follows: send the error frame first."""
        reason = REASON_BY_CLOSE_CODE.get(code)
        if reason is not None:
            self._observer.count(reason.name)
            wait = retry_after(reason)
            self.send(frames.error(self._scope.now(), reason, self._session_id, retry_after=wait))

    def connection_lost(self, closed: CloseEvent) -> None:
        """The browser's socket is gone."""
        if closed.code != ABNORMAL or self._session.hung_up:
            self.stop_waiting_for_close()
        self.detach()
        self._events.on_browser_disconnected(
            None if closed.by_peer else REASON_BY_CLOSE_CODE.get(closed.code)
        )

    # The end

    def start_closing(self, reason: CloseReason, told: bytes) -> None:
        """Close with `reason`; the frame `told` goes first unless the end is normal.

        The close is part of the stream: a browser that is away gets it when it comes back.
        """
        self._close_acknowledged = asyncio.get_running_loop().create_future()
        self._close_reason = reason
        if reason is not ENDED:
            self.send(told)
        self._close(reason)

    async def wait_closed(self, window: float) -> bool:
        """Wait up to `window` seconds for the browser to complete the closing handshake."""
        if self._close_acknowledged is None:
            return True
        try:
            async with asyncio.timeout(window):
                await self._close_acknowledged
        except TimeoutError:
            return False
        return True

    def stop_waiting_for_close(self) -> None:
        """The closing handshake was completed, or is waited for no longer."""
        if self._close_acknowledged is not None and not self._close_acknowledged.done():
            self._close_acknowledged.set_result(None)

    def give_up(self) -> None:
        """Wait no longer for a browser that is away. Idempotent."""
        self._is_gone = True

    def detach(self) -> None:
        """Detach the socket for good; its closing handshake, if any, completes by itself."""
        if self._socket is not None:
            self._detach_socket(self._socket)

    def _close(self, reason: CloseReason) -> None:
        self._cancel_slow_timer()
        if self._socket is not None:
            self._socket.close(reason.code, reason.name)

    def _detach_socket(self, socket: Socket) -> Socket:
        """Hear no more of a socket: another takes its place, or it is over."""
        self._cancel_slow_timer()
        self._received.discard_read()
        self._socket = None
        socket.detach()
        return socket

    def _cancel_slow_timer(self) -> None:
        if self.slow_timer is not None:
            self.slow_timer.cancel()
            self.slow_timer = None

    def _too_slow(self) -> None:
        self.slow_timer = None
        if self._socket is None:
            return
        self._observer.count(TOO_SLOW.name)
        if self._close_reason is None:
            self.send(frames.error(self._scope.now(), TOO_SLOW, self._session_id))
        socket = self._detach_socket(self._socket)
        socket.close(TOO_SLOW.code, TOO_SLOW.name)
        self._events.on_browser_disconnected(None if self._scope.resume_window else TOO_SLOW)
