"""The pages and the browser client, served from files in the package under a strict policy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

HERE: Final = Path(__file__).parent.parent / "pages"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; "
    "img-src 'self' data:; media-src 'self' blob: mediastream:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cache-control": "no-cache",
}
KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
}
# A page on another origin may import the client; the other files serve our own pages alone.
PUBLIC: Final = ("client.js", "client.d.ts", "widget.js", "widget.d.ts")
MODULES: Final = ("client", "widget")  # folders whose modules those import
ANY_ORIGIN: Final = {"access-control-allow-origin": "*"}


def client_routes() -> APIRouter:
    """`/client.js`, `/widget.js`, the modules that these import, and their types."""
    router = APIRouter(tags=["pages"])
    modules = sorted(
        f"{folder}/{path.name}" for folder in MODULES for path in (HERE / folder).glob("*.js")
    )
    for name in (*PUBLIC, *modules):
        router.add_api_route(f"/{name}", _server(name, ANY_ORIGIN), include_in_schema=False)
    return router


def page_routes(page: str, config: Mapping[str, Any] | None = None) -> APIRouter:
    """One page at `/{page}`, with its own files below that."""
    router = APIRouter(tags=["pages"])
    router.add_api_route(f"/{page}", _server(f"{page}.html"), include_in_schema=False)
    # Its files are named relative to it. The address is relative too: who knows what stands before.
    router.add_api_route(f"/{page}/", _redirect(f"../{page}"), include_in_schema=False)
    if config is not None:

        @router.get(f"/{page}/config.json", include_in_schema=False)
        async def configuration() -> dict[str, Any]:
            return dict(config)

    files = {path.name: _File(path, {}) for path in (HERE / page).glob("*.*")}

    @router.get(f"/{page}/{{name}}", include_in_schema=False)
    async def part(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404, "There is no such file.")
        return files[name].answer(request)

    return router


class _File:
    """A file as it was when the process began, with an entity tag of its content.

    A tag of size and time would not do: builds may give all files one time.
    """

    def __init__(self, path: Path, more: Mapping[str, str]) -> None:
        self._content = path.read_bytes()
        self._tag = f'"{hashlib.sha256(self._content).hexdigest()[:32]}"'
        self._kind = KINDS.get(path.suffix, "application/octet-stream")
        self._headers = {**HEADERS, **more, "etag": self._tag}

    def answer(self, request: Request) -> Response:
        """The file, or 304 for a client that has it (RFC 9110 §13.1.2)."""
        known = request.headers.get("if-none-match", "")
        if self._tag in {tag.strip().removeprefix("W/") for tag in known.split(",")}:
            return Response(status_code=304, headers=self._headers)
        return Response(self._content, media_type=self._kind, headers=self._headers)


def _server(name: str, more: Mapping[str, str] | None = None) -> Any:
    file = _File(HERE / name, more or {})

    async def serve(request: Request) -> Response:
        return file.answer(request)

    return serve


def _redirect(address: str) -> Any:
    async def redirect() -> RedirectResponse:
        return RedirectResponse(address)

    return redirect
