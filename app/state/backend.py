"""The port to Redis, and redis-py's client of one Redis (also behind Sentinels).

A backend has no clock and tries nothing again: `RedisClient` bounds each call, and its callers try
again. For a Redis Cluster see `app.state.cluster_backend`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio import ConnectionPool

    Command = tuple[Any, ...]

RAW: Final = ("XREAD", "XRANGE", "XREVRANGE")


class ClusterUnusable(RedisError):  # noqa: N818
    """What redis-py says of a cluster as a whole, by an exception that is none of its errors."""


class Backend(Protocol):
    """Where commands go. Raises `RedisError` and `OSError` as redis-py does.

    `answers` counts what was heard while calls were not done yet: the store is busy, not silent.
    """

    answers: int

    async def execute(self, *command: Any) -> Any:
        """Run one command."""
        ...

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in order within a slot; errors are among the replies."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class SingleBackend(Backend):
    """One Redis. When `generation` grows, connections that are idle are closed."""

    def __init__(self, pool: ConnectionPool, generation: Callable[[], int]) -> None:
        self._redis = Redis.from_pool(pool)
        self._pool = pool
        self._generation = generation
        self._seen = generation()
        self.answers = 0
        # One raw shape, whatever redis-py makes of streams in its next version.
        for command in RAW:
            self._redis.set_response_callback(command, raw)

    async def execute(self, *command: Any) -> Any:
        """Run one command."""
        generation = await self._leave_old()
        try:
            return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        finally:
            await self._leave_used(generation)

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one round trip, in order, not as a transaction."""
        generation = await self._leave_old()
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                replies: list[Any] = await pipeline.execute(raise_on_error=False)
        finally:
            await self._leave_used(generation)
        return replies

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose(close_connection_pool=True)

    async def _leave_old(self) -> int:
        """Close what is idle, if there is a new generation; returns it."""
        generation = self._generation()
        if self._seen != generation:
            self._seen = generation
            await self._pool.disconnect(inuse_connections=False)
        return generation

    async def _leave_used(self, generation: int) -> None:
        """Close what was in use when a new generation began, and is idle now."""
        if generation != self._generation():
            await self._pool.disconnect(inuse_connections=False)


def raw(response: Any, **_: Any) -> Any:
    """Leave a reply as it is."""
    return response
