"""A real primary, a replica and Sentinels that watch them, on loopback."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.redis import RedisServer, redis_binary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVICE = "relay-store"
DOWN_AFTER = 500
"""Milliseconds of silence after which a Sentinel takes the primary for dead."""

STARTS_WITHIN = 30.0


class Sentinel(RedisServer):
    """One Sentinel; redis-server runs as one with `--sentinel` and a file that it may write to."""

    def __init__(self, directory: Path, primary: int, quorum: int) -> None:
        super().__init__(directory)
        directory.mkdir(parents=True)
        self.file = directory / "sentinel.conf"
        self.file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {directory}\n"
            f"logfile {directory / 'redis.log'}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} {quorum}\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )

    def start(self) -> None:
        self._process = subprocess.Popen(
            [redis_binary(), str(self.file), "--sentinel"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._answers)

    def master(self) -> int:
        """The primary's port, as this Sentinel sees it."""
        reply = self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return int(reply.split(b"\r\n")[4])

    def sees(self, replicas: int, sentinels: int) -> bool:
        """Whether it has found that many replicas, and other Sentinels."""
        reply = self.command("SENTINEL", "MASTER", SERVICE).split(b"\r\n")
        told = {reply[i]: reply[i + 2] for i in range(len(reply) - 2) if i % 2 == 0}
        return (
            int(told.get(b"num-slaves", 0)) >= replicas
            and int(told.get(b"num-other-sentinels", 0)) >= sentinels
        )


class Watched:
    """Two Redis servers, one of them the other's replica, and who watches them."""

    def __init__(self, directory: Path, sentinels: int) -> None:
        self.servers = [RedisServer(directory / f"redis{n}", durable=True) for n in range(2)]
        self.ports = {server: server.port for server in self.servers}  # those of their service
        primary = self.servers[0].port
        quorum = sentinels // 2 + 1
        self.sentinels = [
            Sentinel(directory / f"sentinel{n}", primary, quorum) for n in range(sentinels)
        ]

    def start(self) -> None:
        for server in self.servers:
            server.start()
        self.servers[1].command("REPLICAOF", "127.0.0.1", str(self.ports[self.servers[0]]))
        wait_for(lambda: b"master_link_status:up" in self.servers[1].query("INFO", "replication"))
        for sentinel in self.sentinels:
            sentinel.start()
        wait_for(lambda: all(s.sees(1, len(self.sentinels) - 1) for s in self.sentinels))

    def stop(self) -> None:
        for each in (*self.sentinels, *self.servers):
            if each._process is not None:
                each.kill()

    @property
    def url(self) -> str:
        """What `RELAY_STATE_URL` would be."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def primary(self) -> RedisServer:
        """The server that calls itself the primary and answers."""
        for server in self.servers:
            if server._process is not None and b"role:master" in server.query(
                "INFO", "replication"
            ):
                return server
        raise AssertionError("there is no primary")


def wait_for(holds: Callable[[], bool]) -> None:
    """Poll until it holds; blocks."""
    give_up = time.monotonic() + STARTS_WITHIN
    while not holds():
        assert time.monotonic() < give_up, "Redis with its Sentinels was not ready in time"
        time.sleep(0.02)


@contextmanager
def watched(directory: Path, sentinels: int = 3) -> Iterator[Watched]:
    """They, for the time of a block."""
    running = Watched(directory, sentinels)
    try:
        running.start()
        yield running
    finally:
        running.stop()
