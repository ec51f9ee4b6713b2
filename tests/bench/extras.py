"""More rows of the gateway: with Redis for its state, with history, with traces."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.machine import find
from tests.bench.peers import RELAYS, Peer, with_extra
from tests.bench.process import Process
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack

NAMES: Final = ("redis", "history", "traces")


def started(names: Iterable[str], core: int, stack: ExitStack) -> list[Peer]:
    """Start what these rows lean on, on the load's core, and return the rows."""
    room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-also-")))
    rows = []
    for name in names:
        if name == "redis":
            port = free_port()
            argv = [find("redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
            argv += ["--save", "", "--dir", str(room)]
            _start(argv, port, core, room, stack)
            rows.append(with_extra(name, RELAY_STATE_URL=f"redis://127.0.0.1:{port}/0"))
        elif name == "history":
            store = f"sqlite+aiosqlite:///{room}/history.db"
            rows.append(with_extra(name, RELAY_HISTORY_URL=store))
        else:
            port = free_port()
            argv = [sys.executable, str(RELAYS / "sink.py"), str(port)]
            _start(argv, port, core, room, stack)
            endpoint = f"http://127.0.0.1:{port}"
            rows.append(with_extra(name, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint))
    return rows


def _start(argv: list[str], port: int, core: int, room: Path, stack: ExitStack) -> None:
    process = stack.enter_context(Process(argv, core=core, log=room / f"{port}.log"))
    process.wait_listening(port)
