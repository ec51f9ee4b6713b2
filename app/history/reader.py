"""Reading history back, a page at a time, and erasing it.

Every coroutine raises `HistoryLost` when the database does not answer in time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import and_, delete, select

from app.history.cursor import decode, encode
from app.history.frames import speaker_of
from app.history.listing import list_conversations
from app.history.model import (
    Filters,
    Page,
    StoredConversation,
    StoredEvent,
    StoredResult,
    StoredToolCall,
    StoredTurn,
)
from app.history.partitioned import erase_rows, rows_of_conversation
from app.history.schema import (
    conversations,
    deliveries,
    events,
    outbox,
    results,
    tool_calls,
    turns,
)
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import RowMapping, Select, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database

MOST: Final = 1000
"""Rows on a page, at the most."""

CHUNK: Final = 500
"""Sessions whose deliveries one statement erases."""

JSON_COLUMNS: Final = frozenset({"additional_data", "data", "arguments", "result", "body"})

Numbered = TypeVar("Numbered", StoredTurn, StoredEvent, StoredToolCall)


class HistoryReader:
    """What the web layer asks.

    `forget` is the recorder's: it names the subject's conversations that wait to be written, and
    lets them be written no more. Of what another replica is still writing, it knows nothing.
    """

    def __init__(
        self,
        database: Database,
        forget: Callable[[str, str | None], Awaitable[frozenset[str]]],
    ) -> None:
        self._database = database
        self._forget = forget

    async def conversations(
        self, filters: Filters | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[StoredConversation]:
        """List conversations, the latest first. Raises `InvalidCursor`.

        A page may be short before the end: see `listing`.
        """
        after = None
        if cursor is not None:
            started, name = decode(cursor, float, str)
            after = (float(started), str(name))
        wanted, most = filters or Filters(), _limit(limit)
        rows, last = await self._database.run(lambda c: list_conversations(c, wanted, after, most))
        return Page(tuple(map(_conversation, rows)), encode(*last) if last is not None else None)

    async def conversation(self, conversation_id: str) -> StoredConversation | None:
        """Return one conversation, or None."""
        query = select(conversations).where(conversations.c.id == conversation_id)
        rows = await self._all(query)
        return _conversation(rows[0]) if rows else None

    async def transcript(
        self, conversation_id: str, cursor: str | None = None, limit: int = MOST
    ) -> Page[StoredTurn]:
        """Return what was said, in order. Raises `InvalidCursor`."""
        return await self._numbered(turns, StoredTurn, conversation_id, cursor, limit)

    async def events(
        self, conversation_id: str, cursor: str | None = None, limit: int = 100
    ) -> Page[StoredEvent]:
        """Return what else happened, in order. Raises `InvalidCursor`."""
        return await self._numbered(events, StoredEvent, conversation_id, cursor, limit)

    async def tool_calls(
        self, conversation_id: str, cursor: str | None = None, limit: int = 100
    ) -> Page[StoredToolCall]:
        """Return the tool calls, in the order in which they finished. Raises `InvalidCursor`."""
        return await self._numbered(tool_calls, StoredToolCall, conversation_id, cursor, limit)

    async def result(self, conversation_id: str) -> StoredResult | None:
        """Return the result and the state of its delivery, or None when there is neither."""
        started = await self._started(conversation_id)
        found = await self._all(rows_of_conversation(results, conversation_id, started))
        sent = await self._all(
            select(outbox.c.state, outbox.c.attempts).where(
                outbox.c.conversation_id == conversation_id
            )
        )
        if not found and not sent:
            return None
        names = ("at", "status", "finish_reason", "error_message", "body")
        values = _values(found[0]) if found else dict.fromkeys(names)
        values.pop("conversation_id", None)
        state, attempts = (sent[0]["state"], sent[0]["attempts"]) if sent else (None, 0)
        return StoredResult(**values, delivery=state, attempts=attempts)

    async def erase(self, subject: str, tenant: str | None = None) -> int:
        """Erase all of a subject's conversations, written or waiting here; return how many.

        `tenant` None: of any tenant's.
        """
        waiting = await self._forget(subject, tenant)
        whose = conversations.c.subject == subject
        if tenant is not None:
            whose = and_(whose, conversations.c.tenant == tenant)
        columns = (conversations.c.id, conversations.c.started_at)
        statement = delete(conversations).where(whose).returning(*columns)

        async def work(connection: AsyncConnection) -> frozenset[str]:
            gone = [(name, at) for name, at in await connection.execute(statement)]
            told = [*(name for name, _ in gone), *waiting]
            for at in range(0, len(told), CHUNK):
                theirs = deliveries.c.session_id.in_(told[at : at + CHUNK])
                await connection.execute(delete(deliveries).where(theirs))
            if self._database.is_postgresql:
                await erase_rows(connection, gone)
            return frozenset(name for name, _ in gone)

        erased = await self._database.run(work, write=True, deadline=60.0)
        return len(erased | waiting)

    async def _numbered(
        self,
        table: Table,
        kind: type[Numbered],
        conversation_id: str,
        cursor: str | None,
        limit: int,
    ) -> Page[Numbered]:
        limit = _limit(limit)
        after = None if cursor is None else int(decode(cursor, int)[0])
        started = await self._started(conversation_id)
        query = rows_of_conversation(table, conversation_id, started, after)
        rows = await self._all(query.order_by(query.selected_columns.number).limit(limit + 1))
        items = []
        for row in rows[:limit]:
            values = _values(row)
            del values["conversation_id"]
            if kind is StoredTurn:
                values["speaker"] = values["speaker"] or speaker_of(values["source"])
                values["held"] = bool(values["held"])
            items.append(kind(**values))
        return Page(tuple(items), encode(items[-1].number) if len(rows) > limit else None)

    async def _started(self, conversation_id: str) -> float | None:
        """When a conversation began, where its rows are looked for by that; else None."""
        if not self._database.is_postgresql:
            return None
        query = select(conversations.c.started_at).where(conversations.c.id == conversation_id)
        rows = await self._all(query)
        return rows[0]["started_at"] if rows else None

    async def _all(self, query: Select[Any]) -> list[RowMapping]:
        async def work(connection: AsyncConnection) -> list[RowMapping]:
            return list((await connection.execute(query)).mappings())

        return await self._database.run(work)


def _conversation(row: RowMapping) -> StoredConversation:
    values = _values(row)
    del values["replica"]
    return StoredConversation(**values)


def _limit(limit: int) -> int:
    return max(1, min(limit, MOST))


def _values(row: RowMapping) -> dict[str, Any]:
    return {
        name: exact_json.loads(value.encode())
        if name in JSON_COLUMNS and value is not None
        else value
        for name, value in row.items()
    }
