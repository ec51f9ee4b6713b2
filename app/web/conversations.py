"""What conversations left behind, for backends; where history is on."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException

from app.history.errors import HistoryUnavailable, InvalidCursor
from app.history.model import Filters

if TYPE_CHECKING:  # where history is off, the database layer is not imported
    from app.history.reader import HistoryReader

Answer = TypeVar("Answer")
Cursor = Annotated[str | None, Query(max_length=512)]
Limit = Annotated[int, Query(ge=1, le=1000)]


def routes(reader: HistoryReader | None) -> APIRouter:
    """`/v1/conversations` and what is below it."""
    router = APIRouter(tags=["conversations"])

    def there() -> HistoryReader:
        if reader is None:
            raise HTTPException(404, "History is off: RELAY_HISTORY_URL is not set.")
        return reader

    @router.get("/v1/conversations")
    async def list_conversations(
        agent: str | None = None,
        subject: str | None = None,
        call_type: str | None = None,
        since: float | None = None,
        until: float | None = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """List conversations, the latest first. `since` and `until` are Unix seconds."""
        filters = Filters(agent, subject, call_type, since, until)
        page = await _asked(there().conversations(filters, cursor, limit))
        return {"conversations": [asdict(row) for row in page.items], "next": page.next}

    @router.delete("/v1/conversations")
    async def erase(subject: Annotated[str, Query(min_length=1, max_length=256)]) -> dict[str, Any]:
        """Erase everything that was kept of one subject."""
        return {"erased": await _asked(there().erase(subject))}

    @router.get("/v1/conversations/{conversation_id}")
    async def show(conversation_id: str) -> dict[str, Any]:
        """Show one conversation, with its result."""
        found = await _asked(there().conversation(conversation_id))
        if found is None:
            raise HTTPException(404, "There is no such conversation.")
        result = await _asked(there().result(conversation_id))
        return asdict(found) | {"result": None if result is None else asdict(result)}

    @router.get("/v1/conversations/{conversation_id}/transcript")
    async def transcript(
        conversation_id: str, cursor: Cursor = None, limit: Limit = 1000
    ) -> dict[str, Any]:
        """Show who said what, turn by turn."""
        page = await _asked(there().transcript(conversation_id, cursor, limit))
        return {"turns": [asdict(turn) for turn in page.items], "next": page.next}

    @router.get("/v1/conversations/{conversation_id}/events")
    async def events(
        conversation_id: str, cursor: Cursor = None, limit: Limit = 1000
    ) -> dict[str, Any]:
        """Show what else happened; `tools` come with the first page."""
        page = await _asked(there().events(conversation_id, cursor, limit))
        answer: dict[str, Any] = {"events": [asdict(row) for row in page.items], "next": page.next}
        if cursor is None:
            tools = await _asked(there().tool_calls(conversation_id))
            answer["tools"] = [asdict(call) for call in tools.items]
        return answer

    return router


async def _asked(answer: Awaitable[Answer]) -> Answer:
    try:
        return await answer
    except InvalidCursor:
        raise HTTPException(422, "This cursor is none of ours.") from None
    except HistoryUnavailable:
        raise HTTPException(
            503, "The history store does not answer.", {"retry-after": "5"}
        ) from None
