"""What the operator's console asks for, with as many sessions as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.pages.stub import StubGateway

TOKEN = "service-token-for-tests"
READER = "service-token-without-contents"


class StubOperator:
    """Adds `/v1/sessions`, `…/watch`, `DELETE` and `/readyz` to a stub gateway."""

    def __init__(self, gateway: StubGateway, sessions: int) -> None:
        self.ready: dict[str, Any] = {"status": "ready", "limits": {"max_sessions": 5000}}
        self.queue: dict[str, Any] | None = None  # where upstream sessions are bounded
        self.asked: list[str] = []
        self.deleted: list[str] = []
        self.watchers: list[str] = []
        self.drift: dict[str, Any] = {"shapes": [], "omitted": 0}
        self.said: list[dict[str, Any]] = []  # contents of texts that open a timeline
        self.scanned: int | None = None  # rows that are looked at for one page; None: all
        self.burst = 20  # events at once when a timeline is opened
        started = time.time()
        self.sessions: dict[str, dict[str, Any]] = {
            f"s{number:04}": {
                "id": f"s{number:04}",
                "agent": ("support", "sales", "voice")[number % 3],
                "call_type": ("chat", "chat", "webCall")[number % 3],
                "subject": f"customer-{number * 7919 % 1000}",
                "phase": "live",
                "started_at": started - number * 13 % 3000,
                "replica": f"relay-{number % 2}",
                "frames_in": 0,
                "frames_out": 0,
                "bytes_in": 0,
                "bytes_out": 0,
                "browser": "away" if number % 23 == 5 else "here",
            }
            for number in range(sessions)
        }
        router = gateway.app.router
        router.add_get("/readyz", self._readyz)
        router.add_get("/v1/drift", self._drift)
        router.add_get("/v1/sessions", self._list)
        router.add_get("/v1/sessions/{id}/watch", self._watch)
        router.add_delete("/v1/sessions/{id}", self._delete)

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.json_response(self.ready, status=200 if "limits" in self.ready else 503)

    async def _drift(self, request: web.Request) -> web.Response:
        self._check(request)
        return web.json_response(self.drift)

    def _check(self, request: web.Request) -> str:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in {TOKEN, READER}:
            problem = {"title": "Unauthorized", "status": 401}
            raise web.HTTPUnauthorized(
                text=json.dumps(problem), content_type="application/problem+json"
            )
        return token

    async def _list(self, request: web.Request) -> web.Response:
        self._check(request)
        self.asked.append(request.query_string)
        for at, session in enumerate(self.sessions.values()):
            session["frames_in"] += at % 5
            session["frames_out"] += (at * 7 + len(self.asked)) % 11
            session["bytes_in"] += at % 5 * 120
            session["bytes_out"] += (at * 7 + len(self.asked)) % 11 * 300
        cursor, limit = request.query.get("cursor", ""), int(request.query["limit"])
        following = sorted(id_ for id_ in self.sessions if id_ > cursor)
        looked = following[: self.scanned]
        fitting = [id_ for id_ in looked if self._fits(self.sessions[id_], request.query)]
        page = fitting[:limit]
        more = looked[-1] if len(looked) < len(following) else None
        listed = {
            "sessions": [self.sessions[id_] for id_ in page],
            "next": page[-1] if len(fitting) > limit else more,
            "total": len(self.sessions),
        }
        return web.json_response(listed if self.queue is None else {**listed, "queue": self.queue})

    @staticmethod
    def _fits(session: dict[str, Any], query: Mapping[str, str]) -> bool:
        if query.get("wants_human") == "true" and not session.get("wants_human"):
            return False
        texts = (session[name] for name in ("id", "agent", "subject", "call_type", "phase"))
        return any(query.get("search", "").lower() in text.lower() for text in texts)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        token = self._check(request)
        id_ = request.match_info["id"]
        self.watchers.append(id_)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b": hello\n\n")
        with contextlib.suppress(ConnectionError):
            await self._events(stream, id_, token)
        return stream

    async def _events(self, stream: web.StreamResponse, id_: str, token: str) -> None:
        for content in self.said:
            told = {
                "kind": "frame",
                "direction": "from_upstream",
                "type": "text",
                "at": time.time(),
            }
            told["content"] = {"type": "text", "content": content}
            await stream.write(f"data: {json.dumps(told)}\n\n".encode())
        number = 0
        while id_ in self.sessions:
            for _ in range(self.burst if number == 0 else 1):
                number += 1
                frame = {"type": "text", "content": {"text": f"secret words {number}"}}
                event: dict[str, Any] = (
                    {"kind": "tool", "tool": "check_order_status", "state": "running"}
                    if number % 4 == 0
                    else {
                        "kind": "frame",
                        "direction": ("from_upstream", "from_browser")[number % 2],
                        "type": "text",
                        "name": None,
                        "bytes": number * 37 % 800,
                        "content": frame,
                    }
                )
                event["at"] = time.time()
                if token != TOKEN:
                    event.pop("content", None)
                await stream.write(f"data: {json.dumps(event)}\n\n".encode())
            await asyncio.sleep(0.1)
        end = {"at": time.time(), "kind": "end", "code": 1000, "reason": "ended"}
        await stream.write(f"data: {json.dumps(end)}\n\n".encode())

    async def _delete(self, request: web.Request) -> web.Response:
        self._check(request)
        id_ = request.match_info["id"]
        self.deleted.append(id_)
        self.sessions.pop(id_, None)
        return web.Response(status=204)
