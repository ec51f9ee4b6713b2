"""What measure.py needs to know of processes: to start them, to ask them, to read /proc."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Process:
    """What /proc says of one process."""

    pid: int

    def cpu(self) -> float:
        """Seconds of CPU so far, of all its threads."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory(self) -> int:
        """Proportional set size, bytes."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[0]) * 1024

    def descriptors(self) -> int:
        """Open file descriptors."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


async def answers(url: str) -> None:
    """Wait until a URL answers 200, for half a minute at most."""
    end = time.monotonic() + 30
    while True:
        try:
            await asyncio.to_thread(fetch, url)
        except OSError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)
        else:
            return


def fetch(url: str) -> str:
    """GET without proxies."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        return str(answer.read().decode())


@contextmanager
def started(module: str, *arguments: str, **environment: str) -> Iterator[int]:
    """Run one of our modules for a block; yield its process id."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RELAY_", "OTEL_"))}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=clean | environment,
            stdout=said,
            stderr=said,
        )
        try:
            yield process.pid
        finally:
            ended = process.poll()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if ended is not None:
                said.seek(0)
                sys.stderr.write(said.read().decode(errors="replace")[-4000:])
                sys.stderr.write(f"{module} ended by itself with {ended}\n")


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Least squares: how much y grows with one more x."""
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    over = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True))
    return over / sum((x - middle_x) ** 2 for x in xs)


def processor() -> str:
    """The processor's name, as far as the system tells."""
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
