"""Moves a slot of a Redis Cluster from one primary to another in the steps of `redis-cli`.

Redis Cluster specification, "Live reconfiguration": the target imports, the source migrates, keys
are moved by MIGRATE, and at last all primaries are told who has the slot.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, Final

from redis import Redis
from redis.crc import key_slot

if TYPE_CHECKING:
    from tests.support.redis import RedisServer
    from tests.support.redis_cluster import RedisCluster

KEYS_PER_STEP: Final = 10
MIGRATE_TIMEOUT: Final = 5000


class SlotMove:
    """One slot on its way to the primary that follows its present one. The methods block."""

    def __init__(self, cluster: RedisCluster, slot: int) -> None:
        self.slot = slot
        nodes = cluster.primaries()
        self._clients = {node: Redis(port=node.port) for node in nodes}
        self._names = {node: self._ask(node, "CLUSTER MYID") for node in nodes}
        owner = self._port_of_owner()
        self.source = next(node for node in nodes if node.port == owner)
        self.target = nodes[(nodes.index(self.source) + 1) % len(nodes)]

    def begin(self) -> None:
        """Open the slot: from now on the source redirects by ASK what it does not have."""
        source, target = self._names[self.source], self._names[self.target]
        self._ask(self.target, "CLUSTER", "SETSLOT", self.slot, "IMPORTING", source)
        self._ask(self.source, "CLUSTER", "SETSLOT", self.slot, "MIGRATING", target)

    def keys(self) -> list[bytes]:
        """Some of the keys that the source still has."""
        found: list[bytes] = self._ask(
            self.source, "CLUSTER", "GETKEYSINSLOT", self.slot, KEYS_PER_STEP
        )
        return found

    def migrate(self, *keys: bytes | str) -> None:
        """Move these keys."""
        self._ask(
            self.source,
            *("MIGRATE", "127.0.0.1", self.target.port, "", 0, MIGRATE_TIMEOUT, "KEYS", *keys),
        )

    def migrate_all(self) -> int:
        """Move all keys, also those that are written meanwhile; return how many."""
        count = 0
        while found := self.keys():
            self.migrate(*found)
            count += len(found)
        return count

    def finish(self) -> None:
        """Close the slot: it is the target's."""
        target = self._names[self.target]
        others = [node for node in self._clients if node is not self.target]
        for node in (self.target, *others):
            self._ask(node, "CLUSTER", "SETSLOT", self.slot, "NODE", target)

    def run(self) -> int:
        """All of it; return how many keys were moved."""
        self.begin()
        count = self.migrate_all()
        self.finish()
        return count

    def _port_of_owner(self) -> int:
        for client in self._clients.values():
            slots: Any = client.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
            for low, high, primary, *_ in slots:
                if low <= self.slot <= high:
                    return int(primary[1])
        raise AssertionError(f"no primary has slot {self.slot}")

    def _ask(self, node: RedisServer, *words: Any) -> Any:
        return self._clients[node].execute_command(*words)  # type: ignore[no-untyped-call]


def close_slots(cluster: RedisCluster) -> None:
    """Close slots that were left open in the midst of a move, as an operator does."""
    cluster.wait_until_covered()
    first = f"127.0.0.1:{cluster.primaries()[0].port}"
    words = ["redis-cli", "--cluster", "fix", first, "--cluster-yes"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def slots_with_keys(cluster: RedisCluster) -> dict[int, int]:
    """Each slot that holds keys, and how many."""
    counts: dict[int, int] = {}
    names = cluster.keys()
    for key in names:
        slot = key_slot(key)
        counts[slot] = counts.get(slot, 0) + 1
    return counts
