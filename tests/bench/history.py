"""`python -m tests.bench.history`: how many records a second history writes, and at what price.

Short chats (a greeting, one message with its echo, one tool, an answer, a result) are fed to the
recorder within one process and event loop, without a gateway in front: what is measured is history
alone. A row is one store; every record is accounted for. With `--busy`, others use the loop for so
long in each of its iterations, as the conversations of a saturated gateway do.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import selectors
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from app.bootstrap.lifespan import GC_THRESHOLDS
from app.history.database import Database
from app.history.interface import ConversationStart, Direction
from app.history.queue import Bounds
from app.history.recorder import QueueRecorder
from app.history.store import Store
from app.protocol.close_codes import ENDED
from app.protocol.tool import Outcome, ToolCall, ToolResult
from tests.support.postgres import Postgres
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

CHATS: Final = 39_000
SECONDS: Final = 110.0
STORES: Final = ("sqlite", "postgresql")
TEXT: Final = (
    '{"type":"text","timestamp":"2026-01-01T00:00:00Z","channelId":null,"content":'
    '{"source":"%s","text":"%s"}}'
)
FRAMES: Final = tuple(
    frame.encode()
    for frame in (
        '{"type":"event","name":"connection","timestamp":"2026-01-01T00:00:00Z","data":{"id":"r"}}',
        TEXT % ("assistant", "Hello! How can I help you with your order today?"),
        TEXT % ("user", "Where is my order \N{NUMERO SIGN} 17? It should have come."),
        TEXT % ("assistant", "It was sent yesterday and arrives tomorrow, by noon."),
        '{"type":"conversationResult","result":{"status":"Completed","finishReason":"done"}}',
    )
)
RECORDS: Final = len(FRAMES) + len(("started", "tool", "ended"))
"""Records of one chat."""

AT_ONCE: Final = 24
"""Chats that are fed without a pause: well below a millisecond of work."""

NOW: Final = 1_790_000_000.0


def chat(recorder: QueueRecorder, name: str) -> None:
    """Report one short chat, whole."""
    additional = {"customer": name, "plan": "basic"}
    recorder.started(ConversationStart(name, "support", "chat", "ann", None, additional, NOW))
    for number, frame in enumerate(FRAMES):
        recorder.frame(name, Direction.FROM_UPSTREAM, NOW + number, frame)
    call = ToolCall("call-1", "check_order", {"order": 17})
    answer = ToolResult("call-1", {"state": "sent", "days": 1}, Outcome.OK)
    recorder.tool(name, call, answer, NOW + 4, 0.25)
    recorder.ended(name, ENDED, NOW + 6)


class HoldSelector(selectors.DefaultSelector):
    """Notes the CPU seconds of the loop's thread between two looks at its sockets.

    That is how long callbacks held the loop, however busy the machine is with others. What the
    measurement itself does there is taken out by `exempt`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.holds: list[float] = []
        self._since = time.thread_time()

    def exempt(self, seconds: float) -> None:
        """Do not count this time as held."""
        self._since += seconds

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.holds.append(time.thread_time() - self._since)
        ready = super().select(timeout)
        self._since = time.thread_time()
        return ready


@dataclass(frozen=True, slots=True)
class Figures:
    """What one store gave. Times are in seconds, `cpu` of the whole process less the feeding.

    `server` is the CPU time of the database's own processes, if it has any.
    """

    store: str
    records: int
    dropped: int
    seconds: float
    cpu: float
    server: float
    holds: Sequence[float] = field(repr=False)

    @property
    def rate(self) -> float:
        """Records written per second."""
        return (self.records - self.dropped) / self.seconds

    @property
    def micros(self) -> float:
        """CPU µs of this process per record, the driver's threads included."""
        return self.cpu / self.records * 1e6

    def hold(self, part: float) -> float:
        """The hold in ms that this part of the loop's iterations stayed below."""
        ordered = sorted(self.holds)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1e3


@dataclass(slots=True)
class Others:
    """What conversations take of the loop: `busy` CPU seconds in each iteration; `used` in all."""

    busy: float
    used: float = 0.0

    async def run(self, selector: HoldSelector) -> None:
        """Use the loop until cancelled."""
        while self.busy:
            began = time.thread_time()
            while (used := time.thread_time() - began) < self.busy:
                pass
            selector.exempt(used)
            self.used += used
            await asyncio.sleep(0)


def measure(
    url: SecretStr,
    chats: int,
    rate: float,
    bounds: Bounds | None = None,
    busy: float = 0.0,
    server: Postgres | None = None,
) -> Figures:
    """Feed `chats` conversations, `rate` of them a second (0: as fast as history takes them).

    `busy`: CPU seconds that others use of each iteration of the loop. `server`: where `url` leads.
    """
    selector = HoldSelector()
    before = 0.0 if server is None else server.cpu()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        bounds = bounds or Bounds()
        figures = runner.run(_measured(url, chats, rate, bounds, selector, Others(busy)))
    return figures if server is None else replace(figures, server=server.cpu() - before)


async def _measured(
    url: SecretStr,
    chats: int,
    rate: float,
    bounds: Bounds,
    selector: HoldSelector,
    others: Others,
) -> Figures:
    database = Database(url)
    store = Store(database)
    await store.open()
    recorder = QueueRecorder(bounds, time.monotonic, store)
    task = asyncio.create_task(recorder.run())
    chat(recorder, "first")  # once it is written, the schema is there and everything imported
    await _written(recorder)
    gc.collect()
    gc.freeze()  # as the application does once it has started
    gc.set_threshold(*GC_THRESHOLDS)
    await asyncio.sleep(0)  # that iteration ends here
    selector.holds.clear()
    using = asyncio.create_task(others.run(selector))
    feeding = 0.0
    cpu, began = _cpu(), time.monotonic()
    fed = 0
    while fed < chats:
        if rate:
            due = min(chats, int((time.monotonic() - began) * rate) + 1)
        else:
            due = fed + AT_ONCE if recorder.counts().waiting < bounds.count // 4 else fed
        before = time.thread_time()
        for number in range(fed, min(due, chats, fed + AT_ONCE)):
            chat(recorder, f"chat-{number}")
            fed += 1
        before = time.thread_time() - before
        feeding += before
        selector.exempt(before)
        await asyncio.sleep(0.005)
    await _written(recorder)
    seconds, cpu = time.monotonic() - began, _cpu() - cpu
    cpu -= others.used
    using.cancel()
    holds = tuple(selector.holds)
    gc.unfreeze()
    task.cancel()
    await recorder.flush(30)
    await database.close()
    dropped = recorder.counts().dropped.total()
    name = "postgresql" if database.is_postgresql else "sqlite"
    return Figures(name, chats * RECORDS, dropped, seconds, cpu - feeding, 0.0, holds)


async def _written(recorder: QueueRecorder) -> None:
    await until(lambda: not recorder.counts().waiting, within=120, every=0.005)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(argv: Sequence[str] | None = None) -> int:
    """Print one row per store. Status 1 when a record was dropped."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.history", description=__doc__)
    parser.add_argument("--chats", type=int, default=CHATS)
    parser.add_argument("--rate", type=float, default=0.0, help="chats a second; 0: sustained")
    parser.add_argument("--busy", type=float, default=0.0, help="ms that others use per iteration")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    options = parser.parse_args(argv)
    print(
        "store        records/s   CPU µs/record   its server's   "
        "hold p99.9, ms   longest, ms   dropped"
    )
    lost = 0
    for name in options.stores:
        server: Postgres | None = None
        with ExitStack() as stack:
            if name == "sqlite":
                room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
                url = f"sqlite+aiosqlite:///{room}/history.db"
            else:
                server = stack.enter_context(Postgres(max_wal_size="1GB"))
                url = asyncio.run(server.database())
            busy = options.busy / 1e3
            found = measure(SecretStr(url), options.chats, options.rate, None, busy, server)
        lost += found.dropped
        print(
            f"{found.store:<12} {found.rate:>9,.0f} {found.micros:>15.1f} "
            f"{found.server / found.records * 1e6:>14.1f} "
            f"{found.hold(0.999):>16.2f} {found.hold(1):>13.2f} {found.dropped:>9,}"
        )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
