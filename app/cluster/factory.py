"""From `RELAY_STATE_URL` to bridges and live events, where there can be other replicas.

What needs Redis is imported only where there is one: a single replica starts without.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from app.state.memory import MemoryState

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.cluster.bridge import Bridges
    from app.cluster.live_events import LiveEvents
    from app.cluster.remote_socket import BridgeTimings
    from app.protocol.close_codes import CloseReason
    from app.state.interface import State
    from app.state.redis import RedisState
    from app.state.redis_client import RedisClient
    from app.websocket.interface import Socket


# Bridges are on no request's path: their ends wait longer than a request may.
_BRIDGE_TIMEOUT = 1.0
_BLOCK = 1.0
_MAX_WATCHERS = 64


def open_bridges(
    state: State,
    replica: str,
    *,
    reject: Callable[[Socket, CloseReason], None],
    send_error: Callable[[Socket, int], None] = lambda *_: None,
    on_error: Callable[[str], None] = lambda _: None,
    timings: BridgeTimings | None = None,
) -> Bridges | None:
    """Open the bridges that go with `state`; None where there is but one replica.

    `reject` says to a browser why, and closes its socket; `send_error` says why the connection is
    about to close: see `Bridges`.
    """
    shared = _shared(state)
    if shared is None:
        return None
    from app.cluster.bridge import Bridges  # noqa: PLC0415 - see above
    from app.cluster.multiplexer import MAX_READERS  # noqa: PLC0415

    return Bridges(
        replica,
        shared,
        keys=shared.keys,
        stores=_clients(shared, 1, MAX_READERS, on_error),
        block=_BLOCK,
        reject=reject,
        send_error=send_error,
        timings=timings,
    )


def open_live_events(
    state: State,
    *,
    on_error: Callable[[str], None] = lambda _: None,
) -> LiveEvents | None:
    """Open the watches that go with `state`; None where there is but one replica."""
    shared = _shared(state)
    if shared is None:
        return None
    from app.cluster.live_events import LiveEvents  # noqa: PLC0415

    writing, reading = _clients(shared, 4, _MAX_WATCHERS, on_error)
    return LiveEvents(shared, keys=shared.keys, writing=writing, reading=reading, block=_BLOCK)


def _clients(
    shared: RedisState, writers: int, readers: int, on_error: Callable[[str], None]
) -> tuple[RedisClient, RedisClient]:
    """One client to write with, one whose commands may block, of so many connections each."""
    from app.state.redis_client import RedisClient  # noqa: PLC0415 - see above

    open_client = partial(RedisClient, shared.connector, timeout=_BRIDGE_TIMEOUT, on_error=on_error)
    return open_client(connections=writers), open_client(connections=readers, patience=_BLOCK)


def _shared(state: State) -> RedisState | None:
    if isinstance(state, MemoryState):
        return None
    from app.state.redis import RedisState  # noqa: PLC0415 - see above

    return state if isinstance(state, RedisState) else None
