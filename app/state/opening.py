"""From `RELAY_STATE_URL` to a state."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.errors import ConfigurationError
from app.state.memory import MemoryState
from app.state.redis import RedisState

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.state.port import State


def open_state(
    url: str,
    replica: str,
    *,
    prefix: str = "relay",
    on_error: Callable[[str], None] = lambda _: None,
) -> State:
    """Open the state that `url` names; nothing is dialled yet.

    `memory://`, `redis://`, `rediss://` (TLS) or `unix://`. `on_error` is called with the
    operation's name whenever the store does not answer. Raises `ConfigurationError`.
    """
    scheme = urlsplit(url).scheme
    if scheme == "memory":
        return MemoryState(replica)
    if scheme not in {"redis", "rediss", "unix"}:
        raise ConfigurationError(
            ["RELAY_STATE_URL: expected memory://, redis://, rediss:// or unix://"]
        )
    try:
        return RedisState(url, replica, prefix=prefix, on_error=on_error)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(["RELAY_STATE_URL: not a URL that Redis knows"]) from error
