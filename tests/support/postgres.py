"""A real PostgreSQL of a test's own: on a free port, without rights, gone when the test is.

The programs are those of Debian's package, whichever version it has; its own cluster is not used.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import asyncpg
import psutil

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NOBODY = 65534
USER = "relay"
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "fsync": "off",
    "logging_collector": "off",
}


class Postgres:
    """One server. It refuses to be root, so root hands it to `nobody`.

    `directory`, if given, is where its data goes (a small disk, say); else a fresh one.
    """

    def __init__(self, directory: Path | None = None, **options: str) -> None:
        self._own = directory is None
        self._home = Path(tempfile.mkdtemp(prefix="relay-postgres-", dir=directory))
        self._home.chmod(0o755)
        self._data = self._home / "data"
        handle, log = tempfile.mkstemp(prefix="relay-postgres-", suffix=".log")
        os.close(handle)
        self._log = Path(log)  # never on a small disk: it must tell when that is full
        self._data.mkdir()
        self._binaries = _binaries()
        self._options = OPTIONS | options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        if _is_root():
            os.chown(self._data, NOBODY, NOBODY)
        arguments = [
            "-D",
            str(self._data),
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--wal-segsize=1",
        ]
        _run([str(self._binaries / "initdb"), *arguments, "--no-sync"])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)  # at once, but giving its shared memory back
        shutil.rmtree(self._home, ignore_errors=True)
        self._log.unlink()

    def start(self) -> None:
        """Start, on the port it had before if there was one, and wait until it takes queries."""
        self.port = self.port or free_port()
        options = [f"-c{name}={value}" for name, value in self._options.items()]
        postgres = str(self._binaries / "postgres")
        command = [postgres, "-D", str(self._data), f"-p{self.port}", *options]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._home, env=_environment(), **_nobody()
            )
        self._wait()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop, politely first."""
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(how)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill the server and all its children at once, as a power cut would."""
        assert self._process is not None
        family = self._each(psutil.Process.kill)
        self._process.wait(10)
        psutil.wait_procs(family, timeout=10)
        self._process = None
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def revive(self) -> None:
        """Start again if it has given up by itself, as it does when its log finds no room."""
        if self._process is not None and self._process.poll() is not None:
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            self.start()

    def pause(self) -> None:
        """Freeze the server and all its children: sockets stay open, nothing answers."""
        self._each(psutil.Process.suspend)

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._each(psutil.Process.resume)

    async def database(self) -> str:
        """Create an empty database; return its SQLAlchemy URL."""
        name = f"test_{uuid4().hex}"
        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=USER, database="postgres"
        )
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        return f"postgresql+asyncpg://{USER}:not-asked-for@127.0.0.1:{self.port}/{name}"

    def cpu(self) -> float:
        """CPU seconds that the server has used so far, in all its processes."""
        times = [process.cpu_times() for process in self._family()]
        seconds: float = sum(t.user + t.system + t.children_user + t.children_system for t in times)
        return seconds

    def log(self) -> str:
        """Return what the server has said so far."""
        return self._log.read_text(errors="replace")

    def _each(self, do: Callable[[psutil.Process], None]) -> list[psutil.Process]:
        """Do something to the server and all its children; return them."""
        family = self._family()
        for member in family:
            with suppress(psutil.NoSuchProcess):  # a child leaves when its client has gone
                do(member)
        return family

    def _family(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def _wait(self) -> None:
        assert self._process is not None
        ready = [str(self._binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)]
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                raise AssertionError(f"PostgreSQL did not start:\n{self.log()}")
            asked = subprocess.run(ready, check=False, capture_output=True, env=_environment())
            if asked.returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError(f"PostgreSQL did not answer within 30 s:\n{self.log()}")


def _binaries() -> Path:
    for installed in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (installed / "initdb").exists():
            return installed
    raise AssertionError("no PostgreSQL server: apt-get install postgresql")


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, cwd="/", env=_environment(), check=False, **_nobody()
    )
    if done.returncode != 0:
        raise AssertionError(f"{command[0]} failed:\n{done.stderr.decode(errors='replace')}")


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}


def _nobody() -> dict[str, Any]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if _is_root() else {}


def _is_root() -> bool:
    return os.geteuid() == 0
