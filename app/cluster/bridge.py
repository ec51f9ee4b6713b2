"""Resume on any replica: a browser here, its conversation's owner there, Redis in between.

The browser's replica calls `serve`, which tells the owner by an `Attach` message. The owner
hands that message to `accept` and has a `Socket`; to refuse, it closes that. Frames cross as
they are: counting, confirming and replaying stay with the owner's relay and the browser, who
survive a broken bridge as they survive any lost socket.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from app.cluster.browser_bridge import BROKEN, BrowserBridge
from app.cluster.commands import Attach, encode
from app.cluster.multiplexer import StreamMultiplexer
from app.cluster.owner_message import Inboxes, tell_owner
from app.cluster.remote_socket import (
    BridgeTimings,
    RemoteSocket,
)
from app.cluster.stream import ReliableStream
from app.protocol.close_codes import CANNOT_RESUME, CloseReason
from app.protocol.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.state.interface import SessionRow
    from app.state.keys import Keys
    from app.state.redis_client import RedisClient
    from app.websocket.interface import Socket

log = structlog.get_logger(__name__)

WINDOW: Final = 1024 * 1024
_LOOK: Final = 0.25
_SUSPICIOUS: Final = 2.0


class ReplicaDirectory(Inboxes, Protocol):
    """What a bridge must know of the other replicas."""

    async def leave(self, row: SessionRow) -> None:
        """Forget a session and free its caps. Raises `StoreUnavailable`."""
        ...


class Bridges:
    """All bridges of one replica, from it and to it, while `run` runs.

    `reject` closes a browser's socket for a reason of this side: `CANNOT_RESUME` when the
    owner is dead, `BROKEN` (resume at once) when only the bridge is. `send_error` sends what
    should go before a socket is closed for a protocol error, with a close code. `writing` and
    `reading` are stores of their own; commands through `reading` may block for `block` seconds. At
    most `window` bytes and one message are under way in each direction of a bridge.
    """

    def __init__(
        self,
        replica: str,
        replicas: ReplicaDirectory,
        *,
        keys: Keys,
        stores: tuple[RedisClient, RedisClient],
        block: float,
        reject: Callable[[Socket, CloseReason], None],
        send_error: Callable[[Socket, int], None] = lambda *_: None,
        timings: BridgeTimings | None = None,
    ) -> None:
        self._replica = replica
        self._replicas = replicas
        self._keys = keys
        self._stores = stores
        self._reject = reject
        self._send_error = send_error
        self._timings = timings or BridgeTimings()
        self._bridges: set[BrowserBridge] = set()
        writing, reading = stores
        self._multiplexer = StreamMultiplexer(
            writing,
            reading,
            block=block,
            wake=lambda number: keys.stream(f"wake:{replica}:{number}", replica),
        )

    async def run(self) -> None:
        """Keep all bridges going until cancelled."""
        await self._multiplexer.run()

    async def serve(self, socket: Socket, row: SessionRow, hello: Mapping[str, Any]) -> None:
        """Be the session's replica for this browser, until the browser's socket is gone.

        `hello` is for the owner to judge, and crosses the store: put no credential in it that
        is good for anything else. Raises `StoreUnavailable` when the owner could not be told: the
        socket is still the caller's to close; later faults close it.
        """
        attachment = secrets.token_urlsafe(18)
        bridge = BrowserBridge(
            self._multiplexer,
            socket,
            outgoing=self._keys.stream(f"{attachment}:up", row.replica),
            incoming=self._keys.stream(f"{attachment}:down", self._replica),
            pipe=self._pipe(),
            send_error=self._send_error,
        )
        self._multiplexer.join(bridge)
        try:
            # Heard before the owner is told: a browser that has gone again replaces no socket.
            socket.open(bridge)
            await asyncio.sleep(0)  # a poll, in which a reset that is there already shows
            if bridge.gone.is_set():
                return
            message = Attach(row.id, attachment, self._replica, dict(hello))
            told = await tell_owner(self._replicas, row, encode(message))
            self._bridges.add(bridge)
            fault = await self._watch_over(bridge, row.replica) if told else CANNOT_RESUME
            if fault is not None:
                log.info("bridge_over", outcome=fault.name)
                bridge.give_up()
                self._reject(socket, fault)
            if fault is CANNOT_RESUME:
                with suppress(StoreUnavailable):  # its lease runs out all the same
                    await self._replicas.leave(row)
            await bridge.gone.wait()
        finally:
            self._bridges.discard(bridge)
            bridge.give_up()

    def accept(self, message: Attach) -> RemoteSocket:
        """Accept a browser that another replica serves. Raises `StoreUnavailable` without room.

        The other replica is answered at once. To refuse, close the socket with the reason.
        """
        remote = RemoteSocket(
            self._multiplexer,
            outgoing=self._keys.stream(f"{message.attachment}:down", message.replica),
            incoming=self._keys.stream(f"{message.attachment}:up", self._replica),
            pipe=self._pipe(),
            timings=self._timings,
        )
        self._multiplexer.join(remote)
        return remote

    def release(self) -> None:
        """Send every browser that is bridged from here elsewhere: this replica is going away."""
        for bridge in self._bridges:
            bridge.release(BROKEN)

    async def close(self) -> None:
        """Let go of connections, after `run` has ended."""
        for store in self._stores:
            await store.close()

    def _pipe(self) -> ReliableStream:
        now = asyncio.get_running_loop().time()
        return ReliableStream(now=now, window=WINDOW, beat=self._timings.beat)

    async def _watch_over(self, bridge: BrowserBridge, owner: str) -> CloseReason | None:
        """Wait for the bridge's end; say what is at fault, if anything is."""
        loop = asyncio.get_running_loop()
        while not bridge.over.is_set():
            try:
                async with asyncio.timeout(_LOOK):
                    await bridge.over.wait()
            except TimeoutError:
                silent = loop.time() - bridge.pipe.last_received_at
                suspicious = silent > _SUSPICIOUS or not bridge.pipe.heard
                if suspicious and await self._is_dead(owner, bridge.over):
                    return CANNOT_RESUME
                if silent > self._timings.silence:
                    return BROKEN
        return bridge.fault

    async def _is_dead(self, owner: str, over: asyncio.Event) -> bool:
        """Whether the owner is known to be dead; False as soon as `over` is set.

        To be sure of it may take seconds, see `app.state.liveness`.
        """
        asking = asyncio.create_task(self._replicas.alive(owner), name="bridge:owner_alive")
        ending = asyncio.create_task(over.wait(), name="bridge:over")
        try:
            await asyncio.wait((asking, ending), return_when=asyncio.FIRST_COMPLETED)
            return not over.is_set() and not await asking
        except StoreUnavailable:
            return False
        finally:
            asking.cancel()
            ending.cancel()
            await asyncio.gather(asking, ending, return_exceptions=True)
