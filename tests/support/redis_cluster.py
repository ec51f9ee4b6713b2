"""A real Redis Cluster for tests: three primaries, and a replica of each, on loopback."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from redis import Redis
from redis.exceptions import RedisError

from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

PRIMARIES: Final = 3
SLOTS: Final = 16384
NODE_TIMEOUT: Final = 1000
FORMS_WITHIN: Final = 60.0


class RedisCluster(ServerProcess):
    """Six Redis processes; `directory` must be fresh. `replicas` False: primaries alone.

    The methods block: under load, call them by `asyncio.to_thread`.
    """

    def __init__(
        self, directory: Path, *, replicas: bool = True, settings: dict[str, str] | None = None
    ) -> None:
        count = PRIMARIES * (2 if replicas else 1)
        own = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(NODE_TIMEOUT),
            "cluster-replica-validity-factor": "0",
            "repl-diskless-sync-delay": "0",
        } | (settings or {})
        self.ports: dict[RedisServer, int] = {}  # where nodes speak TLS to each other
        self._buses = [free_port() for _ in range(count)]
        self.nodes = [
            RedisServer(directory / f"node{at}", settings=own | {"cluster-port": str(bus)})
            for at, bus in enumerate(self._buses)
        ]

    @property
    def url(self) -> str:
        """What `RELAY_STATE_URL` would be."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:3])

    def start(self) -> None:
        """Start, and return when every node sees every slot covered, and every replica is in."""
        for node in self.nodes:
            node.start()
        primaries = self.nodes[:PRIMARIES]
        for number, node in enumerate(primaries):
            low, high = number * SLOTS // PRIMARIES, (number + 1) * SLOTS // PRIMARIES - 1
            self.ask(node, "CLUSTER", "ADDSLOTSRANGE", low, high)
            self.ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            first = self.ports.get(self.nodes[0], self.nodes[0].port)
            self.ask(node, "CLUSTER", "MEET", "127.0.0.1", first, self._buses[0])
        self._wait(lambda: all(self._knows_all(node) for node in self.nodes))
        for number, node in enumerate(self.nodes[PRIMARIES:]):
            self.ask(node, "CLUSTER", "REPLICATE", self.identity(primaries[number]))
        self._wait(lambda: all(self._is_well(node) for node in self.nodes))

    def ask(self, node: RedisServer, *words: Any) -> Any:
        """Ask one node one command, as a client that follows no redirection."""
        with Redis(port=node.port, socket_timeout=10) as client:
            return client.execute_command(*words)

    def identity(self, node: RedisServer) -> str:
        """A node's id."""
        found = self.ask(node, "CLUSTER", "MYID")
        return found.decode() if isinstance(found, bytes) else str(found)

    def primaries(self) -> list[RedisServer]:
        """The nodes that run and are primaries now."""
        return [node for node in self.nodes if node.is_running and self._role(node) == "master"]

    def keys(self) -> list[bytes]:
        """The names of all keys."""
        found: list[bytes] = []
        for node in self.primaries():
            found += node.keys("*")
        return found

    def wait_until_covered(self) -> None:
        """Wait until every node that runs says that living primaries serve all slots."""
        self._wait(
            lambda: (
                len(self.primaries()) == PRIMARIES
                and all(self._is_ok(node) for node in self.nodes if node.is_running)
            )
        )

    def wait_until_replicated(self) -> None:
        """Wait until every node that runs is a primary, or has its primary's data."""
        self._wait(lambda: all(self._follows(node) for node in self.nodes if node.is_running))

    def kill(self) -> None:
        """End all nodes at once."""
        for node in self.nodes:
            if node.is_running:
                node.kill()

    def _wait(self, holds: Any) -> None:
        deadline = time.monotonic() + FORMS_WITHIN
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError("the Redis Cluster did not become whole")
            time.sleep(0.05)

    def _knows_all(self, node: RedisServer) -> bool:
        return self._fact(node, "cluster_known_nodes") == str(len(self.nodes))

    def _is_ok(self, node: RedisServer) -> bool:
        try:
            return self._fact(node, "cluster_state") == "ok"
        except RedisError:
            return False

    def _is_well(self, node: RedisServer) -> bool:
        if not self._is_ok(node):
            return False
        if node in self.nodes[:PRIMARIES]:
            return True
        with Redis(port=node.port) as client:
            facts = client.info("replication")
        return bool(facts.get("master_link_status") == "up")

    def _follows(self, node: RedisServer) -> bool:
        try:
            with Redis(port=node.port, socket_timeout=10) as client:
                facts = client.info("replication")
        except RedisError:
            return False
        return bool(facts["role"] == "master" or facts.get("master_link_status") == "up")

    def _role(self, node: RedisServer) -> str:
        with Redis(port=node.port, socket_timeout=10) as client:
            return str(client.info("replication")["role"])

    def _fact(self, node: RedisServer, name: str) -> str:
        told = self.ask(node, "CLUSTER", "INFO")
        lines = (told.decode() if isinstance(told, bytes) else str(told)).splitlines()
        return dict(line.partition(":")[::2] for line in lines).get(name, "")
