"""What the servers of the cluster have spent and hold."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from redis import Redis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.redis import RedisServer


@dataclass(frozen=True, slots=True)
class Spent:
    """Of one server since its start: seconds of CPU (main thread), commands; now: bytes, keys."""

    cpu: float
    commands: int
    memory: int
    keys: int

    def plus(self, more: Spent) -> Spent:
        return Spent(*(getattr(self, f.name) + getattr(more, f.name) for f in fields(Spent)))

    def since(self, before: Spent) -> Spent:
        return Spent(*(getattr(self, f.name) - getattr(before, f.name) for f in fields(Spent)))


def spent(node: RedisServer) -> Spent:
    """Ask a server."""
    with Redis(port=node.port, socket_timeout=60) as client:
        cpu: Any = client.info("cpu")
        calls: Any = client.info("commandstats")
        memory: Any = client.info("memory")
        keys = int(client.dbsize())
    return Spent(
        float(cpu["used_cpu_sys_main_thread"]) + float(cpu["used_cpu_user_main_thread"]),
        sum(facts["calls"] for facts in calls.values()),
        int(memory["used_memory"]),
        keys,
    )


def shares(nodes: Sequence[Spent]) -> dict[str, list[float]]:
    """Each server's part of the mean: 1.0 is an equal share."""
    return {
        f.name: [round(getattr(node, f.name) * len(nodes) / total, 3) for node in nodes]
        for f in fields(Spent)
        if (total := sum(getattr(node, f.name) for node in nodes))
    }


def total(nodes: Sequence[Spent]) -> Spent:
    """The sum over servers."""
    return Spent(*(sum(getattr(node, f.name) for node in nodes) for f in fields(Spent)))
