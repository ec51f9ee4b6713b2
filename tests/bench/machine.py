"""The machine: which cores to use, what it is called, what else it was doing."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

DESCRIPTORS: Final = 20_000
"""Enough for 4,000 sessions with two sockets each, at both ends; never asked for more."""

INSTALL: Final = {
    "nginx": "apt-get install nginx-light",
    "haproxy": "apt-get install haproxy",
    "node": "apt-get install nodejs npm",
    "npm": "apt-get install npm",
    "gcc": "apt-get install gcc libc6-dev zlib1g-dev",
    "redis-server": "apt-get install redis-server",
}


class Missing(Exception):  # noqa: N818 - it is what it says
    """A program is not on this machine; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Cores:
    """`relay` is the relays' alone; `load` does everything else."""

    relay: int
    load: int


def find(program: str) -> str:
    """Return the path of a program. Debian keeps servers in sbin, which is not on every PATH."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Missing(
            f"{program} is missing: {INSTALL[program]} (Debian), or leave it out by --only"
        )
    return path


def choose_cores() -> Cores:
    """Take two allowed cores, no two threads of one physical core if that can be had."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise Missing("two cores are needed: one for the relay, one for the load")
    relay = allowed[0]
    siblings = _siblings(relay)
    others = [core for core in allowed if core not in siblings] or allowed[1:]
    return Cores(relay, others[0])


def raise_limits() -> None:
    """Lift the soft limit of descriptors to what 9,000 sessions need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        wanted = min(DESCRIPTORS, soft) if soft != resource.RLIM_INFINITY else DESCRIPTORS
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < 19_000:
        raise Missing(f"9,000 sessions need 19,000 descriptors, the hard limit is {hard}")


def describe() -> dict[str, str]:
    """Name the machine, its kernel, and the versions of everything that is measured."""
    return {
        "cpu": _first(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo")),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
        "nginx": _said(r"nginx/(\S+)", "nginx", "-v"),
        "haproxy": _said(r"version (\d[\d.]*)", "haproxy", "-v"),
        "node": _said(r"v(\S+)", "node", "--version"),
        "ws": _ws_version(),
        "commit": _commit(),
    }


@dataclass(frozen=True, slots=True)
class Busy:
    """CPU seconds since their start: of the whole machine, steal included, and of this run."""

    machine: float
    own: float

    @staticmethod
    def now() -> Busy:
        """Read both clocks. Children count once they have ended."""
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
        ticks = user + nice + system + irq + softirq + steal
        own = 0.0
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            own += usage.ru_utime + usage.ru_stime
        return Busy(ticks / os.sysconf("SC_CLK_TCK"), own)

    def elsewhere(self, later: Busy, seconds: float) -> float:
        """Return the share of the machine that was not this run's since then."""
        others = later.machine - self.machine - (later.own - self.own)
        return max(0.0, others / seconds / (os.cpu_count() or 1))


_PACKAGES: Final = ("uvicorn", "uvloop", "fastapi", "websockets", "aiohttp", "orjson")


def _siblings(core: int) -> set[int]:
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    if not path.exists():
        return {core}
    found: set[int] = set()
    for part in path.read_text().strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _first(pattern: str, path: Path) -> str:
    found = re.search(pattern, path.read_text())
    return found.group(1).strip() if found else platform.machine()


def _said(pattern: str, program: str, *args: str) -> str:
    try:
        said = subprocess.run(
            [find(program), *args], capture_output=True, text=True, timeout=10, check=False
        )
    except Missing:
        return "-"
    found = re.search(pattern, said.stdout + said.stderr)
    return found.group(1) if found else "?"


def _ws_version() -> str:
    package = Path(__file__).parent / "node_modules" / "ws" / "package.json"
    return _first(r'"version":\s*"([^"]+)"', package) if package.exists() else "-"


def _commit() -> str:
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        cwd=Path(__file__).parent,
    )
    return said.stdout.strip() or "?"


if sys.platform != "linux":
    raise Missing("the benchmark reads Linux's /proc")
