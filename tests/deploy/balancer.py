"""HAProxy and nginx as processes, with the configurations of deploy/ on ports of their own."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.deploy.tooling import DEPLOY, binary
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

DEADLINE = 30.0
NO_ANSWER = (OSError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one plain request."""

    status: int
    headers: Mapping[str, str]
    text: str


def ask(port: int, path: str) -> Answer:
    """GET from a port of the loopback, without proxies and without keeping the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return Answer(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read().decode(),
        )
    finally:
        connection.close()


@dataclass
class Balancer:
    """A running balancer: `public` and `internal` are its ports, `log` is all that it wrote."""

    kind: str
    public: int
    internal: int
    log_file: Path
    processes: list[subprocess.Popen[bytes]]
    quit_signal: signal.Signals
    metrics: int = 0

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.public}/ws"

    async def get(self, path: str, *, internal: bool = False) -> Answer:
        """Ask over a fresh connection; raises OSError or HTTPException when there is no answer."""
        return await asyncio.to_thread(ask, self.internal if internal else self.public, path)

    async def serves(self) -> None:
        """Wait until it takes connections and has looked at its replicas."""
        await until(self._answers, f"{self.kind} does not answer:\n{{}}", self)

    async def _answers(self) -> bool:
        if any(process.poll() is not None for process in self.processes):
            raise AssertionError(f"{self.kind} ended:\n{self.log}")
        try:
            return (await self.get("/")).status == http.HTTPStatus.OK
        except NO_ANSWER:
            return False

    def quit_gracefully(self) -> None:
        """Ask it to let its sockets end by themselves, as a reload asks the old process."""
        self.processes[0].send_signal(self.quit_signal)

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def until(condition: Callable[[], object], words: str, balancer: Balancer) -> None:
    """Wait for an async condition with a deadline."""
    end = time.monotonic() + DEADLINE
    while not await condition():  # type: ignore[misc]
        if time.monotonic() > end:
            raise AssertionError(words.format(balancer.log))
        await asyncio.sleep(0.1)


def haproxy(
    directory: Path, addresses: Sequence[str], edit: Callable[[str], str] = lambda text: text
) -> Balancer:
    """Start HAProxy with deploy/haproxy/haproxy.cfg, edited if a test wants that."""
    config = directory / "haproxy.cfg"
    config.write_text(edit((DEPLOY / "haproxy" / "haproxy.cfg").read_text()))
    public, internal, metrics = free_port(), free_port(), free_port()
    log_file = directory / "haproxy.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [binary("haproxy", "haproxy"), "-db", "-f", str(config)],
            env={
                **os.environ,
                "RELAY_GATEWAY_1": addresses[0],
                "RELAY_GATEWAY_2": addresses[1],
                "RELAY_INTERNAL_1": addresses[0],
                "RELAY_INTERNAL_2": addresses[1],
                "RELAY_LB_BIND": f"127.0.0.1:{public}",
                "RELAY_LB_INTERNAL_BIND": f"127.0.0.1:{internal}",
                "RELAY_LB_METRICS_BIND": f"127.0.0.1:{metrics}",
            },
            stdout=log,
            stderr=log,
        )
    return Balancer(
        "haproxy", public, internal, log_file, [process], signal.SIGUSR1, metrics=metrics
    )


def nginx(
    directory: Path, addresses: Sequence[str], edit: Callable[[str], str] = lambda text: text
) -> Balancer:
    """Start nginx with deploy/nginx/, its readiness watcher beside it."""
    home = directory / "nginx"
    shutil.copytree(DEPLOY / "nginx", home)
    public, internal = free_port(), free_port()
    text = edit((home / "nginx.conf").read_text())
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{public};")
    text = text.replace("listen 127.0.0.1:9000;", f"listen 127.0.0.1:{internal};")
    # Debian's directories for spilled bodies belong to root; a test need not.
    spill = "".join(
        f"    {kind}_temp_path {directory}/spill-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {\n", "http {\n" + spill, 1)
    if os.geteuid() == 0:
        # Root's workers would be nobody's, who may not write there, so that long bodies were 500.
        text = "user root;\n" + text
    (home / "nginx.conf").write_text(text)
    for name in ("gateways.conf", "internals.conf"):
        text = (home / name).read_text()
        for line, address in zip(re.findall(r"(?m)^server \S+", text), addresses, strict=True):
            text = text.replace(line, f"server {address}")
        (home / name).write_text(text)
    program = binary("nginx", "nginx-light")
    common = ["-c", str(home / "nginx.conf"), "-e", "stderr"]
    pid = f"pid {directory}/nginx.pid;"
    log_file = directory / "nginx.log"
    with log_file.open("ab") as log:
        server = subprocess.Popen(
            [program, *common, "-g", f"{pid} daemon off;"], stdout=log, stderr=log
        )
        reload = f"{program} -c {home}/nginx.conf -e stderr -g '{pid}' -s reload"
        watcher = subprocess.Popen(
            [
                sys.executable,
                str(home / "readiness.py"),
                *("--directory", str(home), "--reload", reload, "--interval", "0.2"),
            ],
            stdout=log,
            stderr=log,
        )
    return Balancer("nginx", public, internal, log_file, [server, watcher], signal.SIGQUIT)


STARTERS = {"haproxy": haproxy, "nginx": nginx}
