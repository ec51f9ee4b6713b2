"""From an ASGI WebSocket to a `Socket`: by the native upgrade, or over plain ASGI without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from app.server.asgi_upgrade import AsgiSocket
from app.websocket.interface import Socket
from app.websocket.limits import WireLimits

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

EXTENSION: Final = "blackbox.upgrade"


class UpgradedSocket(Socket, Protocol):
    """A socket that came in by ASGI."""

    async def run(self) -> None:
        """Do what the socket needs the ASGI handler's own task for, and return when it is over.

        Over plain ASGI that is everything. With the native upgrade it is nothing: it returns at
        once, the handler may return too, and the socket lives on without a task.
        """
        ...


class Upgrade(Protocol):
    """What the server offers in `scope["extensions"]["blackbox.upgrade"]`."""

    def accept(self, subprotocol: str | None) -> UpgradedSocket:
        """Answer the handshake, and detach the connection from ASGI.

        Raises OSError when the browser has gone.
        """
        ...

    def take_over(self) -> UpgradedSocket:
        """Detach the connection from ASGI."""
        ...


async def accept(
    websocket: WebSocket, subprotocol: str | None = None, limits: WireLimits | None = None
) -> UpgradedSocket:
    """Accept a WebSocket whose handshake is unanswered and take its data phase; then `await run()`.

    Raises OSError, RuntimeError or Starlette's WebSocketDisconnect when the browser has gone.
    """
    upgrade: Upgrade | None = websocket.scope.get("extensions", {}).get(EXTENSION)
    if upgrade is not None:
        return upgrade.accept(subprotocol)
    await websocket.accept(subprotocol)
    return take_over(websocket, limits)


def take_over(websocket: WebSocket, limits: WireLimits | None = None) -> UpgradedSocket:
    """Take the data phase of a WebSocket that has just been accepted; then `await run()`.

    `limits` are for plain ASGI; the native upgrade has its server's. Nothing may be sent or
    received through `websocket` afterwards.
    """
    upgrade: Upgrade | None = websocket.scope.get("extensions", {}).get(EXTENSION)
    if upgrade is not None:
        return upgrade.take_over()
    return AsgiSocket(websocket, limits or WireLimits())
