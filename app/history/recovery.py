"""Conversations that began on a replica which died before it had written them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from app.history.errors import HistoryUnavailable, Unstorable
from app.history.schema import conversations
from app.history.text import clean
from app.protocol.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database
    from app.history.turn import Row

log = structlog.get_logger(__name__)

LOOK: Final = 2.0
SETTLE: Final = 0.25
MAX_UNSETTLED: Final = 100_000


class NotedSession(Protocol):
    """What the shared store knows of a session; see `app.state.interface.SessionRow`."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def replica(self) -> str:
        """Its replica."""
        ...

    @property
    def agent(self) -> str:
        """Its agent."""
        ...

    @property
    def call_type(self) -> str:
        """Its call type."""
        ...

    @property
    def subject(self) -> str:
        """Its subject."""
        ...

    @property
    def tenant(self) -> str | None:
        """Its tenant."""
        ...

    @property
    def started_at(self) -> float:
        """Its started at."""
        ...


class NotedSessions(Protocol):
    """The part of the journal that history needs; see `app.state.journal`."""

    async def settle(self, session_ids: Collection[str]) -> None:
        """Forget sessions that are in history."""
        ...

    async def orphans(self) -> Sequence[NotedSession]:
        """The noted sessions whose replica is dead."""
        ...


class Recovery:
    """Writes what dead replicas left in the journal, and takes from it what history has.

    Any replica does it, and doing it twice is doing it once.
    """

    def __init__(self, database: Database, journal: NotedSessions) -> None:
        self._database = database
        self._journal = journal
        self._stored: set[str] = set()

    def stored(self, conversation_ids: Collection[str]) -> None:
        """Take note of conversations that history has now, or that never began."""
        if len(self._stored) < MAX_UNSETTLED:
            self._stored.update(conversation_ids)

    async def run(self) -> None:
        """Work until cancelled; never raises."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settle(), name="recovery:settle")
            tasks.create_task(self._recover(), name="recovery:recover")

    async def settle(self) -> None:
        """Take from the journal what history has; left for the next time if the store is away."""
        settled, self._stored = self._stored, set()
        try:
            if settled:
                await self._journal.settle(settled)
        except StoreUnavailable:
            self._stored |= settled

    async def recover(self) -> int:
        """Write what dead replicas left; return how many conversations.

        Raises `StoreUnavailable` and `HistoryUnavailable`.
        """
        rows = await self._journal.orphans()
        if not rows:
            return 0
        await self._database.run(lambda connection: self._insert(connection, rows), write=True)
        await self._journal.settle([row.id for row in rows])
        return len(rows)

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(SETTLE)
            await self.settle()

    async def _recover(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                found = await self.recover()
            except (StoreUnavailable, HistoryUnavailable, Unstorable) as error:
                log.warning("history_recovery_failed", error=type(error).__name__)
            else:
                if found:
                    log.warning("history_recovered", conversations=found)

    async def _insert(self, connection: AsyncConnection, rows: Sequence[NotedSession]) -> None:
        statement = self._database.insert(conversations).on_conflict_do_nothing(
            index_elements=[conversations.c.id]
        )
        await connection.execute(statement, [_conversation(row) for row in rows])


def _conversation(row: NotedSession) -> Row:
    return {
        "id": row.id,
        "agent": clean(row.agent),
        "call_type": clean(row.call_type),
        "subject": clean(row.subject),
        "endpoint": None,
        "additional_data": None,
        "started_at": row.started_at,
        "ended_at": None,
        "close_code": None,
        "close_name": None,
        "lost": 0,
        "tenant": row.tenant,
        "replica": row.replica,
    }
