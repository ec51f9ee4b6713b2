"""The short way in: the same paths as the routes', and only where nobody else looks on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from starlette.routing import WebSocketRoute

from app.web.websocket import WebSocketBypass, routes

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

PATHS = [
    *("/ws", "/ws/support", "/ws/a%20b", "/ws/ü", "/api/v1/ws/webCall", "/ws/.."),
    *("/", "/ws/", "/ws/a/b", "/ws\n", "/ws/a\n", "/wss", "/WS", "/api/v1/ws/webcall", "//ws", ""),
]


class Door:
    """Notes for which agent it was asked."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    async def serve(self, _: WebSocket, agent: str | None) -> None:
        self.asked.append(agent)


async def led(scope: dict[str, Any]) -> tuple[list[str | None], bool]:
    """Lead a scope in; for whom the door was asked, and whether the layers saw it."""
    door, seen = Door(), []

    async def layers(scope: Any, *_: Any) -> None:
        seen.append(scope)

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nobody speaks here")

    await WebSocketBypass(layers, door)(scope, nothing, nothing)  # type: ignore[arg-type]
    return door.asked, bool(seen)


@pytest.mark.parametrize("path", PATHS)
async def test_short_way_is_that_of_the_routes(path: str) -> None:
    scope = {"type": "websocket", "path": path, "headers": []}
    expected = [
        child["path_params"].get("agent")
        for route in routes(Door()).routes  # type: ignore[arg-type]
        if isinstance(route, WebSocketRoute)
        for match, child in [route.matches(dict(scope))]
        if match.value
    ][:1]
    if path == "/ws\n":
        expected = []  # Starlette's patterns let one through; the layers may say so
    assert await led(scope) == (expected, not expected)


@pytest.mark.parametrize("kind", ["http", "lifespan"])
async def test_what_is_no_websocket_goes_the_long_way(kind: str) -> None:
    assert await led({"type": kind, "path": "/ws", "headers": []}) == ([], True)


async def test_telemetry_of_the_framework_sees_the_whole_way() -> None:
    scope = {"type": "websocket", "path": "/ws", "headers": [], "fastapi.telemetry": None}
    assert await led(scope) == ([], True)
