"""What the vendor saw: every conversation with its received frames, bounded, for tests to read."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.emulator.options import Options

VIOLATIONS: Final = 100


@dataclass(slots=True)
class Record:
    """One conversation, from its dial to its end."""

    id: str
    endpoint: str
    opened_at: float
    state: str = "dialled"
    call_type: str | None = None
    agent: str | None = None
    fault: str | None = None
    marker: str | None = None
    received: list[tuple[float, str]] = field(default_factory=list)
    received_total: int = 0
    received_bytes: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    tool_answers: Counter[str] = field(default_factory=Counter)
    terminated: bool = False
    ended_by: str | None = None
    close_received: int | None = None
    close_sent: int | None = None
    pings: int = 0
    seconds: float | None = None
    result: dict[str, Any] | None = None

    @property
    def live(self) -> bool:
        """Whether its socket is still open."""
        return self.state != "ended"

    def frames(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the received frames that are JSON, in order; of one type if `kind` is given."""
        parsed = [_parsed(text) for _, text in self.received]
        return [
            frame
            for frame in parsed
            if isinstance(frame, dict) and (kind is None or frame.get("type") == kind)
        ]

    def blame(self, violation: str) -> None:
        """Note what the client did wrong without ending it."""
        if len(self.violations) < VIOLATIONS:
            self.violations.append(violation)

    def view(self) -> dict[str, Any]:
        """Build the JSON of the control API."""
        return {
            "id": self.id,
            "endpoint": self.endpoint,
            "state": self.state,
            "callType": self.call_type,
            "agent": self.agent,
            "fault": self.fault,
            "marker": self.marker,
            "received": [
                {"at": round(at, 6), "raw": text, "frame": _parsed(text)}
                for at, text in self.received
            ],
            "receivedTotal": self.received_total,
            "sent": dict(self.sent),
            "violations": self.violations,
            "toolAnswers": dict(self.tool_answers),
            "terminated": self.terminated,
            "endedBy": self.ended_by,
            "closeReceived": self.close_received,
            "closeSent": self.close_sent,
            "pings": self.pings,
            "seconds": self.seconds,
            "result": self.result,
        }


class CallLog:
    """All conversations that are kept, oldest first, and counters of everything else.

    Bounded by `keep_conversations`, by `keep_frames` in each, and by `keep_bytes` over all:
    the oldest ended conversation goes first, those with violations last; frames past a bound are
    counted, not kept.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._bytes = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self.counters: Counter[str] = Counter()

    @property
    def records(self) -> list[Record]:
        """Every kept conversation, oldest first."""
        return list(self._records.values())

    def open(self, record: Record) -> None:
        """Keep a new conversation."""
        self._records[record.id] = record
        self._make_room()
        self.changed()

    def get(self, record_id: str) -> Record | None:
        """Find a conversation by its id."""
        return self._records.get(record_id)

    def received(self, record: Record, text: str) -> None:
        """Keep a frame that the client sent."""
        record.received_total += 1
        size = len(text)
        if (
            len(record.received) < self._options.keep_frames
            and self._bytes + size <= self._options.keep_bytes
        ):
            record.received.append((time.monotonic() - record.opened_at, text))
            if record.id in self._records:
                record.received_bytes += size
                self._bytes += size
        self.changed()

    def clear(self) -> None:
        """Forget every conversation and counter."""
        self._records.clear()
        self._bytes = 0
        open_sockets = self.counters["sockets_open"]
        self.counters.clear()
        self.counters["sockets_open"] = open_sockets
        self.changed()

    def changed(self) -> None:
        """Wake the waiters: something happened."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def until(self, holds: Callable[[CallLog], bool], within: float = 10.0) -> None:
        """Wait until `holds` is true of this ledger. Raises `TimeoutError`."""
        async with asyncio.timeout(within):
            while not holds(self):
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.add(waiter)
                try:
                    await waiter
                finally:
                    self._waiters.discard(waiter)

    async def ended(self, count: int = 1, within: float = 10.0) -> list[Record]:
        """Wait until `count` kept conversations have ended, and return all that have."""
        await self.until(lambda call_log: len(call_log.done()) >= count, within)
        return self.done()

    def done(self) -> list[Record]:
        """Every kept conversation whose socket is gone."""
        return [record for record in self._records.values() if not record.live]

    def _make_room(self) -> None:
        while len(self._records) > self._options.keep_conversations:
            oldest = next(
                (r for r in self._records.values() if not r.live and not r.violations),
                next(iter(self._records.values())),
            )
            del self._records[oldest.id]
            self._bytes -= oldest.received_bytes
            oldest.received_bytes = 0


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
