"""Sockets without a network: `app.websocket.interface.Socket` in memory, held by its peer."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from app.websocket.interface import ABNORMAL, NULL_HANDLER, CloseEvent

if TYPE_CHECKING:
    from app.websocket.interface import SocketHandler

HIGH_WATER: Final = 64 * 1024


class MemorySocket:
    """A socket whose other end is the test.

    `sent` is all that arrived at the peer, `ended` the code and reason of its close. A peer that
    `holds` reads nothing: what is sent waits. One that is not `polite` never answers a close.
    """

    def __init__(self, *, polite: bool = True, holds: bool = False) -> None:
        self.sent: list[bytes] = []
        self.ended: tuple[int, str] | None = None
        self.aborted = False
        self._reading = True
        self._polite = polite
        self._holds = holds
        self._receiver: SocketHandler = NULL_HANDLER
        self._detached = False
        self._early: list[bytes] = []
        self._lost: CloseEvent | None = None
        self._held: list[bytes] = []

    # The port

    @property
    def write_buffer_size(self) -> int:
        """Bytes that the peer has not read."""
        return sum(map(len, self._held))

    def open(self, handler: SocketHandler) -> None:
        """Name the owner; what came before is delivered first."""
        self._receiver = handler
        if self.write_buffer_size > HIGH_WATER:
            handler.pause_writing()
        early, self._early = self._early, []
        if early:
            self.say(*early)
        if self._lost is not None:
            asyncio.get_running_loop().call_soon(self._report_lost, self._lost)

    def detach(self) -> None:
        """Forget the owner."""
        self._receiver = NULL_HANDLER
        self._detached = True

    def send_text(self, payload: bytes) -> None:
        """Send a message; after a close or loss it does nothing."""
        if self.ended is not None or self._lost is not None:
            return
        if not self._holds:
            self.sent.append(payload)
            return
        before = self.write_buffer_size
        self._held.append(payload)
        if before <= HIGH_WATER < self.write_buffer_size:
            self._receiver.pause_writing()

    def flush(self) -> None:
        """Nothing is corked."""

    def pause_reading(self) -> None:
        """Read no further."""
        self._reading = False

    def resume_reading(self) -> None:
        """Read again."""
        self._reading = True

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake."""
        if self.ended is None and self._lost is None:
            self.ended = (code, reason)
            if self._polite:
                answer = CloseEvent(code, by_peer=False)
                asyncio.get_running_loop().call_soon(self._lose, answer)

    def abort(self) -> None:
        """Drop the connection."""
        self.aborted = True
        asyncio.get_running_loop().call_soon(self._lose, CloseEvent(ABNORMAL, by_peer=False))

    # The peer

    def say(self, *payloads: bytes | dict[str, Any]) -> None:
        """Let the peer send messages, as one read brings them."""
        texts = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in payloads]
        if self._receiver is NULL_HANDLER and not self._detached:
            self._early += texts
            return
        for text in texts:
            if self.ended is None:
                self._receiver.text_received(text)
        self._receiver.read_complete()

    def say_binary(self) -> None:
        """Let the peer send a binary message."""
        self._receiver.binary_received(1)

    def break_off(self, code: int) -> None:
        """Let the peer break the protocol."""
        self._receiver.protocol_error(code)
        self._lose(CloseEvent(code, by_peer=False))

    def leave(self, code: int = 1000) -> None:
        """Let the peer close."""
        self._lose(CloseEvent(code))

    def drop(self) -> None:
        """Let the connection die without a close."""
        self._lose(CloseEvent(ABNORMAL))

    def read_on(self) -> None:
        """Let a peer that held back read all that waits."""
        waited = self.write_buffer_size
        self._holds = False
        self.sent += self._held
        self._held = []
        if waited > HIGH_WATER:
            self._receiver.resume_writing()

    def _lose(self, closed: CloseEvent) -> None:
        if self._lost is None:
            self._lost = closed
            self._report_lost(closed)

    def _report_lost(self, closed: CloseEvent) -> None:
        self._receiver.connection_lost(closed)

    # What the test asks

    @property
    def reading(self) -> bool:
        """Whether the owner wants to read."""
        return self._reading

    @property
    def frames(self) -> list[dict[str, Any]]:
        """What arrived, read."""
        return [json.loads(payload) for payload in self.sent]

    @property
    def kinds(self) -> list[str]:
        """What arrived, each by its name or type."""
        return [frame.get("name") or frame["type"] for frame in self.frames]

    @property
    def numbered(self) -> list[bytes]:
        """What arrived and counts: all but the gateway's own frames."""
        kept = zip(self.sent, self.kinds, strict=True)
        return [payload for payload, kind in kept if not kind.startswith("relay.")]

    @property
    def code(self) -> int | None:
        """The code that it was closed with."""
        return None if self.ended is None else self.ended[0]
