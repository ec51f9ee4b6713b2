"""Live sessions, of every replica, for backends and operators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from app.cluster.replicas import Replicas
from app.gateway.gateway import Gateway
from app.state.interface import SessionRow, State
from app.web.actor import actor_of
from app.web.tenancy import visible
from blackbox_relay import exact_json

ABSENT = "There is no such live session."
SILENCE = 15.0


def routes(gateway: Gateway, state: State, replicas: Replicas) -> APIRouter:
    """`/v1/sessions` and what is below it."""
    router = APIRouter(tags=["sessions"])

    @router.get("/v1/sessions")
    async def list_sessions(
        request: Request,
        cursor: Annotated[str | None, Query(max_length=256)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> dict[str, Any]:
        """List live sessions of every replica, a page at a time."""
        tenant = actor_of(request).tenant
        page = await state.sessions(cursor, limit, tenant)
        return {
            "sessions": [_shown(gateway.current_row(row)) for row in page.rows],
            "next": page.next,
            "queue": _queue(gateway) if tenant is None else None,
        }

    @router.get("/v1/sessions/{session_id}")
    async def show_session(session_id: str, request: Request) -> dict[str, Any]:
        """Show one live session."""
        return _shown(await _found(session_id, request))

    @router.delete("/v1/sessions/{session_id}", status_code=204)
    async def end_session(session_id: str, request: Request) -> Response:
        """End a session, whichever replica has it."""
        if actor_of(request).tenant is not None:
            await _found(session_id, request)
        if not await replicas.end(session_id):
            raise HTTPException(404, ABSENT)
        return Response(status_code=204)

    @router.get("/v1/sessions/{session_id}/watch")
    async def watch_session(session_id: str, request: Request) -> StreamingResponse:
        """Follow one session as it happens, as server-sent events."""
        await _found(session_id, request)
        return StreamingResponse(
            _events(replicas, session_id, content=actor_of(request).content),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _found(session_id: str, request: Request) -> SessionRow:
        row = await replicas.find(session_id)
        if row is None or not visible(request, row.tenant):
            raise HTTPException(404, ABSENT)
        return row

    return router


def _queue(gateway: Gateway) -> dict[str, Any] | None:
    """The bound of upstream sessions over all replicas; None without one."""
    report = None if gateway.places is None else gateway.places.report
    if report is None:
        return None
    return {"waiting": report.waiting, "held": report.held, "limit": report.limit}


def _shown(row: SessionRow) -> dict[str, Any]:
    """A row as backends see it: without the credential's id."""
    shown = asdict(row)
    del shown["credential_id"]
    return shown


async def _events(replicas: Replicas, session_id: str, *, content: bool) -> AsyncIterator[bytes]:
    """Server-sent events of one session, with a sign of life when nothing happens."""
    yield b": watching\n\n"
    async with aclosing(replicas.watch(session_id)) as events, asyncio.TaskGroup() as tasks:
        following = aiter(events)
        upcoming: asyncio.Task[dict[str, Any]] | None = None
        try:
            while True:
                upcoming = upcoming or tasks.create_task(_next(following))
                done, _ = await asyncio.wait((upcoming,), timeout=SILENCE)
                if not done:
                    yield b": still here\n\n"
                    continue
                event, upcoming = upcoming.result(), None
                if not event:
                    return
                if not content:
                    event = {key: value for key, value in event.items() if key != "content"}
                yield b"data: " + exact_json.dumps(event) + b"\n\n"
        finally:
            if upcoming is not None:
                upcoming.cancel()


async def _next(events: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    """The next event, or an empty one at the end."""
    return await anext(events, {})
