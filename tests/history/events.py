"""Lifecycle events in tests: receivers on real sockets, and webhooks that run for a block."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import SecretStr

from app.backoff import Backoff
from app.history.lifecycle.event import EventDelivery
from app.history.lifecycle.factory import Delivering, EventMeters, events_in_memory, stored_events
from app.history.lifecycle.receiver import EventReceiver
from app.relay.lifecycle import EventType, LifecycleEvent
from tests.history.feed import NOW
from tests.history.receiver import SECRET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from app.history.database import Database
    from app.history.lifecycle.webhooks import EventWebhooks
from tests.history.receiver import Receiver

OTHER_SECRET = "whsec_b3RoZXItc2VjcmV0LW9mLXRoaXMtdGVzdA=="
SOON = Backoff(0.01, 0.1)


def event(number: int, session: str = "s1", **more: Any) -> LifecycleEvent:
    values: dict[str, Any] = {
        "type": EventType.TOOL_FAILED,
        "session_id": session,
        "agent": "support",
        "at": time.time(),
        "data": {"number": number},
    }
    return LifecycleEvent(**values | more)


def delivery(receiver: str, number: int, session: str = "s1") -> EventDelivery:
    """One that was made at `NOW`."""
    kind, body = "tool.failed", b"{}"
    ids = (f"msg_{receiver}_{session}_{number}", receiver, session, number)
    return EventDelivery(*ids, kind, "support", None, NOW, NOW + 86_400, body)


def named(name: str, receiver: Receiver, *secrets: str, **more: Any) -> EventReceiver:
    keys = tuple(SecretStr(secret) for secret in secrets or (SECRET,))
    return EventReceiver(name, SecretStr(receiver.url), keys, **more)


@dataclass
class Counted:
    """What the meters heard."""

    outcomes: dict[str, int] = field(default_factory=dict)
    backlog: dict[str, int] = field(default_factory=dict)

    def meters(self) -> EventMeters:
        return EventMeters(self._outcome, self.backlog.__setitem__)

    def _outcome(self, outcome: str, count: int) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count


@asynccontextmanager
async def delivering(
    receivers: Sequence[EventReceiver],
    database: Database | None = None,
    *,
    counted: Counted | None = None,
    patience: float = 30.0,
    flush: float = 0.0,
    **more: Any,
) -> AsyncIterator[EventWebhooks]:
    """Webhooks as the application runs them: cancelled at the end, then closed."""
    meters = (counted or Counted()).meters()
    async with httpx.AsyncClient(trust_env=False) as http:
        how = Delivering(http, time.time, patience, SOON, poll=0.05)
        if database is None:
            webhooks = events_in_memory(receivers, how, meters=meters, **more)
        else:
            more.setdefault("replica", "r1")
            webhooks = stored_events(receivers, database, how, meters=meters, **more)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(webhooks.run())
            yield webhooks
            task.cancel()
        await webhooks.close(flush)
