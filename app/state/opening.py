"""From `RELAY_STATE_URL` to a state, and to bridges where there can be other replicas.

Redis, and what is built on it, is imported only where the URL names it: a replica that is alone
starts without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import ConfigurationError
from app.state.address import Kind, parse
from app.state.keys import Keys
from app.state.memory import MemoryState

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.protocol.closing import CloseReason
    from app.state.bridge import Bridges
    from app.state.port import State
    from app.state.redis import RedisState
    from app.state.remote import BridgeTimings
    from app.state.watch import Watches
    from app.wire.socket import Socket

# Bridges are on nobody's request path: their ends wait longer than a request may.
_BRIDGE_TIMEOUT = 1.0
_BLOCK = 1.0
_MAX_WATCHERS = 64


def open_state(
    url: str,
    replica: str,
    *,
    prefix: str = "relay",
    on_error: Callable[[str], None] = lambda _: None,
) -> State:
    """Open the state that `url` names; nothing is dialled yet.

    For the kinds of URL see `app.state.address`. `on_error` is called with the
    operation's name whenever the store does not answer. Raises `ConfigurationError`.
    """
    try:
        if parse(url).kind is Kind.MEMORY:
            return MemoryState(replica)
    except ValueError as fault:
        raise ConfigurationError([f"RELAY_STATE_URL {fault}"]) from None
    from app.state.redis import RedisState  # noqa: PLC0415 - see above

    try:
        return RedisState(url, replica, prefix=prefix, on_error=on_error)
    except (ValueError, TypeError) as fault:
        ours = isinstance(fault, ValueError) and str(fault).startswith(("has ", "must "))
        told = str(fault) if ours else "is no URL that Redis knows"
        raise ConfigurationError([f"RELAY_STATE_URL {told}"]) from None


def open_bridges(
    state: State,
    replica: str,
    *,
    hang_up: Callable[[Socket, CloseReason], None],
    warn: Callable[[Socket, int], None] = lambda *_: None,
    prefix: str = "relay",
    on_error: Callable[[str], None] = lambda _: None,
    timings: BridgeTimings | None = None,
) -> Bridges | None:
    """Open the bridges that go with `state`; None where there is but one replica.

    `hang_up` says to a browser why, and closes its socket; `warn` says why the wire is about to
    close it: see `Bridges`.
    """
    shared = _shared(state)
    if shared is None:
        return None
    from app.state.bridge import Bridges  # noqa: PLC0415 - see above
    from app.state.store import Store  # noqa: PLC0415
    from app.state.switchboard import MAX_READERS  # noqa: PLC0415

    writing = Store(shared.connector, timeout=_BRIDGE_TIMEOUT, connections=1, on_error=on_error)
    reading = Store(
        shared.connector,
        timeout=_BRIDGE_TIMEOUT,
        patience=_BLOCK,
        connections=MAX_READERS,
        on_error=on_error,
    )
    return Bridges(
        replica,
        shared,
        keys=Keys(prefix),
        stores=(writing, reading),
        block=_BLOCK,
        hang_up=hang_up,
        warn=warn,
        timings=timings,
    )


def open_watches(
    state: State,
    *,
    prefix: str = "relay",
    on_error: Callable[[str], None] = lambda _: None,
) -> Watches | None:
    """Open the watches that go with `state`; None where there is but one replica."""
    shared = _shared(state)
    if shared is None:
        return None
    from app.state.store import Store  # noqa: PLC0415 - see above
    from app.state.watch import Watches  # noqa: PLC0415

    return Watches(
        shared,
        keys=Keys(prefix),
        writing=Store(shared.connector, timeout=_BRIDGE_TIMEOUT, connections=4, on_error=on_error),
        reading=Store(
            shared.connector,
            timeout=_BRIDGE_TIMEOUT,
            patience=_BLOCK,
            connections=_MAX_WATCHERS,
            on_error=on_error,
        ),
        block=_BLOCK,
    )


def _shared(state: State) -> RedisState | None:
    if isinstance(state, MemoryState):
        return None
    from app.state.redis import RedisState  # noqa: PLC0415 - see above

    return state if isinstance(state, RedisState) else None
