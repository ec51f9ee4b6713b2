"""The port between a WebSocket's data phase and whoever owns the socket.

Everything is a synchronous callback on the event loop's thread, so that a frame goes from one
leg to the other without a task, a queue or a lock. The lane, the plain ASGI fallback, a bridge to
another replica and the tests' memory pair all implement `Socket`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

ABNORMAL = 1006
NO_STATUS = 1005


@dataclass(frozen=True, slots=True)
class Closed:
    """How a socket ended. `code` is the peer's, or 1005/1006 (RFC 6455 §7.1.5) where it gave none.

    `by_peer` is true when the peer started it. `reason` is the peer's text: never shown or logged.
    """

    code: int = ABNORMAL
    reason: str = ""
    by_peer: bool = True


class Receiver(Protocol):
    """What a socket's owner implements. No method may raise or block."""

    def text_received(self, payload: bytes) -> None:
        """Take one whole text message: valid UTF-8, within the leg's size bound."""
        ...

    def binary_received(self, size: int) -> None:
        """Take note of a binary message of `size` bytes; the protocol has none, so dropped."""
        ...

    def batch_received(self) -> None:
        """Everything that one read brought has been delivered: write what it led to."""
        ...

    def writing_paused(self) -> None:
        """The peer reads slowly: bytes wait to be written."""
        ...

    def writing_resumed(self) -> None:
        """The peer caught up."""
        ...

    def connection_lost(self, closed: Closed) -> None:
        """The socket is gone, however it ended. Called exactly once, and last."""
        ...


class Socket(Protocol):
    """One open WebSocket, after its handshake."""

    @property
    def waiting(self) -> int:
        """Bytes that were sent and still wait to be written to the kernel, corked ones included."""
        ...

    def open(self, receiver: Receiver) -> None:
        """Name the owner and start delivering; bytes that came before are delivered first."""
        ...

    def send_text(self, payload: bytes) -> None:
        """Send one text message. Within a read of this loop turn it may be corked until `flush`.

        After a close or loss it does nothing: the owner hears of that by `connection_lost`.
        """
        ...

    def flush(self) -> None:
        """Write what `send_text` corked, in one write."""
        ...

    def pause_reading(self) -> None:
        """Stop reading, so that TCP slows the peer down. Idempotent."""
        ...

    def resume_reading(self) -> None:
        """Read again. Idempotent."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Flush, start the closing handshake, and give it its time-out (RFC 6455 §7.1.1)."""
        ...

    def abort(self) -> None:
        """Drop the connection at once."""
        ...
