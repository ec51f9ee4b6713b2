"""The same endpoint over ASGI: on uvicorn's own protocols, and without a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import connect

from app.server.asgi_upgrade import AsgiSocket, UpgradeMiddleware
from app.server.interface import UpgradeGone, UpgradeState
from app.websocket.interface import CloseEvent
from app.websocket.limits import WireLimits
from tests.support.waiting import until
from tests.websocket.handlers import Owner, Taker
from tests.websocket.peers import HANDSHAKE, TEXT, serve
from tests.websocket.site import Site, no_http

if TYPE_CHECKING:
    from app.server.interface import Endpoint, Upgrade


def served(endpoint: Endpoint) -> UpgradeMiddleware:
    return UpgradeMiddleware(no_http, endpoint, WireLimits())


# Without a server: Starlette's own test client


def test_an_upgrade_works_without_a_server() -> None:
    kinds: list[type] = []

    async def endpoint(upgrade: Upgrade) -> None:
        socket = await upgrade.accept("chosen")
        assert upgrade.state is UpgradeState.ACCEPTED
        kinds.append(type(socket))
        socket.open(Owner(socket))

    with TestClient(served(endpoint)).websocket_connect("/") as peer:
        chosen: str | None = peer.accepted_subprotocol  # Starlette's annotation says None alone
        assert chosen == "chosen"
        peer.send_text("grüße")
        assert peer.receive_text() == "grüße"
        peer.send_bytes(b"123")
        peer.send_text("after")
        assert peer.receive_text() == "after"
    assert kinds == [AsgiSocket]


def test_a_mounted_application_sees_its_own_path() -> None:
    seen: list[Any] = []

    async def endpoint(upgrade: Upgrade) -> None:
        seen.append((upgrade.request.root_path, upgrade.request.path, upgrade.request.query))
        await upgrade.reject(410)

    site = Starlette(routes=[Mount("/relay", served(endpoint))])
    for app, path in ((site, "/relay/ws/a%20b?x=1"), (served(endpoint), "/ws")):
        with pytest.raises(WebSocketDenialResponse), TestClient(app).websocket_connect(path):
            pass
    assert seen == [("/relay", "/ws/a b", b"x=1"), ("", "/ws", b"")]


def test_a_rejection_is_the_endpoints_own() -> None:
    async def endpoint(upgrade: Upgrade) -> None:
        await upgrade.reject(404, [(b"x-why", b"gone")], b"no such place")
        with pytest.raises(RuntimeError):
            await upgrade.accept()

    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        TestClient(served(endpoint)).websocket_connect("/"),
    ):
        pass
    assert (refused.value.status_code, refused.value.content) == (404, b"no such place")
    assert refused.value.headers["x-why"] == "gone"


def test_a_server_that_cannot_deny_by_http_closes() -> None:
    async def endpoint(upgrade: Upgrade) -> None:
        await upgrade.reject(404, [], b"no such place")

    async def without_extensions(scope: Any, receive: Any, send: Any) -> None:
        await served(endpoint)({**scope, "extensions": {}}, receive, send)

    with (
        pytest.raises(WebSocketDisconnect),
        TestClient(without_extensions).websocket_connect("/"),
    ):
        pass


# uvicorn as it comes


@pytest.fixture
async def plain() -> Any:
    """A site of uvicorn's own protocols, and its taker."""
    taker = Taker()
    limits = {"max_message": 1000, "high_water": 2000, "low_water": 1000}
    async with Site(taker, native=False, **limits) as site:
        yield site, taker


async def test_asgi_echoes(plain: Any) -> None:
    site, taker = plain
    async with connect(site.url) as peer:
        owner = await taker.owner()
        assert isinstance(owner.socket, AsgiSocket)
        await peer.send("hello")
        assert await peer.recv() == "hello"
        await peer.close(3000, "bye")
    assert await owner.end() == CloseEvent(3000, "bye", by_peer=True)


async def test_asgi_bounds_a_message(plain: Any) -> None:
    site, taker = plain
    async with connect(site.url) as peer:
        owner = await taker.owner()
        await peer.send("x" * 1001)
        await peer.wait_closed()
        assert peer.close_code == 1009
        assert await owner.end() == CloseEvent(1009, "", by_peer=False)


async def test_asgi_closes_after_what_waits(plain: Any) -> None:
    site, taker = plain
    async with connect(site.url) as peer:
        owner = await taker.owner()
        for number in range(5):
            owner.socket.send_text(b"%d" % number)
        owner.socket.close(4440, "max_duration")
        owner.socket.send_text(b"late")
        assert [await peer.recv() for _ in range(5)] == list("01234")
        await peer.wait_closed()
        assert peer.close_code == 4440
        assert (await owner.end()).by_peer is False


async def test_asgi_has_back_pressure(plain: Any) -> None:
    site, taker = plain
    client = (await site.connect()).deaf()
    owner = await taker.owner()
    while "paused" not in owner.heard:
        owner.socket.send_text(b"x" * 900)
    assert owner.socket.write_buffer_size > 2000
    client.writer.transport.resume_reading()
    await owner.until("resumed")
    owner.socket.pause_reading()
    client.send(TEXT, b"one")
    client.send(TEXT, b"two")
    owner.socket.resume_reading()
    await owner.until(b"one", b"two")
    owner.socket.abort()
    assert await owner.end() == CloseEvent(1006, "", by_peer=False)
    await client.gone()


async def test_an_endpoint_that_crashes_behind_its_accept_ends_the_socket() -> None:
    owners: list[Owner] = []

    async def endpoint(upgrade: Upgrade) -> None:
        socket = await upgrade.accept()
        owners.append(Owner(socket))
        socket.open(owners[0])
        await asyncio.sleep(0)
        raise ValueError

    async with Site(endpoint, native=False) as site, connect(site.url) as peer:
        await peer.wait_closed()
        assert await owners[0].end() == CloseEvent(1006, "", by_peer=False)


@pytest.mark.parametrize("native", [True, False])
async def test_a_browser_that_left_before_the_answer_is_gone(native: bool) -> None:
    asked, left, raised = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def endpoint(upgrade: Upgrade) -> None:
        asked.set()
        await left.wait()
        try:
            await upgrade.accept()
        except UpgradeGone:
            assert upgrade.state is UpgradeState.GONE
            raised.set()
            raise

    async with Site(endpoint, native=native) as site:
        client = await site.open(HANDSHAKE % (b"/ws", b""))
        await asked.wait()
        await client.leave()
        await until(lambda: not site.server.server_state.connections)
        left.set()
        await raised.wait()


async def test_a_real_process_without_uvloop_serves_the_upgrade_too() -> None:
    async with serve(loop="asyncio") as server:
        client = await server.connect()
        client.send(TEXT, b"hello")
        assert await client.receive() == (TEXT, b"hello")
