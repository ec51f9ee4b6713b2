"""The event loop of `blackbox-relay serve`: uvloop, whose dials race a name's addresses.

asyncio can be told to (`happy_eyeballs_delay`), uvloop cannot; the drivers of Redis and PostgreSQL
tell neither. All of them dial by `create_connection`, so it is there that names are resolved.
"""

from __future__ import annotations

from typing import Any, Final

import uvloop

from app.network.connecting import way_to

DELAY: Final = 0.1
"""Seconds between attempts, the least that RFC 8305 §8 recommends: stores are near."""
OWN_WAY: Final = frozenset({"family", "flags", "proto", "local_addr", "sock"})
"""Options with which a caller says more of addresses than a name."""


class Loop(uvloop.Loop):
    """uvloop with RFC 8305 in `create_connection`."""

    async def create_connection(self, *args: Any, **options: Any) -> tuple[Any, Any]:
        """Connect as `asyncio.loop.create_connection` does, to the first address that answers."""
        factory, host, port = (*args, None, None)[:3]
        host, port = options.pop("host", host), options.pop("port", port)
        if isinstance(host, str) and host and port and not OWN_WAY & options.keys():
            if options.get("ssl") and options.get("server_hostname") is None:
                options["server_hostname"] = host
            way = await way_to(host, int(port), delay=DELAY)
            host, port = way.pop("host", None), way.pop("port", None)
            options |= way
        return await super().create_connection(factory, host, port, **options)
