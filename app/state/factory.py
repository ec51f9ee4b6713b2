"""From `RELAY_STATE_URL` to a state, and to bridges where there can be other replicas.

Redis, and what is built on it, is imported only where the URL names it: a replica that is alone
starts without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocol.errors import ConfigurationError
from app.state.address import Kind, parse
from app.state.memory import MemoryState

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.state.interface import State


def open_state(
    url: str,
    replica: str,
    *,
    prefix: str = "relay",
    on_error: Callable[[str], None] = lambda _: None,
    timeout: float | None = None,
) -> State:
    """Open the state that `url` names; nothing is dialled yet.

    For the kinds of URL see `app.state.address`. `on_error` is called with the
    operation's name whenever the store does not answer; `timeout` is how long it may be silent, in
    seconds, where that is not as usual. Raises `ConfigurationError`.
    """
    try:
        if parse(url).kind is Kind.MEMORY:
            return MemoryState(replica)
    except ValueError as fault:
        raise ConfigurationError([f"RELAY_STATE_URL {fault}"]) from None
    from app.state.redis import RedisState, Timings  # noqa: PLC0415 - see above

    timings = None if timeout is None else Timings(timeout=timeout)
    try:
        return RedisState(url, replica, prefix=prefix, timings=timings, on_error=on_error)
    except (ValueError, TypeError) as fault:
        ours = isinstance(fault, ValueError) and str(fault).startswith(("has ", "must "))
        told = str(fault) if ours else "is no URL that Redis knows"
        raise ConfigurationError([f"RELAY_STATE_URL {told}"]) from None
