"""A TCP connection to a host by the first of its addresses that answers."""

from __future__ import annotations

import asyncio
import socket
from functools import partial

from app.network.names import Resolve, interleaved, is_literal, system_resolve
from app.network.race import DELAY, race


async def connect(
    host: str, port: int, *, resolve: Resolve = system_resolve, delay: float = DELAY
) -> socket.socket:
    """Return a connected, non-blocking socket.

    Addresses are raced, `delay` seconds apart (RFC 8305): one that swallows what is sent to it
    costs that long, and not the whole time there is. Raises OSError.
    """
    addresses = [host.strip("[]")] if is_literal(host) else await resolve(host, port)
    if not addresses:
        raise OSError("the host has no address")
    if len(addresses) == 1:
        return await _connect(addresses[0], port)
    return await race(
        [partial(_connect, address, port) for address in interleaved(addresses)],
        discard=_close,
        delay=delay,
    )


async def _connect(address: str, port: int) -> socket.socket:
    # A literal address: nobody is asked, and a zone of IPv6 is understood.
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
