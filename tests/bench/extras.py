"""More rows of the gateway: with history, Redis, a guardrail, traces, two workers."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.machine import find
from tests.bench.peers import RELAYS, Peer, with_extra
from tests.bench.process import Process
from tests.support.ports import free_port
from tests.support.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack

USUAL: Final = ("history", "history-postgres", "redis", "guardrail")
NAMES: Final = (*USUAL, "traces", "workers")
GUARDRAIL: Final = {
    "name": "numbers",
    "on": ["user", "agent"],
    "python": "app.examples.guardrails:mask_numbers",
}


def started(names: Iterable[str], core: int, stack: ExitStack) -> list[Peer]:
    """Start what these rows lean on, on the load's core, and return the rows.

    They take part in the rounds; of them, two workers alone grow: what each costs more than one
    process is what two cores carry less than twice.
    """
    room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-also-")))
    return [
        replace(
            with_extra(name, **_environment(name, core, room, stack)),
            growths=int(name == "workers"),
            crowd=name == "history",
            backlog=name.startswith("history"),
        )
        for name in names
    ]


def _environment(name: str, core: int, room: Path, stack: ExitStack) -> dict[str, str]:
    """What the gateway needs for this row; the server behind it runs."""
    if name == "guardrail":
        return {"RELAY_GUARDRAILS": json.dumps([GUARDRAIL])}
    if name == "history":
        return {"RELAY_HISTORY_URL": f"sqlite+aiosqlite:///{room}/history.db"}
    if name == "history-postgres":
        return {"RELAY_HISTORY_URL": asyncio.run(stack.enter_context(Postgres()).database())}
    if name == "workers":
        return {"RELAY_WORKERS": "2"}
    port = free_port()
    if name == "redis":
        argv = [find("redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
        _start([*argv, "--save", "", "--dir", str(room)], port, core, room, stack)
        return {"RELAY_STATE_URL": f"redis://127.0.0.1:{port}/0"}
    _start([sys.executable, str(RELAYS / "sink.py"), str(port)], port, core, room, stack)
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}


def _start(argv: list[str], port: int, core: int, room: Path, stack: ExitStack) -> None:
    process = stack.enter_context(Process(argv, core=core, log=room / f"{port}.log"))
    process.wait_listening(port)
