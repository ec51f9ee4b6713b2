"""The interface between a server and the endpoint that opens WebSockets.

A server makes an `Upgrade` of each request for a WebSocket and runs its endpoint with it: natively
(`app.server.upgrade`), or over ASGI (`app.server.asgi_upgrade`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from app.protocol.errors import RelayError

if TYPE_CHECKING:
    from app.websocket.interface import Socket


class UpgradeState(Enum):
    """PENDING, then one of the others for ever."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    GONE = "gone"  # the peer has closed TCP, or the server stops


class UpgradeGone(RelayError):  # noqa: N818 - what a peer may do at any time, no error
    """There is no peer any more to answer."""


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """A request for a WebSocket.

    Names of `headers` are in lower case. `path` is decoded, and relative to `root_path`, under
    which an ASGI server may have mounted the application. `client` is the peer's address, empty
    where it has none; `scheme` is `http` or `https`.
    """

    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    path: str
    query: bytes = field(repr=False)
    client: str
    scheme: str
    root_path: str = ""


class Upgrade(Protocol):
    """A handshake (RFC 6455 §4.2) that is valid and unanswered; it has one answer."""

    request: UpgradeRequest
    state: UpgradeState

    async def accept(self, subprotocol: str | None = None) -> Socket:
        """Answer 101. The socket is the caller's: open it, or send and close.

        Raises `UpgradeGone` without a peer, RuntimeError after an answer, ValueError for a
        subprotocol that holds a line break.
        """
        ...

    async def reject(
        self, status: int, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b""
    ) -> None:
        """Answer by HTTP, and close. Without a peer it does nothing.

        Raises RuntimeError after an answer, ValueError for a header that holds a line break.
        """
        ...


# What a server runs for each upgrade, in a task of its own; the socket may outlive it.
Endpoint = Callable[[Upgrade], Coroutine[Any, Any, None]]
