"""A gateway for tests of the pages: it speaks the browser's WebSocket, with nothing behind it.

Each conversation is a script, chosen by the agent's name; the count of frames, the confirmations
and the resume are those of the outer contract, written down a second time here so that the client
is tested against the contract and not against the gateway's code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType, web

from tests.pages.stub_agents import SCRIPTS, Conversation, echo, stamp
from tests.support.listening import http_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

PAGES = Path(__file__).parents[2] / "app" / "pages"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; "
    "img-src 'self' data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
ROUTES = {
    "/client.js": "client.js",
    "/client.d.ts": "client.d.ts",
    "/widget.js": "widget.js",
    "/widget.d.ts": "widget.d.ts",
    "/demo": "demo.html",
    "/demo/demo.css": "demo/demo.css",
    "/console": "console.html",
    "/console/console.css": "console/console.css",
    "/console/people.css": "console/people.css",
    **{
        f"/{path.relative_to(PAGES)}": str(path.relative_to(PAGES)) for path in PAGES.glob("*/*.js")
    },
}
DEMO_CONFIG = {
    "agents": [
        {
            "name": "support",
            "callTypes": ["chat"],
            "default": "chat",
            "browserTools": ["show_order"],
        },
        {"name": "echo", "callTypes": ["chat"], "default": "chat", "browserTools": []},
        {"name": "voice", "callTypes": ["webCall"], "default": "webCall", "browserTools": []},
        {"name": "refuse-4404", "callTypes": ["chat"], "default": "chat", "browserTools": []},
    ],
    "auth": ["open"],
    "ticketed": False,
}


class StubGateway:
    """Serves the pages and the browser's WebSocket on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self.conversations: list[Conversation] = []
        self.by_token: dict[str, Conversation] = {}
        self.dials: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []  # each refuses one connection, the first first
        self.offer_resume = True
        self.window = 30.0
        self.knows_pings = True
        self.session_fields: dict[str, Any] = {}  # more of relay.session, as `queued` and `keep`
        self.history: list[dict[str, Any]] = []  # turns that a page is told that joins a chat
        self.demo_config: dict[str, Any] = DEMO_CONFIG
        self.host_page = ""  # another one's page, at /host, under the policy beside it
        self.host_policy: str | None = None
        self.app = web.Application()
        self.app.on_response_prepare.append(self._harden)
        self.app.router.add_get("/ws", self._socket)
        self.app.router.add_get("/ws/{agent}", self._socket)
        self.app.router.add_get("/demo/config.json", self._config)
        self.app.router.add_get("/blank", self._blank)
        self.app.router.add_get("/host", self._host)
        for path, name in ROUTES.items():
            self.app.router.add_get(path, self._page(PAGES / name))
        self.port = 0
        self._scripts: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[StubGateway]:
        runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=0.1)
        async with http_site(runner) as self.port:
            try:
                yield self
            finally:
                for task in self._scripts:
                    task.cancel()
                await asyncio.gather(*self._scripts, return_exceptions=True)

    async def _harden(self, request: web.Request, response: web.StreamResponse) -> None:
        policy = self.host_policy if request.path == "/host" else CSP
        if policy is not None:
            response.headers["Content-Security-Policy"] = policy
        response.headers["Cache-Control"] = "no-store"
        response.headers["Access-Control-Allow-Origin"] = "*"

    def _page(self, path: Path) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(_: web.Request) -> web.StreamResponse:
            kind = {".js": "text/javascript", ".html": "text/html", ".css": "text/css"}
            return web.Response(
                body=path.read_bytes(),  # noqa: ASYNC240 - a small local file, in a test
                content_type=kind.get(path.suffix, "text/plain"),
                charset="utf-8",
            )

        return serve

    async def _blank(self, _: web.Request) -> web.Response:
        text = "<!doctype html><html lang=en><title>blank</title><body></body></html>"
        return web.Response(text=text, content_type="text/html")

    async def _host(self, _: web.Request) -> web.Response:
        return web.Response(text=self.host_page, content_type="text/html")

    async def _config(self, _: web.Request) -> web.Response:
        return web.json_response(self.demo_config)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        offered = request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")
        bearer = next((one[7:] for one in offered if one.startswith("bearer.")), None)
        agent = request.match_info.get("agent", "echo")
        query = dict(request.query)
        self.dials.append({"agent": agent, "credential": bearer, **query})
        ws = web.WebSocketResponse(protocols=("blackbox-relay.v1",), compress=False, timeout=0.1)
        await ws.prepare(request)
        if self.refusals:
            refusal = self.refusals.pop(0)
            await self._refuse(request, ws, refusal)
        elif agent.startswith("refuse-"):
            await self._refuse(request, ws, {"code": int(agent[7:]), "message": "Refused by name."})
        elif "resume" in query:
            talk = self.by_token.get(query["resume"])
            await self._resume(ws, talk, int(query.get("received", "0")))
        else:
            resumable = self.offer_resume and "blackbox-relay.v1" in offered
            await self._begin(ws, agent, query, bearer, resumable)
        return ws

    async def _refuse(
        self, request: web.Request, ws: web.WebSocketResponse, refusal: dict[str, Any]
    ) -> None:
        if refusal.get("abort"):
            assert request.transport is not None
            request.transport.abort()
            return
        retry = refusal.get("retry", "no")
        await ws.send_json(
            {"type": "error", "timestamp": stamp(), "data": {**refusal, "retry": retry}}
        )
        await ws.close(code=refusal["code"])

    async def _begin(
        self,
        ws: web.WebSocketResponse,
        agent: str,
        query: dict[str, str],
        bearer: str | None,
        resumable: bool,
    ) -> None:
        id_ = query.get("session") or secrets.token_hex(4)
        talk = Conversation(id_, secrets.token_hex(8), agent, query, bearer)
        self.conversations.append(talk)
        talk.socket = ws
        resume = {"token": talk.token, "window": self.window} if resumable else None
        if resumable:
            self.by_token[talk.token] = talk
        data = {
            "sessionId": talk.id,
            "agent": agent,
            "callType": query.get("call_type", "chat"),
            "resume": resume,
            **self.session_fields,
        }
        await talk.say({"type": "event", "name": "relay.session", "data": data})
        if "session" in query:
            told = {"turns": self.history}
            await talk.say({"type": "event", "name": "relay.history", "data": told})
        task = asyncio.create_task(self._run(talk))
        self._scripts.add(task)
        task.add_done_callback(self._scripts.discard)
        await self._read(ws, talk)

    async def _run(self, talk: Conversation) -> None:
        await SCRIPTS.get(talk.agent, echo)(talk)
        talk.ended = True
        if talk.socket is not None:
            await talk.socket.close(code=WSCloseCode.OK)

    async def _resume(
        self, ws: web.WebSocketResponse, talk: Conversation | None, received: int
    ) -> None:
        if talk is None or talk.ended:
            code = 1000 if talk else 4410
            if code != WSCloseCode.OK:
                data = {"code": 4410, "message": "Cannot resume.", "retry": "reconnect"}
                await ws.send_json({"type": "error", "timestamp": stamp(), "data": data})
            await ws.close(code=code)
            return
        talk.resumes += 1
        missing = [text for number, text in talk.kept if number > received]
        assert len(missing) == talk.sent - received, "what was confirmed is asked for again"
        older, talk.socket = talk.socket, None
        arrived = len(talk.arrived)
        data = {"replayed": len(missing), "received": arrived}
        with contextlib.suppress(ConnectionError):
            await ws.send_json(
                {"type": "event", "name": "relay.resumed", "timestamp": stamp(), "data": data}
            )
            known = talk.sent
            for text in missing:
                await ws.send_str(text)
            while talk.sent > known:  # what was said while we caught up
                late = [text for number, text in talk.kept if number > known]
                known = talk.sent
                for text in late:
                    await ws.send_str(text)
        talk.socket = ws
        if older is not None and not older.closed:
            asyncio.get_running_loop().create_task(older.close(code=4409))
        await self._read(ws, talk)

    async def _answer_ping(self, ws: web.WebSocketResponse, talk: Conversation) -> None:
        talk.pings += 1
        if self.knows_pings:
            told = {"received": len(talk.arrived)}
            await ws.send_json({"type": "event", "name": "relay.pong", "data": told})
        else:
            fault = {"code": 4403, "message": "This type of message is not allowed here."}
            await talk.say({"type": "error", "data": fault})

    async def _read(self, ws: web.WebSocketResponse, talk: Conversation) -> None:
        async for message in ws:
            if message.type is not WSMsgType.TEXT or talk.socket is not ws:
                break
            frame = json.loads(message.data)
            if frame["type"] == "relay.received":
                talk.confirmations.append(frame["count"])
                talk.kept = [one for one in talk.kept if one[0] > frame["count"]]
            elif frame["type"] == "relay.approval":
                talk.approvals.append(frame)
            elif frame["type"] == "relay.ping":
                await self._answer_ping(ws, talk)
            else:
                talk.arrived.append(frame)
                await talk.inbox.put(frame)
        if talk.socket is ws:
            talk.socket = None
