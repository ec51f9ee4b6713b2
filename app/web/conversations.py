"""What conversations left behind, for backends; where history is on."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from starlette.exceptions import HTTPException

from app.history.model import Filters, StoredConversation
from app.web.actor import actor_of
from app.web.audit import Audit, subject_digest
from app.web.history_answers import history_answers
from app.web.tenancy import chosen_tenant, visible

if TYPE_CHECKING:  # where history is off, the database layer is not imported
    from app.history.reader import HistoryReader

Answer = TypeVar("Answer")
Cursor = Annotated[str | None, Query(max_length=512)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Tenant = Annotated[str | None, Query(max_length=64)]
CONTENT = frozenset({"text", "data", "arguments", "result", "body", "additional_data"})
"""Members that hold what was said or told, wherever they stand."""


@dataclass(frozen=True, slots=True)
class Conversations:
    """What was kept, as far as who asks may know of it."""

    reader: HistoryReader | None

    @property
    def there(self) -> HistoryReader:
        """The reader. Raises HTTPException (404) where history is off."""
        if self.reader is None:
            raise HTTPException(404, "History is off: RELAY_HISTORY_URL is not set.")
        return self.reader

    async def required(self, conversation_id: str, request: Request) -> StoredConversation:
        """A conversation. Raises HTTPException (404), also for another tenant's."""
        found = await _asked(self.there.conversation(conversation_id))
        if found is None or not visible(request, found.tenant):
            raise HTTPException(404, "There is no such conversation.")
        return found

    async def permit(self, conversation_id: str, request: Request) -> HistoryReader:
        """The reader, for parts of a conversation that a tenant must own."""
        if actor_of(request).tenant is not None:
            await self.required(conversation_id, request)
        return self.there


def routes(reader: HistoryReader | None, audit: Audit) -> APIRouter:
    """`/v1/conversations` and what is below it."""
    router = APIRouter(tags=["conversations"])
    kept = Conversations(reader)

    @router.get("/v1/conversations")
    async def list_conversations(
        request: Request,
        filters: Annotated[Filters, Depends(_filters)],
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """List conversations, the latest first. `since` and `until` are Unix seconds."""
        page = await _asked(kept.there.conversations(filters, cursor, limit))
        return {"conversations": [_shown(request, row) for row in page.items], "next": page.next}

    @router.delete("/v1/conversations")
    async def erase(
        request: Request,
        subject: Annotated[str, Query(min_length=1, max_length=256)],
        tenant: Tenant = None,
    ) -> dict[str, Any]:
        """Erase everything that was kept of one subject."""
        owner = chosen_tenant(request, tenant)
        erased = await _asked(kept.there.erase(subject, owner))
        await audit.record(
            actor_of(request), "history.erase", subject_digest(subject), conversations=str(erased)
        )
        return {"erased": erased}

    @router.get("/v1/conversations/{conversation_id}")
    async def show(request: Request, conversation_id: str) -> dict[str, Any]:
        """Show one conversation, with its result."""
        found = await kept.required(conversation_id, request)
        result = await _asked(kept.there.result(conversation_id))
        await _note_look(audit, request, conversation_id, "result")
        return _shown(request, found) | {
            "result": None if result is None else _shown(request, result)
        }

    @router.get("/v1/conversations/{conversation_id}/transcript")
    async def transcript(
        request: Request, conversation_id: str, cursor: Cursor = None, limit: Limit = 1000
    ) -> dict[str, Any]:
        """Show who said what, turn by turn."""
        known = await kept.permit(conversation_id, request)
        page = await _asked(known.transcript(conversation_id, cursor, limit))
        await _note_look(audit, request, conversation_id, "transcript")
        return {"turns": [_shown(request, turn) for turn in page.items], "next": page.next}

    @router.get("/v1/conversations/{conversation_id}/events")
    async def events(
        request: Request, conversation_id: str, cursor: Cursor = None, limit: Limit = 1000
    ) -> dict[str, Any]:
        """Show what else happened; `tools` come with the first page."""
        known = await kept.permit(conversation_id, request)
        page = await _asked(known.events(conversation_id, cursor, limit))
        await _note_look(audit, request, conversation_id, "events")
        answer: dict[str, Any] = {
            "events": [_shown(request, row) for row in page.items],
            "next": page.next,
        }
        if cursor is None:
            tools = await _asked(known.tool_calls(conversation_id))
            answer["tools"] = [_shown(request, call) for call in tools.items]
        return answer

    return router


def _filters(
    request: Request,
    agent: str | None = None,
    subject: str | None = None,
    call_type: str | None = None,
    since: float | None = None,
    until: float | None = None,
    tenant: Tenant = None,
) -> Filters:
    """Which conversations are asked for; `tenant` is the operator's to choose."""
    return Filters(agent, subject, call_type, since, until, chosen_tenant(request, tenant))


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
    with history_answers():
        return await answer
