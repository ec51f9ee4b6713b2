"""Events that wait in memory: bounded for each receiver, and lost with the process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.backoff import Backoff
from app.history.message import Message
from app.history.results.memory_outbox import MemoryOutbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.history.lifecycle.event import EventDelivery

TRIES: Final = 8
MOST: Final = 2_000
MOST_BYTES: Final = 8 * 1024 * 1024
BACKOFF: Final = Backoff(1.0, 60.0)


class MemoryEvents:
    """Implements `EventStore`; `on_dropped` hears of deliveries that found no place."""

    def __init__(
        self,
        receivers: Sequence[str],
        clock: Callable[[], float],
        *,
        on_dropped: Callable[[int], None],
        most: int = MOST,
        backoff: Backoff | None = None,
    ) -> None:
        self.outboxes = {
            name: MemoryOutbox(
                clock,
                tries=TRIES,
                most=most,
                most_bytes=MOST_BYTES,
                backoff=backoff or BACKOFF,
                on_dropped=on_dropped,
                kind="event",
                receiver=name,
            )
            for name in receivers
        }

    def keep(self, deliveries: Sequence[EventDelivery]) -> None:
        """Keep deliveries, each behind those of its session for the same receiver."""
        for delivery in deliveries:
            outbox = self.outboxes[delivery.receiver]
            outbox.keep(
                Message(
                    delivery.id,
                    delivery.session_id or delivery.id,
                    delivery.created_at,
                    delivery.deadline,
                    delivery.body,
                )
            )
            if outbox.on_message is not None:
                outbox.on_message()

    async def run(self) -> None:
        """Nothing is left to be done."""
        await asyncio.Event().wait()

    async def opened(self) -> None:
        """It is, from the beginning."""

    async def waiting(self) -> Mapping[str, int]:
        """Count what waits here."""
        return {name: len(outbox) for name, outbox in self.outboxes.items()}

    async def flush(self, seconds: float) -> None:
        """Make everything due now."""
        del seconds
        for outbox in self.outboxes.values():
            outbox.requeue()

    async def release(self, seconds: float) -> None:
        """Drop what is left, and count it."""
        del seconds
        for outbox in self.outboxes.values():
            outbox.discard()
