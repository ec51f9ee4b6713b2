"""The live sessions of one replica: their relays, and the rows under which they were registered."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from time import time
from typing import TYPE_CHECKING, Any, Final

from app.gateway.session_row import current

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from app.relay.relay import Relay
    from app.relay.subscribers import Subscriber
    from app.state.interface import SessionRow

MAX_WAITING: Final = 1000
"""Events that wait for one watcher."""


class LiveSessions:
    """A table of what lives here, and views of it. Only the gateway adds and removes.

    `relays` and `registered` have the same keys: the sessions' ids.
    """

    def __init__(self) -> None:
        self.relays: dict[str, Relay] = {}
        self.registered: dict[str, SessionRow] = {}

    def __len__(self) -> int:
        return len(self.relays)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self.relays

    def add(self, relay: Relay, row: SessionRow) -> None:
        """Take a session in, under the row by which it is registered."""
        self.relays[row.id] = relay
        self.registered[row.id] = row

    def remove(self, session_id: str) -> SessionRow:
        """Let a session go; returns its last row."""
        return current(self.registered.pop(session_id), self.relays.pop(session_id))

    def row(self, session_id: str) -> SessionRow:
        """The row of one of these sessions as it is now."""
        return current(self.registered[session_id], self.relays[session_id])

    def rows_of(self, ids: Iterable[str]) -> list[SessionRow]:
        """What this replica publishes of these sessions, as far as they live here."""
        return [self.row(session_id) for session_id in ids if session_id in self.relays]

    def ids_of_tenants(self) -> list[str]:
        """Those that count against a tenant's budget."""
        return [key for key, row in self.registered.items() if row.tenant is not None]

    def current_row(self, row: SessionRow) -> SessionRow:
        """A row as it is now, if the session is this replica's."""
        relay = self.relays.get(row.id)
        return row if relay is None else current(row, relay)

    # For metrics

    def labels(self) -> Iterator[tuple[str, str]]:
        """The agent and call type of every session."""
        for relay in self.relays.values():
            yield relay.conversation.profile.name, relay.call_type.value

    def tenants(self) -> Iterator[str]:
        """The tenant of every session that is one's."""
        return (row.tenant for row in self.registered.values() if row.tenant is not None)

    def buffered_bytes(self) -> int:
        """Bytes that wait for browsers."""
        return sum(relay.buffered_bytes for relay in self.relays.values())

    # For watchers

    @contextmanager
    def watching(self, session_id: str, watcher: Subscriber) -> Iterator[None]:
        """Let a watcher hear of everything that happens in one session."""
        relay = self.relays.get(session_id)
        if relay is None:
            watcher({"at": round(time(), 3), "kind": "end"})
            yield
            return
        relay.observer.subscribers.callbacks.add(watcher)
        relay.update_observed()
        try:
            yield
        finally:
            relay.observer.subscribers.callbacks.discard(watcher)
            relay.update_observed()

    async def events(self, session_id: str) -> AsyncGenerator[dict[str, Any], None]:
        """Yield what happens in one session until it ends; who is slow is told what it missed."""
        waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_WAITING)
        missed = 0

        def tell(event: dict[str, Any]) -> None:
            nonlocal missed
            if waiting.full():
                missed += 1
            else:
                waiting.put_nowait(event)

        with self.watching(session_id, tell):
            while True:
                event = await waiting.get()
                if missed:
                    yield {"kind": "gap", "missed": missed}
                    missed = 0
                yield event
                if event["kind"] == "end":
                    return
