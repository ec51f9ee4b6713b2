"""Requests to connect, as short as a test wants them."""

from __future__ import annotations

from app.auth.connect_request import ConnectRequest
from app.auth.proxies import Peer


def asking(
    query: str = "",
    *,
    path: str = "/ws",
    agent: str | None = None,
    address: str = "203.0.113.9",
    **headers: str,
) -> ConnectRequest:
    """Header names take `_` for `-`; a Host is always there."""
    named = {"host": "relay.example.com", **headers}
    return ConnectRequest.read(
        {name.replace("_", "-"): value for name, value in named.items()},
        query.encode("latin-1"),
        path=path,
        agent=agent,
        peer=Peer(address, "https"),
    )
