"""The sockets of one port for several processes: the kernel spreads connections over them.

Each worker has a socket of its own by SO_REUSEPORT (socket(7)), which the supervisor binds and
keeps: what waits in it survives a worker that is started again. Of many connections each worker
gets about as many; a socket that all accept from would give most to the one that is awake.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from app.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

BACKLOG: Final = 2048

Place = tuple[socket.AddressFamily, tuple[str, int]]
"""An address family, and host and port within it."""


def addresses(host: str, port: int, variable: str) -> list[Place]:
    """Where to listen for a host and a port, which is chosen if it is 0.

    Raises ConfigurationError, which names `variable`, if another process has it already:
    SO_REUSEPORT alone would share the port with that.
    """
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror:
        raise ConfigurationError([f"RELAY_HOST: {host} is no address of this machine"]) from None
    chosen: list[Place] = []
    for family, _, _, _, address in found:
        place = (str(address[0]), port)
        try:
            with _bound(family, place, shared=False) as probe:
                port = probe.getsockname()[1]
                probe.listen(1)  # bind(2) alone does not see a listener that shares addresses
        except OSError as error:
            raise ConfigurationError(
                [f"{variable}: {place[1]} at {place[0]}: {error.strerror}"]
            ) from None
        if (family, (place[0], port)) not in chosen:
            chosen.append((family, (place[0], port)))
    return chosen


def listeners(places: Sequence[Place]) -> list[socket.socket]:
    """One worker's sockets, listening. Raises OSError."""
    opened: list[socket.socket] = []
    try:
        for family, place in places:
            opened.append(_bound(family, place, shared=True))
            opened[-1].listen(BACKLOG)
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


def _bound(family: socket.AddressFamily, place: tuple[str, int], *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(place)
    except OSError:
        made.close()
        raise
    return made
