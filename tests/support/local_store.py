"""The store of workers as a process of a test's own, on a Unix socket in a fresh directory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.support.process import ROOT, clean_environment
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

STARTS_WITHIN = 30.0
COMMAND = """
import sys
from pathlib import Path
from app.state.local_store.process import run
run(Path(sys.argv[1]))
"""


class LocalStoreServer(ServerProcess):
    """One store; it is killed at the end. Started again, it has forgotten everything."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "store.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What `RELAY_STATE_URL` would be."""
        return f"unix://{self.path}"

    def start(self) -> None:
        """Start, and return when it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(self.path)], env=clean_environment(), cwd=ROOT
        )
        deadline = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            assert self._process.poll() is None, "the store ended"
            assert time.monotonic() < deadline, "the store did not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """End at once (SIGKILL)."""
        process, self._process = self._process, None
        if process is not None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(timeout=20)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(str(self.path))
                client.sendall(b"*1\r\n$4\r\nPING\r\n")
                return client.recv(64) == b"+PONG\r\n"
            except OSError:
                return False
