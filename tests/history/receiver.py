"""A webhook's receiver on a real socket: it verifies, counts, and misbehaves as told."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from standardwebhooks import Webhook

from tests.support.listening import http_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    """`taken` are the bodies answered 2xx, by webhook id, and `order` all of them as they came;
    `tries` every request by id.
    """

    answer: Callable[[str], str] = lambda _: "ok"
    verify: bool = True
    secret: str = SECRET
    order: list[Any] = field(default_factory=list)
    taken: dict[str, list[Any]] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    bodies: dict[str, set[bytes]] = field(default_factory=dict)
    elsewhere: int = 0
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        name = request.headers["webhook-id"]
        self.tries[name] = self.tries.get(name, 0) + 1
        self.bodies.setdefault(name, set()).add(body)
        parsed = Webhook(self.secret).verify(body, dict(request.headers)) if self.verify else body
        match self.answer(name):
            case "ok":
                self.taken.setdefault(name, []).append(parsed)
                self.order.append(parsed)
                return web.Response(status=random.choice([200, 202, 204]))  # noqa: S311
            case "hang":
                await asyncio.sleep(600)
            case "cut":
                assert request.transport is not None
                request.transport.abort()
            case "redirect":
                return web.Response(status=307, headers={"location": "/elsewhere"})
            case "endless":
                endless = web.StreamResponse(status=500)
                await endless.prepare(request)
                while True:
                    await endless.write(b"x" * 65536)
            case status:
                return web.Response(status=int(status))
        return web.Response(status=500)

    async def astray(self, _: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response()


@asynccontextmanager
async def receiving(receiver: Receiver, port: int = 0) -> AsyncIterator[Receiver]:
    application = web.Application()
    application.router.add_post("/results", receiver.handle)
    application.router.add_post("/elsewhere", receiver.astray)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    async with http_site(runner, port) as taken:
        receiver.url = f"http://127.0.0.1:{taken}/results"
        yield receiver
