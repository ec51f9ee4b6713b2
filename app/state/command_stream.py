"""The stream of commands to a replica, read by one blocking connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.protocol.errors import StoreUnavailable
from app.state.redis_client import RedisClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from app.state.connector import Connector

_BLOCK: Final = 1.0
_COUNT: Final = 64
_PAUSE: Final = 0.25
START: Final = b"0-0"


class CommandStream:
    """Messages of one stream, from its beginning, through outages.

    Reading does not consume: what was read is remembered here, and the stream's length bound
    and expiry throw the rest away.
    """

    def __init__(
        self, connector: Connector, key: str, *, timeout: float, on_error: Callable[[str], None]
    ) -> None:
        self._key = key
        self._position = START
        self._store = RedisClient(
            connector, timeout=timeout, connections=1, patience=_BLOCK, on_error=on_error
        )

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield messages until the reader stops; wait for the store when it is away."""
        while True:
            try:
                reply = await self._store.call(
                    "inbox",
                    *("XREAD", "COUNT", _COUNT, "BLOCK", round(_BLOCK * 1000)),
                    *("STREAMS", self._key, self._position),
                )
            except StoreUnavailable:
                await self._recover()
                continue
            for _, entries in reply or ():
                for position, fields in entries:
                    self._position = position
                    yield fields[1]

    async def close(self) -> None:
        """Close the connection."""
        await self._store.close()

    async def _recover(self) -> None:
        """Wait for the store; begin anew if the stream is a younger one than that being read."""
        while True:
            await asyncio.sleep(_PAUSE)
            try:
                newest = await self._store.call(
                    "inbox", "XREVRANGE", self._key, "+", "-", "COUNT", 1
                )
            except StoreUnavailable:
                continue
            if not newest or _order(newest[0][0]) < _order(self._position):
                self._position = START
            return


def _order(position: bytes) -> tuple[int, int]:
    milliseconds, _, number = position.partition(b"-")
    return int(milliseconds), int(number)
