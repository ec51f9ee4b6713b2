"""Name resolution: a host's addresses, in the order in which they are tried."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Final

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_ADDRESSES: Final = 16
"""Addresses of one name that are tried: the time for a connection ends long before more are."""


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host as the system's resolver orders them; raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def interleaved(addresses: Sequence[str]) -> tuple[str, ...]:
    """Order addresses for a race: families in turn, the first one's family first (RFC 8305 §4)."""
    known = tuple(dict.fromkeys(addresses))
    first = [address for address in known if (":" in address) is (":" in known[0])]
    other = [address for address in known if (":" in address) is not (":" in known[0])]
    turns = chain.from_iterable(zip_longest(first, other))
    return tuple(address for address in turns if address is not None)[:MAX_ADDRESSES]


def is_literal(host: str) -> bool:
    """Tell whether a host is an address, which no resolver needs to be asked for."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
