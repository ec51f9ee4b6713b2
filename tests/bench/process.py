"""A program that is measured: pinned to a core, watched through /proc, ended by its id."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PR_SET_PDEATHSIG = 1


class Fault(Exception):  # noqa: N818 - a measurement's word
    """Something measured did not do what it must; its figures would mean nothing."""


class Process:
    """One started program with its children. Use as a context: leaving it ends them."""

    def __init__(
        self, argv: Sequence[str], *, core: int, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**_clean_environment(), **(env or {})},
                cwd=log.parent,  # no .env of somebody's is in reach
                start_new_session=True,  # Ctrl-C is ours to hand on
                preexec_fn=pinned(core),  # noqa: PLW1509 - this process has one thread
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def cpu_ns(self) -> int:
        """CPU time of all its threads and children. Exact while they sleep."""
        total = 0
        for pid in self._pids():
            for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    total += int(stat.read_text().split()[0])
                except (OSError, IndexError):
                    continue
        return total

    def pss_kib(self) -> int:
        """Proportional set size: its own pages, and its share of shared ones."""
        total = 0
        for pid in self._pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total

    def descriptors(self) -> int:
        """Open files and sockets of that of its processes that has most."""
        return max(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self._pids())

    def wait_listening(self, port: int, timeout: float = 30) -> None:
        """Wait until it accepts connections."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.check_alive()
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise Fault(f"does not listen after {timeout:.0f} s: {self.tail()}")

    def settle(self, timeout: float = 10) -> None:
        """Wait until it does next to nothing: under 2 % of its core."""
        deadline = time.monotonic() + timeout
        before = self.cpu_ns()
        while time.monotonic() < deadline:
            time.sleep(0.1)
            now = self.cpu_ns()
            if now - before < 2_000_000:
                return
            before = now

    def check_alive(self) -> None:
        """Raise Fault if it has ended by itself."""
        if self._popen.poll() is not None:
            raise Fault(f"ended with status {self._popen.returncode}: {self.tail()}")

    def tail(self) -> str:
        """Return the last lines that it wrote."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-8:]) or "it wrote nothing"

    def end(self, timeout: float = 8) -> None:
        """Ask it to stop; what is still there afterwards is killed, by its id."""
        pids = list(self._pids())
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        left = [pid for pid in pids[1:] if _alive_in(pid, pids[0])]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + timeout
        while any(_alive_in(pid, pids[0]) for pid in left) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _pids(self) -> Iterator[int]:
        yield self._popen.pid
        yield from descendants(self._popen.pid)


def descendants(pid: int) -> Iterator[int]:
    """Yield the ids of a process's children, and theirs."""
    waiting = [pid]
    while waiting:
        try:
            for children in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
                found = [int(child) for child in children.read_text().split()]
                yield from found
                waiting += found
        except OSError:
            continue


def pinned(core: int) -> Callable[[], None]:
    """Return what a child does before it becomes its program: pin itself, and die with us."""
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return prepare


def _clean_environment() -> dict[str, str]:
    """Leave out what this shell may have set for another gateway."""
    ours = ("RELAY_", "OTEL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _alive_in(pid: int, session: int) -> bool:
    """Whether it still is the child that it was, and no zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return int(fields[3]) == session and fields[0] != "Z"
