"""Live sessions, of every replica, for backends and operators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict
from time import monotonic, time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from app.cluster.replicas import Replicas
from app.gateway.gateway import Gateway
from app.state.interface import SessionRow, State
from app.state.row_filter import RowFilter
from app.web.actor import actor_of
from app.web.audit import Audit
from app.web.tenancy import visible
from blackbox_relay import exact_json

ABSENT = "There is no such live session."
SILENCE = 15.0
"""Seconds without an event after which a watcher is told that it is still connected."""

RECHECK = 2.0
"""Seconds between two looks at whether a watcher may still watch."""

NO_LONGER = {
    "kind": "unauthorized",
    "status": 401,
    "detail": "The credential that this was opened with is valid no longer, or has other rights.",
}
Text = Annotated[str | None, Query(max_length=256)]


def routes(
    gateway: Gateway,
    state: State,
    replicas: Replicas,
    audit: Audit,
    is_still_valid: Callable[[Request], Awaitable[bool]],
) -> APIRouter:
    """`/v1/sessions` and what is below it."""
    router = APIRouter(tags=["sessions"])

    @router.get("/v1/sessions")
    async def list_sessions(
        request: Request,
        cursor: Annotated[str | None, Query(max_length=256)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        agent: Text = None,
        subject: Text = None,
        call_type: Text = None,
        wants_human: bool | None = None,
        search: Text = None,
    ) -> dict[str, Any]:
        """List live sessions of every replica, a page at a time; `search` looks into their texts.

        A page may hold fewer than `limit`, or none, although `next` leads on. `total` is about how
        many there are in all, of those that who asks may know of.
        """
        actor = actor_of(request)
        only = RowFilter(agent, subject, call_type, wants_human, (search or "").strip())
        page = await state.sessions(cursor, limit, only, actor.tenant)
        rows = (gateway.live.current_row(row) for row in page.rows)
        return {
            "sessions": [_shown(row, content=actor.content) for row in rows if only.fits(row)],
            "next": page.next,
            "total": page.total,
            "queue": _queue(gateway) if actor.tenant is None else None,
        }

    @router.get("/v1/sessions/{session_id}")
    async def show_session(session_id: str, request: Request) -> dict[str, Any]:
        """Show one live session."""
        row = await _found(session_id, request)
        return _shown(row, content=actor_of(request).content)

    @router.get("/v1/sessions/{session_id}/watch")
    async def watch_session(session_id: str, request: Request) -> StreamingResponse:
        """Follow one session as it happens, as server-sent events."""
        await _found(session_id, request)
        actor = actor_of(request)
        if actor.content:
            await audit.record(actor, "content.read", session_id, what="watch")

        async def may_go_on() -> bool:
            return await is_still_valid(request)

        return StreamingResponse(
            _events(replicas, session_id, may_go_on, content=actor.content),
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


def _shown(row: SessionRow, *, content: bool) -> dict[str, Any]:
    """A row as backends see it: without the credential's id; an agent's reason is content."""
    shown = asdict(row)
    del shown["credential_id"]
    operator, taken_at = shown.pop("operator"), shown.pop("taken_at")
    shown["takeover"] = None if operator is None else {"operator": operator, "since": taken_at}
    if not content:
        shown["wants_human_reason"] = None
    return shown


async def _events(
    replicas: Replicas,
    session_id: str,
    may_go_on: Callable[[], Awaitable[bool]],
    *,
    content: bool,
) -> AsyncIterator[bytes]:
    """Server-sent events of one session, with a sign of life when nothing happens.

    Every `RECHECK` seconds it is asked whether the reader may still see them; the last event says
    if not.
    """
    async with aclosing(replicas.watch(session_id)) as events, asyncio.TaskGroup() as tasks:
        following = aiter(events)
        upcoming: asyncio.Task[dict[str, Any]] | None = tasks.create_task(
            _next(following), name=f"watch:{session_id}"
        )
        asked_at = told_at = monotonic()
        try:
            # By then that task has subscribed to a session of this replica: nothing is missed that
            # happens after this line. Another replica's events begin when it has been told.
            await asyncio.sleep(0)
            yield b": watching\n\n"
            while True:
                if monotonic() - asked_at >= RECHECK:
                    if not await may_go_on():
                        yield _line({"at": time(), **NO_LONGER})
                        return
                    asked_at = monotonic()
                upcoming = upcoming or tasks.create_task(
                    _next(following), name=f"watch:{session_id}"
                )
                done, _ = await asyncio.wait((upcoming,), timeout=RECHECK)
                if not done:
                    if monotonic() - told_at >= SILENCE:
                        told_at = monotonic()
                        yield b": still here\n\n"
                    continue
                event, upcoming = upcoming.result(), None
                if not event:
                    return
                if not content:
                    event = {key: value for key, value in event.items() if key != "content"}
                told_at = monotonic()
                yield _line(event)
        finally:
            if upcoming is not None:
                upcoming.cancel()


def _line(event: dict[str, Any]) -> bytes:
    """One server-sent event (WHATWG HTML, 9.2.6)."""
    return b"data: " + exact_json.dumps(event) + b"\n\n"


async def _next(events: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    """The next event, or an empty one at the end."""
    return await anext(events, {})
