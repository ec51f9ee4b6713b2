"""redis-py's client of one Redis (also behind Sentinels), or of a Redis Cluster, as one port.

Neither has a clock or tries again: `RedisClient` bounds each call, and its callers try again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ClusterDownError, RedisClusterException, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis.asyncio import ConnectionPool

    Command = tuple[Any, ...]

RAW: Final = ("XREAD", "XRANGE", "XREVRANGE")
TOPOLOGY_PAUSE: Final = 0.2
"""Seconds between two looks at which node has which slots, while nodes fail."""


class ClusterUnusable(RedisError):  # noqa: N818
    """What redis-py says of a cluster as a whole, by an exception that is none of its errors."""


class Backend(Protocol):
    """Where commands go. Raises `RedisError` and `OSError` as redis-py does."""

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
        # One raw shape, whatever redis-py makes of streams in its next version.
        for command in RAW:
            self._redis.set_response_callback(command, _raw)

    async def execute(self, *command: Any) -> Any:
        """Run one command."""
        await self._leave_old()
        return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one round trip, in order, not as a transaction."""
        await self._leave_old()
        async with self._redis.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose(close_connection_pool=True)

    async def _leave_old(self) -> None:
        if self._seen != self._generation():
            self._seen = self._generation()
            await self._pool.disconnect(inuse_connections=False)


class ClusterBackend(Backend):
    """A Redis Cluster. Redirections are followed; a node that fails makes it look for the new one.

    redis-py looks at the slots anew when a single command fails, and not when one within a
    pipeline does: this does it for both.
    """

    def __init__(
        self, nodes: Sequence[tuple[str, int]], connections: int, options: Mapping[str, Any]
    ) -> None:
        self._cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in nodes],
            max_connections=2 * connections,  # of each node; its user waits for a free one
            retry=Retry(NoBackoff(), 0),
            **options,
        )
        for command in RAW:
            self._cluster.set_response_callback(command, _raw)
        self._looking: asyncio.Task[None] | None = None

    async def execute(self, *command: Any) -> Any:
        """Run one command on the node that has its slot."""
        try:
            await self._cluster.initialize()
            return await self._cluster.execute_command(*command, **self._target(command))
        except RedisClusterException as error:
            self._note(error)
            raise ClusterUnusable(str(error)) from error.__cause__
        except (RedisError, OSError) as error:
            self._note(error)
            raise

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands on their nodes, all nodes at once."""
        try:
            await self._cluster.initialize()
            pipeline = self._cluster.pipeline()
            for command in commands:
                pipeline.execute_command(*command, **self._target(command))
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        except RedisClusterException as error:
            self._note(error)
            raise ClusterUnusable(str(error)) from error.__cause__
        except (RedisError, OSError) as error:
            self._note(error)
            raise
        for reply in replies:
            if isinstance(reply, RedisError | OSError):
                self._note(reply)
        return replies

    async def close(self) -> None:
        """Close every connection."""
        if self._looking is not None:
            self._looking.cancel()
        await self._cluster.aclose()

    def _target(self, command: Command) -> dict[str, Any]:
        """The node of a command whose keys redis-py would have to ask the server for."""
        name = command[0]
        if name == "PING":
            return {"target_nodes": self._cluster.get_default_node()}
        if name == "INFO":
            return {"target_nodes": RedisCluster.PRIMARIES}
        if name != "XREAD":
            return {}
        key = command[command.index("STREAMS") + 1]
        return {"target_nodes": self._cluster.get_node_from_key(key)}

    def _note(self, error: BaseException) -> None:
        """Look for the nodes of all slots soon, if a node is not what it was."""
        lost = (RedisConnectionError, ClusterDownError, RedisClusterException, OSError)
        if isinstance(error, lost) and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(10 * TOPOLOGY_PAUSE):
                await self._cluster.nodes_manager.initialize()
        except (RedisError, RedisClusterException, OSError, TimeoutError):
            pass  # the next call that fails looks again
        await asyncio.sleep(TOPOLOGY_PAUSE)


def _raw(response: Any, **_: Any) -> Any:
    return response
