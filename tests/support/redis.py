"""A real Redis for tests: own process, free port, fresh directory; stopped, killed, restarted."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from redis import Redis

from tests.support.ports import free_port
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

STARTS_WITHIN = 20.0


def redis_binary() -> str:
    """Debian's redis-server."""
    found = shutil.which("redis-server")
    if found is None:
        raise AssertionError("no redis-server: apt-get install redis-server")
    return found


class RedisServer(ServerProcess):
    """One Redis process on loopback. `directory` must be fresh; the port is kept over restarts.

    With `durable` it keeps an append-only file, synced on every write; `settings` are any more
    of redis.conf. The methods block for
    some tens of milliseconds: under load, call them by `asyncio.to_thread`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = False,
        port: int | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.durable = durable
        self.settings = settings or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What `RELAY_STATE_URL` would be."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None, "this Redis is not running"
        return self._process.pid

    def start(self) -> None:
        """Start, and return when it answers PING."""
        assert self._process is None, "this Redis is already running"
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "always",
            "daemonize": "no",
            "logfile": str(self.directory / "redis.log"),
        } | self.settings
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [redis_binary(), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = self.directory / "redis.log"
                said = log.read_text()[-2000:] if log.exists() else "it logged nothing"
                self.kill()
                raise AssertionError(f"redis-server did not start: {said}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Shut down in order (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze (SIGSTOP): connections stay open, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def wipe(self) -> None:
        """Delete what a stopped server left on disk."""
        assert self._process is None, "stop it first"
        shutil.rmtree(self.directory)

    def command(self, *words: str | bytes) -> bytes:
        """Ask one command over a connection of its own; the raw first chunk of the reply."""
        packed = b"*%d\r\n" % len(words)
        for word in words:
            raw = word.encode() if isinstance(word, str) else word
            packed += b"$%d\r\n%s\r\n" % (len(raw), raw)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(packed)
            return connection.recv(65536)

    def query(self, *words: str) -> bytes:
        """Ask what changes nothing, again where the server has closed the connection meanwhile.

        Sentinels do that when roles change (CLIENT KILL, Redis Sentinel documentation).
        """
        for _ in range(100):
            with suppress(ConnectionResetError, BrokenPipeError):
                if reply := self.command(*words):
                    return reply
            time.sleep(0.02)
        raise AssertionError("it closes connection after connection")

    def keys(self, pattern: str) -> list[bytes]:
        """The names of all keys that fit a pattern."""
        with Redis(port=self.port) as client:
            found: list[bytes] = client.keys(pattern)
        return found

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith(b"+PONG")
        except OSError:
            return False

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        process.wait(timeout=20)
