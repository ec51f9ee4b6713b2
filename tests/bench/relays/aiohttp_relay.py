"""aiohttp's server and client, two loops per session, as its documentation writes them.

https://docs.aiohttp.org/en/stable/web_quickstart.html#websockets and
https://docs.aiohttp.org/en/stable/client_quickstart.html#websockets
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
from aiohttp import web

UPSTREAM: web.AppKey[str] = web.AppKey("upstream", str)
CLIENT: web.AppKey[aiohttp.ClientSession] = web.AppKey("client", aiohttp.ClientSession)


async def relay(request: web.Request) -> web.WebSocketResponse:
    browser = web.WebSocketResponse()
    await browser.prepare(request)
    async with request.app[CLIENT].ws_connect(request.app[UPSTREAM]) as upstream:

        async def up() -> None:
            async for message in browser:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await upstream.send_str(message.data)
            await upstream.close()

        async def down() -> None:
            async for message in upstream:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await browser.send_str(message.data)
            await browser.close()

        await asyncio.gather(up(), down(), return_exceptions=True)
    return browser


async def client(app: web.Application):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Share one client session; its pool has no limit, or 100 sessions would be the most."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        app[CLIENT] = session
        yield


def main() -> None:
    port, upstream, loop = sys.argv[1:]
    app = web.Application()
    app[UPSTREAM] = upstream
    app.cleanup_ctx.append(client)
    app.add_routes([web.get("/ws/bench", relay)])
    if loop == "uvloop":
        import uvloop  # noqa: PLC0415 - the asyncio variant must not load it

        runner: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        runner = asyncio.new_event_loop()
    # Its backlog of 128 is less than come at once: it would lose handshakes, as no other does.
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(port),
        loop=runner,
        access_log=None,
        print=None,
        backlog=2048,
    )


if __name__ == "__main__":
    main()
