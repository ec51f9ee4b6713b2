"""The browser's leg: one session's end that outlives its sockets.

A browser's socket may die at any byte and another may take its place. What was sent is numbered
and held by the session's `ReplayBuffer` until it is confirmed; this end writes it to whichever
socket is there.
"""

from __future__ import annotations

import asyncio
from random import uniform
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from app.history.port import Direction
from app.protocol import frames
from app.protocol.actions import FORWARD, NOTHING, Announce
from app.protocol.closing import (
    BAD_FRAMES,
    CANNOT_RESUME,
    ENDED,
    FRAME_TOO_LARGE,
    NOT_UTF8,
    RESUMED_ELSEWHERE,
    TOO_MANY,
    TOO_SLOW,
    CloseReason,
)
from app.wire.socket import ABNORMAL

if TYPE_CHECKING:
    from app.relay.relay import Relay
    from app.wire.socket import Closed, Socket

# What the wire finds wrong with a browser's bytes ends the session, whoever could resume it.
BROKEN: Final = {
    1002: BAD_FRAMES,
    1007: NOT_UTF8,
    1009: FRAME_TOO_LARGE,
    4429: TOO_MANY,
}
PAUSE: Final = (5.0, 10.0)


class BrowserSocket:
    """Receives from one of the browser's sockets for as long as it is the session's."""

    __slots__ = ("_arrived", "_count", "_end", "socket")

    def __init__(self, end: BrowserEnd, socket: Socket) -> None:
        self.socket = socket
        self._end: BrowserEnd | None = end
        self._arrived = 0.0
        self._count = 0

    def detach(self) -> None:
        """Stop listening: another socket has taken this one's place, or the session is over."""
        self._end = None

    def text_received(self, payload: bytes) -> None:
        """Judge a frame, and do what that leads to; what goes wrong is this session's trouble.

        What one read brings behind the frame that ended it all is neither judged nor counted.
        """
        end = self._end
        if end is None:
            return
        relay = end.relay
        if relay.over:
            return
        if not self._count:
            self._arrived = monotonic()
        self._count += 1
        at = relay.epoch + self._arrived
        try:
            actions = end.session.from_browser(payload, at)
            if actions is FORWARD:
                relay.upstream.send(payload)
            else:
                relay.carry_out(actions, payload)
                if actions and type(actions[0]) is Announce:
                    self._count -= 1  # a ping is no activity: it must not keep an idle session
                    return
            if relay.wished is not None:
                relay.heard_first(relay.wished)
            if relay.listening and actions is not NOTHING:
                relay.books.frame(Direction.FROM_BROWSER, at, payload)
        except Exception:  # noqa: BLE001 - the outermost door of what a frame sets off
            relay.crashed()

    def binary_received(self, size: int) -> None:  # noqa: ARG002 - how large it was is no matter
        """Pass on that a binary message came."""
        if self._end is not None:
            self._end.relay.binary_from_browser()

    def batch_received(self) -> None:
        """Pass on that one read has been delivered."""
        if self._count and self._end is not None:
            self._end.relay.heard_browser(self._arrived, self._count)
            self._count = 0

    def writing_paused(self) -> None:
        """Pass on that the browser reads slowly."""
        if self._end is not None:
            self._end.paused()

    def writing_resumed(self) -> None:
        """Pass on that the browser caught up."""
        if self._end is not None:
            self._end.resumed()

    def failing(self, code: int) -> None:
        """Say why, before the wire closes on broken bytes."""
        if self._end is not None:
            self._end.failing(code)

    def connection_lost(self, closed: Closed) -> None:
        """Pass on that the socket is gone."""
        if self._end is not None:
            self._end.lost(closed)


class BrowserEnd:
    """Whoever is on the browser's side right now, if anybody.

    `outbox` (bytes) may wait for a slow reader, `patience` (seconds) is how long it may not catch
    up at all; past either its socket ends with 4508.
    """

    def __init__(self, relay: Relay, session_id: str, outbox: int, patience: float) -> None:
        self.relay = relay
        self.session = relay.session
        self._session_id = session_id
        self._outgoing = self.session.outgoing
        self._outbox = outbox
        self._patience = patience
        self._current: BrowserSocket | None = None
        self._socket: Socket | None = None
        self._came = False
        self.stalled: asyncio.TimerHandle | None = None  # while it reads slowly
        self._goodbye: CloseReason | None = None
        self._heard: asyncio.Future[None] | None = None

    @property
    def here(self) -> bool:
        """Whether a socket is attached."""
        return self._socket is not None

    @property
    def state(self) -> str:
        """Whether the browser is "here", "away", or there was "none" to begin with."""
        if self._socket is not None:
            return "here"
        return "away" if self._came else "none"

    @property
    def waiting(self) -> int:
        """Bytes that wait to be written."""
        return self._socket.waiting if self._socket is not None else 0

    def attach(self, socket: Socket) -> None:
        """Take a browser's first socket."""
        self._came = True
        self._current = BrowserSocket(self, socket)
        self._socket = socket
        socket.open(self._current)

    def resume(self, socket: Socket, received: int) -> bool:
        """Take a later socket, and send what its browser has missed; False if that is not held.

        The newest socket wins: an older one is told so, and heard no more.
        """
        missed = self._outgoing.since(received)
        if missed is None:
            refuse(socket, self.relay.now(), CANNOT_RESUME, self._session_id)
            return False
        if self._current is not None:
            older = self._drop()
            refuse(older, self.relay.now(), RESUMED_ELSEWHERE, self._session_id)
        self._outgoing.confirm(received)
        self._current = BrowserSocket(self, socket)
        self._socket = socket
        now = self.relay.now()
        socket.send_text(frames.resumed(now, len(missed), self.session.received))
        for payload in missed:
            socket.send_text(payload)
        for payload in self.session.unanswered(received):
            self.send(payload)
        socket.open(self._current)
        if self._goodbye is not None:
            self._close(self._goodbye)
        return True

    def send(self, payload: bytes) -> None:
        """Number a frame, hold it, and write it if anybody is there."""
        self._outgoing.keep(payload)
        socket = self._socket
        if socket is not None:
            socket.send_text(payload)

    def announce(self, payload: bytes) -> None:
        """Write one of the gateway's own frames, which have no number."""
        if self._socket is not None:
            self._socket.send_text(payload)

    def check(self) -> None:
        """Look at what waits: a reader that is too far behind loses its socket."""
        socket = self._socket
        if socket is None:
            return
        if self._outgoing.full:
            self._outgoing.trim()
        if socket.waiting > self._outbox:
            self._too_slow()

    def pause_reading(self) -> None:
        """Upstream is slow: read no further from the browser."""
        if self._socket is not None:
            self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Upstream caught up."""
        if self._socket is not None:
            self._socket.resume_reading()

    def paused(self) -> None:
        """The browser reads slowly: upstream is read no further until it has caught up."""
        self.relay.browser_slow()
        if self.stalled is None:
            loop = asyncio.get_running_loop()
            self.stalled = loop.call_later(self._patience, self._too_slow)

    def resumed(self) -> None:
        """The browser caught up."""
        self._calm()
        self.relay.browser_caught_up()

    def lost(self, closed: Closed) -> None:
        """The browser's socket is gone."""
        if closed.code != ABNORMAL or self.session.hung_up:
            self.let_go()
        self._drop()
        self.relay.browser_left(None if closed.by_peer else BROKEN.get(closed.code))

    def failing(self, code: int) -> None:
        """The wire is about to close on broken bytes, with `code`: the error frame goes first."""
        reason = BROKEN.get(code)
        if reason is not None:
            self.relay.books.count(reason.name)
            wait = retry_after(reason)
            self.send(frames.error(self.relay.now(), reason, self._session_id, retry_after=wait))

    def say_goodbye(self, reason: CloseReason, told: bytes) -> None:
        """Close with `reason`; the frame `told` goes first unless the end is normal.

        The goodbye is part of the stream: a browser that is away gets it when it comes back.
        """
        self._heard = asyncio.get_running_loop().create_future()
        self._goodbye = reason
        if reason is not ENDED:
            self.send(told)
        self._close(reason)

    async def heard_goodbye(self, window: float) -> bool:
        """Wait up to `window` seconds for a browser that hears the goodbye to its end."""
        if self._heard is None:
            return True
        try:
            async with asyncio.timeout(window):
                await self._heard
        except TimeoutError:
            return False
        return True

    def let_go(self) -> None:
        """The goodbye was heard, or nobody waits for that any more."""
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(None)

    def leave(self) -> None:
        """Let go of the socket for good; its closing handshake, if any, goes on by itself."""
        if self._current is not None:
            self._drop()

    def _close(self, reason: CloseReason) -> None:
        self._calm()
        if self._socket is not None:
            self._socket.close(reason.code, reason.name)

    def _drop(self) -> Socket:
        assert self._current is not None  # noqa: S101 - callers have looked
        self._calm()
        self._current.detach()
        socket = self._current.socket
        self._current = self._socket = None
        return socket

    def _calm(self) -> None:
        if self.stalled is not None:
            self.stalled.cancel()
            self.stalled = None

    def _too_slow(self) -> None:
        self.stalled = None
        if self._socket is None:
            return
        self.relay.books.count("too_slow")
        if self._goodbye is None:
            self.send(frames.error(self.relay.now(), TOO_SLOW, self._session_id))
        socket = self._drop()
        socket.close(TOO_SLOW.code, TOO_SLOW.name)
        self.relay.browser_left(None if self.relay.window else TOO_SLOW)


def retry_after(reason: CloseReason) -> float | None:
    """Seconds to wait where a reason asks for it, scattered: browsers must not come at once."""
    return uniform(*PAUSE) if reason.retry_after else None  # noqa: S311 - a spread, no secret


def refuse(
    socket: Socket,
    now: float,
    reason: CloseReason,
    session_id: str | None,
    message: str | None = None,
    retry_after: float | None = None,
) -> None:
    """Tell a socket that is no session's why, and close it.

    What it is told has no number: its browser may come back, and count on from before.
    """
    told = frames.error(now, reason, session_id, message, retry_after, numbered=False)
    socket.send_text(told)
    socket.close(reason.code, reason.name)


def hang_up(socket: Socket, reason: CloseReason) -> None:
    """Tell a browser whose conversation lives elsewhere why it is sent away."""
    refuse(socket, time(), reason, None)


def warn(socket: Socket, code: int) -> None:
    """Tell such a browser why, before the wire closes on its broken bytes with `code`."""
    reason = BROKEN.get(code)
    if reason is not None:
        socket.send_text(frames.error(time(), reason, None))
