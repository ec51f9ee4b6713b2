"""Live sessions, of every replica, for backends and operators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from app.gateway import Gateway
from app.state.port import SessionRow, State
from app.web.backends import ServiceTokens

MAX_WAITING = 1000
SILENCE = 15.0


def routes(gateway: Gateway, state: State, tokens: ServiceTokens) -> APIRouter:
    """`/v1/sessions` and what is below it."""
    router = APIRouter(tags=["sessions"])

    @router.get("/v1/sessions")
    async def list_sessions(
        cursor: Annotated[str | None, Query(max_length=256)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> dict[str, Any]:
        """List live sessions of every replica, a page at a time."""
        page = await state.sessions(cursor, limit)
        return {"sessions": [_shown(row, gateway) for row in page.rows], "next": page.next}

    @router.get("/v1/sessions/{session_id}")
    async def show_session(session_id: str) -> dict[str, Any]:
        """Show one live session."""
        return _shown(await _found(session_id), gateway)

    @router.delete("/v1/sessions/{session_id}", status_code=204)
    async def end_session(session_id: str) -> Response:
        """End a session, whichever replica has it."""
        if not gateway.end(session_id):
            await gateway.end_elsewhere(await _found(session_id))
        return Response(status_code=204)

    @router.get("/v1/sessions/{session_id}/watch")
    async def watch_session(session_id: str, request: Request) -> StreamingResponse:
        """Follow one session as it happens, as server-sent events."""
        if session_id not in gateway.live:
            await _found(session_id)
        content = tokens.sees_content(request)
        return StreamingResponse(
            _events(gateway, session_id, content=content),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _found(session_id: str) -> SessionRow:
        row = await state.find(session_id)
        if row is None:
            raise HTTPException(404, "There is no such live session.")
        return row

    return router


def _shown(row: SessionRow, gateway: Gateway) -> dict[str, Any]:
    """A row as backends see it; this replica's own are fresher than the store's."""
    shown = asdict(gateway.fresh(row))
    del shown["credential_id"]
    return shown


async def _events(gateway: Gateway, session_id: str, *, content: bool) -> AsyncIterator[bytes]:
    """Server-sent events of one session; a watcher that is too slow misses some, and is told."""
    waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(MAX_WAITING)
    missed = 0

    def tell(event: dict[str, Any]) -> None:
        nonlocal missed
        if waiting.full():
            missed += 1
        else:
            waiting.put_nowait(event)

    async with gateway.watching(session_id, tell):
        yield b": watching\n\n"
        while True:
            try:
                async with asyncio.timeout(SILENCE):
                    event = await waiting.get()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if missed:
                event, missed = {**event, "missed": missed}, 0
            if not content:
                event = {key: value for key, value in event.items() if key != "content"}
            yield b"data: " + orjson.dumps(event) + b"\n\n"
            if event["kind"] == "end":
                return
