"""HAProxy and nginx in front of two replicas, as deploy/ configures them."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.deploy.balancer import NO_ANSWER, STARTERS, Balancer, ask, until
from tests.deploy.replica import NAME, PROTOCOL, replicas
from tests.deploy.tooling import DEPLOY, binary, passes, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.deploy.replica import Replica

DRAIN = 5 + 300
LONGEST_SESSION = 3600
HAPROXY = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
NGINX = (DEPLOY / "nginx" / "nginx.conf").read_text()

both = pytest.mark.parametrize("kind", list(STARTERS))


@asynccontextmanager
async def balanced(
    kind: str, directory: Path, **options: object
) -> AsyncIterator[tuple[Balancer, Replica, Replica]]:
    async with replicas() as (one, two):
        balancer = STARTERS[kind](directory, (one.address, two.address), **options)  # type: ignore[arg-type]
        try:
            await balancer.serves()
            yield balancer, one, two
        finally:
            balancer.stop()


@asynccontextmanager
async def browser(balancer: Balancer, query: str = "") -> AsyncIterator[ClientConnection]:
    async with connect(
        f"{balancer.ws}{query}",
        subprotocols=[PROTOCOL],
        proxy=None,
        ping_interval=None,
        compression=None,
        additional_headers={"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"},
    ) as socket:
        yield socket


async def echoes(socket: ClientConnection) -> bool:
    await socket.send("hello")
    return await asyncio.wait_for(socket.recv(), 20) == "hello"


async def served_by(balancer: Balancer) -> str:
    return (await balancer.get("/")).headers.get(NAME, "nobody")


# What the files say


def test_haproxy_accepts_the_file_without_a_warning() -> None:
    passes(binary("haproxy", "haproxy"), "-c", "-dW", "-f", DEPLOY / "haproxy" / "haproxy.cfg")


def test_nginx_accepts_the_files(tmp_path: Path) -> None:
    done = run(
        binary("nginx", "nginx-light"),
        *("-t", "-c", DEPLOY / "nginx" / "nginx.conf", "-e", "stderr"),
        *("-g", f"pid {tmp_path}/nginx.pid;"),
    )
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr
    assert "[emerg]" not in done.stderr


def test_old_processes_outlive_the_drain_and_the_longest_session() -> None:
    for text, name in ((HAPROXY, "hard-stop-after"), (NGINX, "worker_shutdown_timeout")):
        found = re.search(rf"^\s*{name} (\d+)m;?$", text, re.MULTILINE)
        assert found is not None, name
        assert int(found[1]) * 60 > max(DRAIN, LONGEST_SESSION)


def test_readiness_is_noticed_within_the_drain_delay() -> None:
    found = re.search(r"inter (\d+)s .*fall (\d+)", HAPROXY)
    assert found is not None
    assert int(found[1]) * int(found[2]) < 5
    watcher = (DEPLOY / "nginx" / "readiness.py").read_text()
    assert '"--interval", type=float, default=1.0' in watcher
    assert "AGREE = 2" in watcher


# What they do


@both
async def test_handshake_and_frames_pass_unchanged(kind: str, tmp_path: Path) -> None:
    async with balanced(kind, tmp_path) as (balancer, one, two), browser(balancer) as socket:
        assert socket.subprotocol == PROTOCOL
        assert await echoes(socket)
        (request,) = one.seen + two.seen
        assert request.headers["Host"] == f"127.0.0.1:{balancer.public}"


@both
async def test_browsers_address_is_the_sockets_whatever_it_claims(
    kind: str, tmp_path: Path
) -> None:
    async with balanced(kind, tmp_path) as (balancer, one, two), browser(balancer):
        (request,) = one.seen + two.seen
        assert request.headers.get_all("X-Forwarded-For") == ["127.0.0.1"]
        assert request.headers["X-Forwarded-Proto"] == "http"
        assert "Forwarded" not in request.headers


def impatient(text: str) -> str:
    """Plain requests get a second; what holds for sockets stays."""
    text = re.sub(r"timeout (client|server) 65s", r"timeout \1 1s", text)
    return text.replace("proxy_read_timeout 65s", "proxy_read_timeout 1s")


@both
async def test_idle_socket_is_not_cut(kind: str, tmp_path: Path) -> None:
    async with (
        balanced(kind, tmp_path, edit=impatient) as (balancer, _, _),
        browser(balancer) as socket,
    ):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 3)
        assert await echoes(socket)


async def test_idle_socket_would_be_cut_without_the_tunnel_timeout(tmp_path: Path) -> None:
    """The test above sees what it claims to see."""

    def careless(text: str) -> str:
        return impatient(text).replace("    timeout tunnel 2m\n", "")

    async with (
        balanced("haproxy", tmp_path, edit=careless) as (balancer, _, _),
        browser(balancer) as socket,
    ):
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 20)


@both
async def test_replica_that_is_not_ready_gets_no_new_session_and_keeps_its_own(
    kind: str, tmp_path: Path
) -> None:
    async with balanced(kind, tmp_path) as (balancer, one, two), browser(balancer) as socket:
        leaving = one if one.seen else two
        leaving.ready = False

        async def left() -> bool:
            before = len(leaving.seen)
            # Held at once: the fewest sessions alone would send one of four to each replica.
            async with AsyncExitStack() as crowd:
                for _ in range(4):
                    await crowd.enter_async_context(browser(balancer))
            return len(leaving.seen) == before

        await until(left, "the replica still gets sessions:\n{}", balancer)
        assert await echoes(socket)
        leaving.ready = True

        async with AsyncExitStack() as crowd:

            async def returned() -> bool:
                await crowd.enter_async_context(browser(balancer))
                return len(leaving.seen) > 1

            await until(returned, "the replica gets no sessions again:\n{}", balancer)
        assert await echoes(socket)


@both
async def test_when_nobody_is_ready_the_gateway_itself_answers(kind: str, tmp_path: Path) -> None:
    async with balanced(kind, tmp_path) as (balancer, one, two):
        one.ready = two.ready = False
        if kind == "haproxy":

            async def noticed() -> bool:
                return (await balancer.get("/v1/x", internal=True)).status == 503

            await until(noticed, "HAProxy believes them ready:\n{}", balancer)
        assert await served_by(balancer) in {"one", "two"}


@both
async def test_replica_that_died_costs_no_request(kind: str, tmp_path: Path) -> None:
    async with balanced(kind, tmp_path) as (balancer, one, _):
        await one.stop()
        assert {await served_by(balancer) for _ in range(8)} == {"two"}


@both
async def test_ticket_is_in_no_log(kind: str, tmp_path: Path) -> None:
    async with balanced(kind, tmp_path) as (balancer, one, two):
        async with browser(balancer, "?ticket=SECRETTICKET") as socket:
            assert await echoes(socket)
        assert "SECRETTICKET" in (one.seen + two.seen)[0].path
        await one.stop()
        await two.stop()
        answer = await balancer.get("/ws?ticket=SECRETTICKET")
        assert answer.status in {502, 503}

        async def written() -> bool:
            return balancer.log.count("GET /ws") >= 2

        await until(written, "the log lacks the two requests:\n{}", balancer)
        assert "SECRET" not in balancer.log


@both
async def test_operators_routes_are_not_for_browsers(kind: str, tmp_path: Path) -> None:
    async with balanced(kind, tmp_path) as (balancer, _, _):
        tokens = "/api/v1/web-integrations/default/tokens"
        for path in ("/metrics", "/v1/sessions", "/%761/sessions", "/v1%2Fsessions", tokens):
            assert (await balancer.get(path)).status == 404, path
        assert (await balancer.get("/v1/sessions", internal=True)).status == 200
        assert (await balancer.get("/metrics", internal=True)).status == 404


@both
async def test_reload_lets_sockets_end_by_themselves(kind: str, tmp_path: Path) -> None:
    async with balanced(kind, tmp_path) as (balancer, _, _), browser(balancer) as socket:
        balancer.quit_gracefully()

        async def closed() -> bool:
            try:
                await balancer.get("/")
            except NO_ANSWER:
                return True
            return False

        await until(closed, "it still takes connections:\n{}", balancer)
        assert await echoes(socket)


async def test_haproxy_tells_prometheus_about_its_replicas(tmp_path: Path) -> None:
    async with balanced("haproxy", tmp_path) as (balancer, _, _):
        answer = await asyncio.to_thread(ask, balancer.metrics, "/metrics")
        assert 'haproxy_server_status{proxy="gateways",server="gateway-1"' in answer.text
