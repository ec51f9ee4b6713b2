"""Conformance: Autobahn|Testsuite against both legs, directly and through proxies.

By night only: the suite is Python 2 software, and where its Python is missing the tests fail saying
how to get it. The bounds are widened to what its cases send (16 MiB, 65,536 fragments); nothing is
switched off.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from app.websocket.client import dial
from app.websocket.io_batcher import IoBatcher
from app.websocket.limits import WireLimits
from tests.support.ports import free_port
from tests.websocket.autobahn import (
    ALL,
    SuiteMissingError,
    examine_server,
    failed,
    fuzzing_server,
    install,
    listening,
    verdicts,
)
from tests.websocket.echo import Echo
from tests.websocket.peers import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1200)]  # the first run builds the suite
WIDE: dict[str, Any] = {"max_message": 32 << 20, "max_fragments": 100_000, "max_waiting": 64 << 20}
CASES_1_TO_10 = 301

HAPROXY = """
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
frontend browsers
    bind 127.0.0.1:{port}
    default_backend gateways
backend gateways
    server one 127.0.0.1:{to}
"""

NGINX = """
daemon off;
master_process off;
pid {room}/nginx.pid;
events {{ worker_connections 100; }}
http {{
    access_log off;
    client_body_temp_path {room};
    proxy_temp_path {room};
    fastcgi_temp_path {room};
    uwsgi_temp_path {room};
    scgi_temp_path {room};
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{to};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
    }}
}}
"""


@pytest.fixture(scope="module", autouse=True)
def _suite() -> None:
    try:
        install()
    except SuiteMissingError as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.mark.parametrize("way", ["directly", "haproxy", "nginx"])
async def test_the_lane_conforms_in_every_case(way: str, tmp_path: Path) -> None:
    async with serve(**WIDE) as server, proxied(way, server.port, tmp_path) as port:
        url = f"ws://127.0.0.1:{port}/echo"
        report = await examine_server(url, tmp_path, ALL)
    assert failed(report) == {}
    assert sum(not case.startswith(("12.", "13.")) for case in report) == CASES_1_TO_10


async def test_the_upstream_leg_conforms_in_every_case(tmp_path: Path) -> None:
    report = await examine_upstream_leg(tmp_path, ALL)
    assert failed(report) == {}
    assert sum(not case.startswith(("12.", "13.")) for case in report) == CASES_1_TO_10


async def examine_upstream_leg(room: Path, cases: tuple[str, ...]) -> dict[str, Any]:
    """Be the client of the fuzzing server for every case; gives its verdicts."""
    batcher = IoBatcher()
    limits = WireLimits(**WIDE)
    async with fuzzing_server(room, cases) as port:

        async def visit(path: str) -> bytes:
            url = f"ws://127.0.0.1:{port}{path}"
            echo = Echo(await dial(url, limits=limits, timeout=20, batcher=batcher))
            async with asyncio.timeout(100):
                await echo.ended
            return echo.last

        count = int(await visit("/getCaseCount"))
        for number in range(1, count + 1):
            await visit(f"/runCase?case={number}&agent=upstream")
        await visit("/updateReports?agent=upstream")
    return verdicts(room, "upstream")


@asynccontextmanager
async def proxied(way: str, to: int, room: Path) -> AsyncIterator[int]:
    """Put a proxy in front of a port; gives the proxy's."""
    if way == "directly":
        yield to
        return
    port = free_port()
    program = shutil.which(way, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.fail(f"{way} is missing: apt-get install {way}")
    command: Callable[[Path], list[str]]
    if way == "haproxy":
        text = HAPROXY.format(port=port, to=to)
        command = lambda config: [program, "-db", "-f", str(config)]  # noqa: E731
    else:
        text = NGINX.format(port=port, to=to, room=room)
        command = lambda config: [program, "-e", "stderr", "-c", str(config)]  # noqa: E731
    config = room / f"{way}.conf"
    config.write_text(text)
    with (room / f"{way}.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(*command(config), stdout=log, stderr=log)
    try:
        await listening(port, process)
        yield port
    finally:
        process.terminate()
        await process.wait()
