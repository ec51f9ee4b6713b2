"""From the store's address to redis-py's connection pools, which leave a server that was demoted.

After a failover behind a name, or behind Sentinels, connections that were made before lead to a
replica: reads work there, writes are refused as READONLY. As soon as one connection meets that,
every other one of this process that was made before is dialled anew when it is next used.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import BlockingConnectionPool, ConnectionPool
from redis.asyncio.connection import (
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError

from app.state.address import Kind, StateAddress, parse
from app.state.backend import SingleBackend
from app.state.cluster_backend import ClusterBackend
from app.state.sentinels import Sentinels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.state.backend import Backend

LOOK_EVERY: Final = 1.0
LOOK_TIMEOUT: Final = 1.0
"""Seconds between two questions to the Sentinels, and for each."""

UNKNOWN_PARAMETER: Final = "has a parameter that Redis does not know"


class Connector:
    """Makes pools of connections to one store; nothing is dialled before a connection is used.

    `generation` grows when connections that were made before are not to be used any more,
    `losses` when a node of a Redis Cluster did not answer. Raises `ValueError`, which says what is
    wrong and nothing of the URL.
    """

    def __init__(self, url: str) -> None:
        self._address: StateAddress = parse(url)
        self._options = _options(self._address.url)
        self._sentinels: Sentinels | None = None
        if self._address.kind is Kind.SENTINEL:
            self._sentinels = _sentinels(self._address, self._options)
        self.generation = 0
        self.losses = 0
        self.is_cluster = self._address.kind is Kind.CLUSTER
        self.fails_over = self._address.kind in {Kind.CLUSTER, Kind.SENTINEL}

    def backend(self, connections: int) -> Backend:
        """Make a client. Raises `ValueError` where redis-py does not know a parameter."""
        if not self.is_cluster:
            return SingleBackend(self.pool(connections), lambda: self.generation)
        options = dict(self._options)
        for name in ("host", "port", "db", "retry"):
            options.pop(name, None)
        options["ssl"] = options.pop("connection_class", None) is SSLConnection
        try:
            return ClusterBackend(self._address.nodes, connections, options, self.lost)
        except TypeError:
            raise ValueError(UNKNOWN_PARAMETER) from None

    def pool(self, connections: int) -> ConnectionPool:
        """Make a pool. Raises `ValueError` where redis-py does not know a parameter."""
        options = self._options | {"connector": self}
        base = options.pop("connection_class", Connection)
        if self._sentinels is not None:
            options = {n: v for n, v in options.items() if n not in {"host", "port"}}
        pool: ConnectionPool
        if self._sentinels is not None:
            pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
                self._address.service,
                self._sentinels,
                connection_class=_TlsBySentinel if base is SSLConnection else _BySentinel,
                max_connections=2 * connections,  # it does not wait for a free one: its user does
                **options,
            )
        else:
            pool = BlockingConnectionPool(
                max_connections=connections,
                timeout=None,
                connection_class=_CLASSES[base],  # type: ignore[type-abstract]
                **options,
            )
        try:
            pool.make_connection()  # type: ignore[no-untyped-call]
        except TypeError:
            raise ValueError(UNKNOWN_PARAMETER) from None
        return pool

    def demoted(self, generation: int) -> None:
        """Take note that a connection of this generation leads to a replica."""
        if generation == self.generation:
            self.generation += 1

    async def watch_primary(self) -> None:
        """Leave, behind Sentinels, a primary soon after another one was promoted, until cancelled.

        The old one is made a replica some 10 s later, and takes writes until then, which are lost:
        replicas that beat on different primaries would take each other for dead.
        """
        epoch, followed = -1, None
        while self._sentinels is not None:
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(LOOK_TIMEOUT):
                    await self._sentinels.discover_master(self._address.service)
                newest, found = self._sentinels.newest
                if newest >= epoch:  # else it was said by one that has missed a failover
                    if followed not in {None, found}:
                        self.demoted(self.generation)
                        self.lost()
                    epoch, followed = newest, found
            await asyncio.sleep(LOOK_EVERY)

    def lost(self) -> None:
        """Take note that a node did not answer."""
        self.losses += 1

    async def close(self) -> None:
        """Close connections to Sentinels; they are made anew if needed."""
        if self._sentinels is not None:
            await self._sentinels.aclose()


def is_read_only(error: BaseException | None) -> bool:
    """Whether a server refuses writes as replicas do, also within a script or behind Sentinels.

    Redis 6 wraps what a script met in an error of its own; redis-py turns the refusal of what
    Sentinels named into a `ConnectionError`.
    """
    return isinstance(error, RedisError) and (
        isinstance(error, ReadOnlyError)
        or "READONLY" in str(error)
        or isinstance(error.__context__, ReadOnlyError)
    )


class _Renewed:
    """A connection that is dialled anew when its generation has passed."""

    def __init__(self, *, connector: Connector, **options: Any) -> None:
        self._connector = connector
        self._generation = connector.generation
        super().__init__(**options)

    async def connect(self) -> None:
        it: Any = self
        if self._generation != self._connector.generation and it.is_connected:
            await it.disconnect(nowait=True)
        if not it.is_connected:
            self._generation = self._connector.generation
        await super().connect()  # type: ignore[misc]

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)  # type: ignore[misc]
        except RedisError as error:
            if is_read_only(error):
                self._connector.demoted(self._generation)
            raise


class _Tcp(_Renewed, Connection):
    pass


class _Tls(_Renewed, SSLConnection):
    pass


class _Unix(_Renewed, UnixDomainSocketConnection):
    pass


class _BySentinel(_Renewed, SentinelManagedConnection):
    pass


class _TlsBySentinel(_Renewed, SentinelManagedSSLConnection):
    pass


_CLASSES: Final = {Connection: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}


def _sentinels(address: StateAddress, options: Mapping[str, Any]) -> Sentinels:
    shared = {name: value for name, value in options.items() if name.startswith("ssl_")}
    username, password = address.sentinel_login
    return Sentinels(  # type: ignore[no-untyped-call]
        address.sentinels,
        sentinel_kwargs={
            **shared,
            **_once(),
            "ssl": options.get("connection_class") is SSLConnection,
            "username": username,
            "password": password,
        },
    )


def _once() -> dict[str, Any]:
    """Our callers have the only clock, and try again themselves."""
    return {
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        # RESP2 needs no greeting; the name is for operators who read CLIENT LIST.
        "protocol": 2,
        "client_name": "blackbox-relay",
        "driver_info": None,
    }


def _options(url: str) -> dict[str, Any]:
    """redis-py's options from a URL of its own kinds, but for host, port and our own clock.

    redis-py's own time-out writes through asyncio.wait_for, which can swallow a cancellation
    before Python 3.12 (gh-86296): whatever the URL says, there is none.
    """
    return dict(parse_url(url)) | _once()
