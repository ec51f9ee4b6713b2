"""A Redis Cluster by redis-py's map of nodes and connections; redirections are followed here.

redis-py (8.1) sends `ASKING` and the command behind it by connections of their own, so that a slot
that is being moved refuses the command again and again; after every fifth `MOVED` it closes all
connections, also those that wait for an answer. Here a command goes with its `ASKING` in one
write, and connections stay (Redis Cluster specification, "MOVED Redirection", "ASK redirection").
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.cluster import PRIMARY
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from app.state.backend import RAW, Backend, ClusterUnusable, raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from app.state.backend import Command

EVERY_PRIMARY: Final = ("INFO", "replication")

LOOK_AFTER_LOSS: Final = 0.2
"""Seconds between two looks at which node has which slots, while nodes fail."""

LOOK_AFTER_MOVE: Final = 2.0
"""The same while slots move: `MOVED` says of each by itself where it is."""

LOOK_TIMEOUT: Final = 1.0
FIRST_PAUSE: Final = 0.01
LONGEST_PAUSE: Final = 0.1
PATIENCE: Final = 2.0
"""Seconds for which a command is redirected, or asked to come again, before it fails."""

_REDIRECTED: Final = (AskError, TryAgainError)  # a `MovedError` is an `AskError`
_LOST: Final = (RedisConnectionError, ClusterDownError, RedisClusterException, OSError)


class _Sent:
    """One command: the node it goes to next, and what came of it."""

    def __init__(self, command: Command, slot: int | None) -> None:
        self.command = command
        self.slot = slot
        self.asked: ClusterNode | None = None
        self.node: ClusterNode | None = None
        self.reply: Any = None


class ClusterBackend(Backend):
    """A Redis Cluster. Commands are followed to where their slot is, for `PATIENCE` seconds.

    A command that was redirected was not carried out, so it is safe to send it again; whatever
    else goes wrong is the caller's. `answers` counts replies of nodes, redirections included;
    `on_loss` is called when a node does not answer.
    """

    def __init__(
        self,
        nodes: Sequence[tuple[str, int]],
        connections: int,
        options: Mapping[str, Any],
        on_loss: Callable[[], None],
    ) -> None:
        self._cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in nodes],
            max_connections=2 * connections,  # of each node; its user waits for a free one
            # The names that were given stay: all addresses may change behind them.
            dynamic_startup_nodes=False,
            retry=Retry(NoBackoff(), 0),
            **options,
        )
        for command in RAW:
            self._cluster.set_response_callback(command, raw)
        self._map = self._cluster.nodes_manager
        self._given = self._map.startup_nodes
        self._on_loss = on_loss
        self._looking: asyncio.Task[None] | None = None
        self._turn = 0
        self._looks = 0
        self.answers = 0

    async def execute(self, *command: Any) -> Any:
        """Run one command on the node that has its slot.

        `INFO replication` goes to every primary; the reply is a mapping of their names to theirs.
        """
        if command == EVERY_PRIMARY:
            return await self._ask_primaries(command)
        (reply,) = await self.pipeline([command])
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands on their nodes, all nodes at once; what is redirected runs afterwards."""
        async with self._known():
            sent = [_Sent(command, slot_of_command(command)) for command in commands]
            await self._follow(sent)
        return [each.reply for each in sent]

    async def _ask_primaries(self, command: Command) -> dict[str, Any]:
        async with self._known():
            primaries = self._map.get_nodes_by_server_type(PRIMARY)
            asked = {node: _Sent(command, None) for node in primaries}
            await asyncio.gather(*(self._send_to(node, [each]) for node, each in asked.items()))
        for each in asked.values():
            if isinstance(each.reply, Exception):
                raise each.reply
        return {node.name: each.reply for node, each in asked.items()}

    @asynccontextmanager
    async def _known(self) -> AsyncIterator[None]:
        """Know the slots' nodes for a block. Raises `ClusterUnusable` where a slot has none."""
        try:
            if not self._map.slots_cache:
                await self._map.initialize()
            yield
        except RedisClusterException as error:
            self._look_soon(LOOK_AFTER_LOSS)
            raise ClusterUnusable(str(error)) from error.__cause__

    async def close(self) -> None:
        """Close every connection."""
        if self._looking is not None:
            self._looking.cancel()
        self._map.startup_nodes = self._given
        await self._map.aclose()
        await self._map.aclose("startup_nodes")

    async def _follow(self, sent: Sequence[_Sent]) -> None:
        """Send commands, and again those that are redirected, until none is or time is up."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PATIENCE
        pause = 0.0
        while sent:
            await self._send(sent)
            sent = [each for each in sent if isinstance(each.reply, _REDIRECTED)]
            if not sent or loop.time() >= give_up:
                return
            for each in sent:
                await self._redirect(each)
            # A first redirection is followed at once, unless the slot is not ready to be used.
            if pause or any(isinstance(each.reply, TryAgainError) for each in sent):
                await asyncio.sleep(max(pause, FIRST_PAUSE))
            pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * pause))

    async def _send(self, sent: Sequence[_Sent]) -> None:
        """Send each command once, and set its reply."""
        by_node: dict[ClusterNode, list[_Sent]] = {}
        for each in sent:
            each.node = each.asked or self._node(each.slot)
            by_node.setdefault(each.node, []).append(each)
        if len(by_node) == 1:
            ((node, group),) = by_node.items()
            await self._send_to(node, group)
        else:
            await asyncio.gather(*(self._send_to(*item) for item in by_node.items()))

    async def _send_to(self, node: ClusterNode, group: Sequence[_Sent]) -> None:
        """Send commands in order in one write of one connection."""
        packed: list[PipelineCommand] = []
        for each in group:
            if each.asked is not None:
                packed.append(PipelineCommand(0, "ASKING"))
                each.asked = None
            packed.append(PipelineCommand(0, *each.command))
        try:
            await node.execute_pipeline(packed)
        except (RedisError, OSError) as error:
            failed: Any = error if isinstance(error, RedisError) else RedisConnectionError()
            if failed is not error:
                failed.__cause__ = error
            replies: Iterable[Any] = [failed] * len(group)
        else:
            replies = (each.result for each in packed if each.args[0] != "ASKING")
        for each, reply in zip(group, replies, strict=True):
            each.reply = reply
            if isinstance(reply, _LOST):
                self._lost(node)
            else:
                self.answers += 1

    async def _redirect(self, each: _Sent) -> None:
        """Take note of where a command is to go next."""
        error = each.reply
        if not isinstance(error, AskError):
            return
        if not error.host and each.node is not None:
            error.host = each.node.host  # the specification: no host is the one that answered
        if isinstance(error, MovedError):
            await self._map.move_slot(error)
            self._look_soon(LOOK_AFTER_MOVE)
            return
        node = self._map.get_node(host=error.host, port=error.port)
        if node is None:
            node = ClusterNode(error.host, error.port, PRIMARY, **self._map.connection_kwargs)
            self._map.set_nodes(self._map.nodes_cache, {node.name: node})
        each.asked = node

    def _node(self, slot: int | None) -> ClusterNode:
        """The node that serves a slot; any primary for a command without keys."""
        if slot is not None:
            return self._map.get_node_from_slot(slot)
        primaries = self._map.get_nodes_by_server_type(PRIMARY)
        return primaries[self._turn % len(primaries)]

    def _lost(self, node: ClusterNode) -> None:
        """Dial a node anew that has failed, and look which nodes there are."""
        self._turn += 1
        self._on_loss()
        for connection in node._connections:
            connection.mark_for_reconnect()  # type: ignore[no-untyped-call]
        self._look_soon(LOOK_AFTER_LOSS)

    def _look_soon(self, pause: float) -> None:
        """Look for the nodes of all slots, then not again for `pause` seconds."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(pause), name="state:cluster_slots")

    async def _look(self, pause: float) -> None:
        """Ask one node after the other, in turn those that were given, and all that are known."""
        self._looks += 1
        known = self._map.nodes_cache if self._looks % 2 else {}
        self._map.startup_nodes = {**self._given, **known}
        with suppress(RedisError, RedisClusterException, OSError, TimeoutError):
            # The next call that fails looks again, and redis-py begins at another node.
            async with asyncio.timeout(LOOK_TIMEOUT):
                await self._map.initialize()
        await asyncio.sleep(pause)


def slot_of_command(command: Command) -> int | None:
    """The slot of a command's first key; None without keys. All of a command's share a slot."""
    match command[0]:
        case "PING" | "INFO":
            return None
        case "EVAL" | "EVALSHA":
            key = command[3]
        case "XREAD":
            key = command[command.index("STREAMS") + 1]
        case _:
            key = command[1]
    return int(key_slot(key.encode() if isinstance(key, str) else key))
