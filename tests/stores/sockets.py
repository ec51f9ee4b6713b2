"""What the kernel says of this process's TCP sockets (`/proc/net/tcp`, proc(5))."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

KINDS: Final = {0: "none", 1: "retransmit", 2: "keepalive", 3: "time-wait", 4: "probe"}
ESTABLISHED: Final = "01"


def timers(port: int) -> list[tuple[str, float]]:
    """The pending timer, and its seconds, of each of our connections to a port of loopback."""
    ticks = os.sysconf("SC_CLK_TCK")
    found = []
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        remote, state, timer, inode = fields[2], fields[3], fields[5], fields[9]
        if state == ESTABLISHED and int(remote.split(":")[1], 16) == port and _ours(inode):
            kind, _, when = timer.partition(":")
            found.append((KINDS[int(kind, 16)], int(when, 16) / ticks))
    return found


def _ours(inode: str) -> bool:
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if entry.readlink() == Path(f"socket:[{inode}]"):
                return True
        except FileNotFoundError:  # closed meanwhile, as the directory's own descriptor
            continue
    return False
