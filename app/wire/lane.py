"""From an accepted ASGI WebSocket to a `Socket`: by the lane, or over plain ASGI without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from app.wire.asgi import AsgiSocket
from app.wire.limits import WireLimits
from app.wire.socket import Socket

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

EXTENSION: Final = "blackbox.lane"


class Taken(Socket, Protocol):
    """A socket that came in by ASGI."""

    async def run(self) -> None:
        """Do what the socket needs the ASGI handler's own task for, and return when it is over.

        Over plain ASGI that is everything. With the lane it is nothing: it returns at once, the
        handler may return too, and the socket lives on without a task.
        """
        ...


class Lane(Protocol):
    """What the server offers in `scope["extensions"]["blackbox.lane"]`."""

    def accept(self, subprotocol: str | None) -> Taken:
        """Answer the handshake, and detach the connection from ASGI.

        Raises OSError when the browser has gone.
        """
        ...

    def take(self) -> Taken:
        """Detach the connection from ASGI."""
        ...


async def accept(
    websocket: WebSocket, subprotocol: str | None = None, limits: WireLimits | None = None
) -> Taken:
    """Accept a WebSocket that nobody has answered yet and take its data phase; then `await run()`.

    Raises OSError, RuntimeError or Starlette's WebSocketDisconnect when the browser has gone.
    """
    lane: Lane | None = websocket.scope.get("extensions", {}).get(EXTENSION)
    if lane is not None:
        return lane.accept(subprotocol)
    await websocket.accept(subprotocol)
    return take(websocket, limits)


def take(websocket: WebSocket, limits: WireLimits | None = None) -> Taken:
    """Take the data phase of a WebSocket that has just been accepted; then `await run()`.

    `limits` are for plain ASGI; the lane has its server's. Nothing may be sent or received
    through `websocket` afterwards.
    """
    lane: Lane | None = websocket.scope.get("extensions", {}).get(EXTENSION)
    if lane is not None:
        return lane.take()
    return AsgiSocket(websocket, limits or WireLimits())
