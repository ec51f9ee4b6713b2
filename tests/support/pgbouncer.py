"""A real PgBouncer before a PostgreSQL, in either of its modes; gone when the block ends."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.server_process import ServerProcess

NOBODY = 65534
STARTS_WITHIN = 20.0


def pgbouncer_binary() -> str:
    """Debian's, which is not on everybody's PATH."""
    found = shutil.which("pgbouncer", path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    assert found, "no pgbouncer: apt-get install pgbouncer"
    return found


class PgBouncer(ServerProcess):
    """One pooler with its own defaults but for `mode` and `size` (server connections a database).

    `tls` is a certificate and its key, without which no client is let in then. It refuses to be
    root, so root hands it to `nobody`.
    """

    def __init__(
        self,
        server_port: int,
        mode: str,
        size: int = 3,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.port = free_port()
        self._home = Path(tempfile.mkdtemp(prefix="relay-pgbouncer-"))
        self._home.chmod(0o755)
        self.log_file = self._home / "pgbouncer.log"
        (self._home / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={server_port} user=relay\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = {mode}\ndefault_pool_size = {size}\n"
        )
        if tls is not None:
            self._demand_tls(*tls)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it listens."""
        ini = self._home / "pgbouncer.ini"
        nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        rights: dict[str, Any] = {} if os.geteuid() else nobody
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [pgbouncer_binary(), str(ini)],
                stdout=log,
                stderr=log,
                cwd=self._home,
                **rights,
            )
        give_up = time.monotonic() + STARTS_WITHIN
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise AssertionError(f"PgBouncer did not start: {self.log()}")
            time.sleep(0.02)

    def url(self, direct: str, server_port: int) -> str:
        """A database's URL by way of this pooler."""
        return direct.replace(f"127.0.0.1:{server_port}/", f"127.0.0.1:{self.port}/")

    def log(self) -> str:
        """What it has said so far."""
        return self.log_file.read_text(errors="replace")

    def _demand_tls(self, certificate: Path, key: Path) -> None:
        mine = [Path(shutil.copy(path, self._home / path.name)) for path in (certificate, key)]
        for path in mine:
            path.chmod(0o644)
        ini = self._home / "pgbouncer.ini"
        ini.write_text(
            f"{ini.read_text()}client_tls_sslmode = require\n"
            f"client_tls_cert_file = {mine[0]}\nclient_tls_key_file = {mine[1]}\n"
        )

    def kill(self) -> None:
        """End it, and delete what it had on disk."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
        shutil.rmtree(self._home, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
