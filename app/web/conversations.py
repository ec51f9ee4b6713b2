"""What conversations left behind, for backends; where history is on."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException

from app.history.errors import HistoryUnavailable, InvalidCursor
from app.history.model import Filters
from app.web.actor import actor_of
from app.web.audit import Audit, subject_digest

if TYPE_CHECKING:  # where history is off, the database layer is not imported
    from app.history.reader import HistoryReader

Answer = TypeVar("Answer")
Cursor = Annotated[str | None, Query(max_length=512)]
Limit = Annotated[int, Query(ge=1, le=1000)]
CONTENT = frozenset({"text", "data", "arguments", "result", "body", "additional_data"})
"""Members that hold what was said or told, wherever they stand."""


def routes(reader: HistoryReader | None, audit: Audit) -> APIRouter:
    """`/v1/conversations` and what is below it."""
    router = APIRouter(tags=["conversations"])

    def there() -> HistoryReader:
        if reader is None:
            raise HTTPException(404, "History is off: RELAY_HISTORY_URL is not set.")
        return reader

    @router.get("/v1/conversations")
    async def list_conversations(
        request: Request,
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
        return {"conversations": [_shown(request, row) for row in page.items], "next": page.next}

    @router.delete("/v1/conversations")
    async def erase(
        request: Request, subject: Annotated[str, Query(min_length=1, max_length=256)]
    ) -> dict[str, Any]:
        """Erase everything that was kept of one subject."""
        erased = await _asked(there().erase(subject))
        await audit.record(
            actor_of(request), "history.erase", subject_digest(subject), conversations=str(erased)
        )
        return {"erased": erased}

    @router.get("/v1/conversations/{conversation_id}")
    async def show(request: Request, conversation_id: str) -> dict[str, Any]:
        """Show one conversation, with its result."""
        found = await _asked(there().conversation(conversation_id))
        if found is None:
            raise HTTPException(404, "There is no such conversation.")
        result = await _asked(there().result(conversation_id))
        await _note_look(audit, request, conversation_id, "result")
        return _shown(request, found) | {
            "result": None if result is None else _shown(request, result)
        }

    @router.get("/v1/conversations/{conversation_id}/transcript")
    async def transcript(
        request: Request, conversation_id: str, cursor: Cursor = None, limit: Limit = 1000
    ) -> dict[str, Any]:
        """Show who said what, turn by turn."""
        page = await _asked(there().transcript(conversation_id, cursor, limit))
        await _note_look(audit, request, conversation_id, "transcript")
        return {"turns": [_shown(request, turn) for turn in page.items], "next": page.next}

    @router.get("/v1/conversations/{conversation_id}/events")
    async def events(
        request: Request, conversation_id: str, cursor: Cursor = None, limit: Limit = 1000
    ) -> dict[str, Any]:
        """Show what else happened; `tools` come with the first page."""
        page = await _asked(there().events(conversation_id, cursor, limit))
        await _note_look(audit, request, conversation_id, "events")
        answer: dict[str, Any] = {
            "events": [_shown(request, row) for row in page.items],
            "next": page.next,
        }
        if cursor is None:
            tools = await _asked(there().tool_calls(conversation_id))
            answer["tools"] = [_shown(request, call) for call in tools.items]
        return answer

    return router


async def _note_look(audit: Audit, request: Request, conversation_id: str, what: str) -> None:
    """Note a look at content, by an actor who may see it."""
    if actor_of(request).history:
        await audit.record(actor_of(request), "content.read", conversation_id, what=what)


def _shown(request: Request, row: Any) -> dict[str, Any]:
    """A row as its reader may see it: without what was said for those who may not."""
    shown: dict[str, Any] = asdict(row)
    if actor_of(request).history:
        return shown
    return {name: None if name in CONTENT else value for name, value in shown.items()}


async def _asked(answer: Awaitable[Answer]) -> Answer:
    try:
        return await answer
    except InvalidCursor:
        raise HTTPException(422, "This cursor is none of ours.") from None
    except HistoryUnavailable:
        raise HTTPException(
            503, "The history store does not answer.", {"retry-after": "5"}
        ) from None
