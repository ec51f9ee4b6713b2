"""A TCP connection to a host by the first of its addresses that answers."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from app.network.names import Resolve, interleaved, is_literal, system_resolve
from app.network.race import DELAY, race

if TYPE_CHECKING:
    from collections.abc import Sequence


async def way_to(
    host: str, port: int, *, resolve: Resolve = system_resolve, delay: float = DELAY
) -> dict[str, Any]:
    """Return what `create_connection` is to be given: the only address, or a connected socket.

    The event loop connects to one address itself, at a third of what a socket of its own costs.
    Raises OSError.
    """
    addresses = [host.strip("[]")] if is_literal(host) else await resolve(host, port)
    if len(addresses) == 1:
        return {"host": addresses[0], "port": port}
    return {"sock": await _first_of(addresses, port, delay)}


async def connect(
    host: str, port: int, *, resolve: Resolve = system_resolve, delay: float = DELAY
) -> socket.socket:
    """Return a connected, non-blocking socket.

    Addresses are raced, `delay` seconds apart (RFC 8305): one that swallows what is sent to it
    costs that long, and not the whole time there is. Raises OSError.
    """
    addresses = [host.strip("[]")] if is_literal(host) else await resolve(host, port)
    return await _first_of(addresses, port, delay)


async def _first_of(addresses: Sequence[str], port: int, delay: float) -> socket.socket:
    if not addresses:
        raise OSError("the host has no address")
    return await race(
        [partial(_connect, address, port) for address in interleaved(addresses)],
        discard=_close,
        delay=delay,
    )


async def _connect(address: str, port: int) -> socket.socket:
    # A literal address needs no resolution, and a zone of IPv6 is understood.
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    family, kind, protocol, _, where = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(made, where)
    except BaseException:
        made.close()
        raise
    return made


async def _close(made: socket.socket) -> None:
    made.close()
