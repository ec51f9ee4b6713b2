"""A backend written for the vendor: it mints web integration tokens and serves its pages.

`base_url`, `api_key` and `integration` are its whole configuration, and the base URL alone decides
whom it asks and whom its pages dial. It imports nothing of the product.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import uuid4

from aiohttp import web

from tests.support.plain import plain_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

FILES: Final = Path(__file__).parent
TOKEN_LIFE: Final = timedelta(minutes=10)


class Backend:
    """One site. `page_url` is where its pages are, an origin of its own."""

    def __init__(self, base_url: str, api_key: str, integration: str) -> None:
        self.base_url = base_url
        self.page_url = ""
        self.minted: list[dict[str, Any]] = []
        self._tokens = f"/api/v1/web-integrations/{integration}/tokens"
        self._vendor = plain_client(base_url, headers={"authorization": f"Bearer {api_key}"})

    async def request_token(self, name: str, expires_at: str | None = None) -> httpx.Response:
        """Ask for a token; the answer as it is."""
        body = {"name": name, "expiresAt": expires_at}
        return await self._vendor.post(self._tokens, json=body)

    async def revoke_token(self, token_id: str) -> httpx.Response:
        """Revoke a token; the answer as it is."""
        return await self._vendor.delete(f"{self._tokens}/{token_id}")

    async def info(self) -> httpx.Response:
        """Ask which WebSocket endpoints there are."""
        return await self._vendor.get("/api/v1/ws/info")

    async def session(self) -> dict[str, str]:
        """What a page of this site needs: token, server and socket. Raises `HTTPStatusError`."""
        expires = (datetime.now(UTC) + TOKEN_LIFE).isoformat()
        answer = await self.request_token(f"visitor-{uuid4()}", expires)
        answer.raise_for_status()
        token: dict[str, Any] = answer.json()
        self.minted.append(token)
        scheme, host = self.base_url.split("://")
        socket = f"{'wss' if scheme == 'https' else 'ws'}://{host}/api/v1/ws/webCall"
        return {
            "serverUrl": self.base_url,
            "token": token["token"],
            "socketUrl": f"{socket}?token={quote(token['token'], safe='')}",
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve the site."""
        if request.method == "POST" and request.path == "/session":
            return web.json_response(await self.session())
        path = FILES / request.path.removeprefix("/")
        if path.parent == FILES and path.suffix in (".html", ".js") and path.is_file():
            return web.FileResponse(path)
        raise web.HTTPNotFound

    async def close(self) -> None:
        """Let go of its connections."""
        await self._vendor.aclose()


@asynccontextmanager
async def backend(
    base_url: str, api_key: str, integration: str, port: int
) -> AsyncIterator[Backend]:
    """A site on this port of loopback, for the time of a block."""
    it = Backend(base_url, api_key, integration)
    runner = web.ServerRunner(web.Server(it.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    it.page_url = f"http://127.0.0.1:{port}"
    try:
        yield it
    finally:
        await runner.cleanup()
        await it.close()
