"""FastAPI in front, a `websockets` client behind, two loops per session, nothing tuned.

https://fastapi.tiangolo.com/advanced/websockets/ and
https://websockets.readthedocs.io/en/stable/reference/asyncio/client.html; started by
`uvicorn`, whose `standard` extras (uvloop, httptools) are installed. Both ends negotiate
compression by default: whether it is used is the browser's and the upstream's choice.
"""

from __future__ import annotations

import asyncio
import os

from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import ClientConnection, connect

UPSTREAM = os.environ["UPSTREAM"]

app = FastAPI()


async def up(browser: WebSocket, upstream: ClientConnection) -> None:
    try:
        async for text in browser.iter_text():
            await upstream.send(text)
    finally:
        await upstream.close()


async def down(browser: WebSocket, upstream: ClientConnection) -> None:
    async for text in upstream:
        await browser.send_text(str(text))
    await browser.close()


@app.websocket("/ws/bench")
async def relay(browser: WebSocket) -> None:
    await browser.accept()
    async with connect(UPSTREAM) as upstream:
        await asyncio.gather(up(browser, upstream), down(browser, upstream), return_exceptions=True)
