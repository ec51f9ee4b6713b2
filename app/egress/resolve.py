"""Name resolution, once per connection, checked before anybody connects."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.egress.addresses import AllowedHosts

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host as the system's resolver orders them; raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def checked_addresses(
    allowed: AllowedHosts, resolve: Resolve, host: str, port: int
) -> tuple[str, ...]:
    """Resolve a host and return its addresses if all are allowed.

    The caller connects to these and never to the name, so that a second DNS answer (rebinding)
    cannot lead elsewhere. Raises OSError or EgressRefused.
    """
    return allowed.check(host, await resolve(host.strip("[]"), port))
