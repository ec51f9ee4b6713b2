"""What the servers of the cluster have spent and hold."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from redis import Redis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.redis import RedisServer

SLOW: Final = 1_000
"""Microseconds that one command, or script, may hold a server."""

MAX_SLOW: Final = 1_000


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


def watch_slow(nodes: Sequence[RedisServer]) -> None:
    """Forget which commands took long, and note those from now on that hold a server for long."""
    for node in nodes:
        with Redis(port=node.port, socket_timeout=60) as client:
            client.config_set("slowlog-log-slower-than", SLOW)
            client.config_set("slowlog-max-len", MAX_SLOW)
            client.slowlog_reset()


def slow(nodes: Sequence[RedisServer]) -> dict[str, Any]:
    """How many commands have held a server for over a millisecond since, and for how long at most.

    By the clock: a server that waits for the processor meanwhile is counted, too.
    """
    found: list[Any] = []
    for node in nodes:
        with Redis(port=node.port, socket_timeout=60) as client:
            found += client.slowlog_get(MAX_SLOW)
    worst = max(found, key=lambda entry: int(entry["duration"]), default=None)
    return {
        "over_1_ms": len(found),
        "longest_ms": 0.0 if worst is None else round(worst["duration"] / 1000, 2),
        "longest": "" if worst is None else worst["command"][:60].decode(errors="replace"),
    }
