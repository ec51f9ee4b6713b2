"""The interface between a WebSocket's data phase and the handler of its messages.

Everything is a synchronous callback on the event loop's thread, so that a frame goes from one leg
to the other without a task, a queue or a lock. The native upgrade, the one over ASGI, a
bridge to another replica and the tests' memory pair all implement `Socket`.

**Corking.** What one read brings is a batch. A message that is sent is corked, and the batcher
writes every corked leg, once, at the end of the event loop's iteration, in which several reads may
have been delivered; so calling `flush` is allowed but never needed. A leg on which much is corked
already is written at once: what waits is bounded, and `pause_writing` comes in time.

**Zero-copy forwarding.** `send_text` of the very object that upstream's socket is just delivering
writes the frame that it came in, without building a new one (see `PassThrough`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from typing_extensions import override

ABNORMAL = 1006
NO_STATUS = 1005


@dataclass(frozen=True, slots=True)
class CloseEvent:
    """How a socket ended. `code` is the peer's, or 1005/1006 (RFC 6455 §7.1.5) where it gave none.

    `by_peer` is true when the peer started it. Where this side ended it by itself, `by_peer` is
    false and `code` says why: 1002 broken framing, 1007 not UTF-8, 1009 too large, 4429 a flood
    of pings, 4508 answers to pings left unread past the bound, 1006 a dead peer. After the
    owner's own `close` it is what the peer answered. `reason` is the peer's text: never shown or
    logged.
    """

    code: int = ABNORMAL
    reason: str = ""
    by_peer: bool = True


class SocketHandler(Protocol):
    """What a socket's owner implements. No method may raise or block."""

    def text_received(self, payload: bytes) -> None:
        """Take one whole text message: valid UTF-8, within the leg's size bound."""
        ...

    def binary_received(self, size: int) -> None:
        """Take note of a binary message of `size` bytes; the protocol has none: it is dropped."""
        ...

    def read_complete(self) -> None:
        """Take note that all of one read has been delivered; what it led to is written soon."""
        ...

    def pause_writing(self) -> None:
        """Take note that the peer reads slowly: bytes wait to be written."""
        ...

    def resume_writing(self) -> None:
        """Take note that the peer caught up."""
        ...

    def protocol_error(self, code: int) -> None:
        """Take note that the peer broke the protocol: a close with `code` follows at once.

        It is the last chance to send, and comes before `connection_lost`.
        """
        ...

    def connection_lost(self, closed: CloseEvent) -> None:
        """Take note that the socket is over, however it ended. Called exactly once, and last.

        Nothing can be sent any more; TCP is closed within its time-outs.
        """
        ...


class Socket(Protocol):
    """One open WebSocket, after its handshake."""

    @property
    def write_buffer_size(self) -> int:
        """Bytes that were sent and still wait to be written to the kernel, corked ones included."""
        ...

    def open(self, handler: SocketHandler) -> None:
        """Name the owner and start delivering; bytes that came before are delivered first.

        An owner that has sent more than the peer takes hears of `pause_writing` here.
        """
        ...

    def detach(self) -> None:
        """Forget the owner: nothing more is delivered to it, `connection_lost` included."""
        ...

    def send_text(self, payload: bytes) -> None:
        """Send one text message; corked until the loop iteration ends.

        After a close or loss it does nothing: the owner hears of that by `connection_lost`.
        """
        ...

    def flush(self) -> None:
        """Write what is corked now, in one write, rather than at the end of the loop iteration."""
        ...

    def pause_reading(self) -> None:
        """Stop reading, so that TCP slows the peer down; what was read is still delivered.

        Idempotent. A peer that is not read from is not declared dead for its silence.
        """
        ...

    def resume_reading(self) -> None:
        """Read again. Idempotent."""
        ...

    def close(self, code: int, reason: str = "") -> None:
        """Flush, start the closing handshake, and give it its time-out (RFC 6455 §7.1.1).

        Messages that still come are dropped; `connection_lost` tells when the peer has answered
        or its time is up.
        """
        ...

    def abort(self) -> None:
        """Drop the connection at once."""
        ...


class NullHandler(SocketHandler):
    """Null object: the handler before `open` and after `connection_lost`; ignores every call."""

    __slots__ = ()

    @override
    def text_received(self, payload: bytes) -> None: ...

    @override
    def binary_received(self, size: int) -> None: ...

    @override
    def read_complete(self) -> None: ...

    @override
    def pause_writing(self) -> None: ...

    @override
    def resume_writing(self) -> None: ...

    @override
    def protocol_error(self, code: int) -> None: ...

    @override
    def connection_lost(self, closed: CloseEvent) -> None: ...


NULL_HANDLER: Final = NullHandler()
