"""RFC 6455's data phase in both legs, by the cases of the table, judged by two other libraries too.

The server leg is examined directly and through HAProxy and nginx as they are shipped.
"""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from websockets.utils import accept_key

from app.websocket.client import dial
from app.websocket.io_batcher import IoBatcher
from app.websocket.limits import WireLimits
from tests.deploy.balancer import STARTERS
from tests.websocket.echo import Echo
from tests.websocket.peers import HANDSHAKE, serve
from tests.websocket.rfc6455_cases import (
    CLOSES,
    FRAGMENTATION,
    FRAGMENTS,
    FRAMING,
    LIMITS,
    MAX_FRAGMENTS,
    MAX_MESSAGE,
    OPCODES,
    PINGS,
    RESERVED_BITS,
    Verdict,
)
from tests.websocket.rfc6455_peers import DEADLINE, LIBRARIES, Sender, octets
from tests.websocket.rfc6455_utf8 import UTF8
from tests.websocket.vendors import ACCEPTED, url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.websocket.rfc6455_cases import Case

SECTIONS = {
    "1": FRAMING,
    "2": PINGS,
    "3": RESERVED_BITS,
    "4": OPCODES,
    "5": FRAGMENTS,
    "6": UTF8,
    "7": CLOSES,
    "9": LIMITS,
    "10": FRAGMENTATION,
}
CASES = [case for cases in SECTIONS.values() for case in cases]
BOUNDS: dict[str, Any] = {
    "max_message": MAX_MESSAGE,
    "max_fragments": MAX_FRAGMENTS,
    "max_waiting": 4 * MAX_MESSAGE,
}
AT_ONCE = 8
HEADER_KEY = re.compile(rb"(?i)sec-websocket-key: (\S+)")


def test_every_case_has_an_id_of_its_own() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert all(case.id.startswith(f"{n}.") for n, cases in SECTIONS.items() for case in cases)


@pytest.mark.parametrize("server", [True, False], ids=["server", "client"])
@pytest.mark.parametrize("library", list(LIBRARIES))
def test_another_library_judges_as_the_table_says(library: str, server: bool) -> None:
    differing = {}
    for case in CASES:
        verdict = LIBRARIES[library](octets(case, mask=server), server=server)
        if verdict != case.differs.get(library, Verdict(case.expected, case.close)):
            differing[case.id] = brief(verdict)
    assert differing == {}


def test_no_difference_is_recorded_that_is_none() -> None:
    for case in CASES:
        for library, verdict in case.differs.items():
            assert library in LIBRARIES
            assert verdict != Verdict(case.expected, case.close), case.id


@pytest.mark.parametrize("way", ["direct", *STARTERS])
async def test_the_server_leg_conforms(way: str, tmp_path: Path) -> None:
    async with serve(**BOUNDS) as server, reached(way, server.port, tmp_path) as port:

        async def judge(case: Case) -> Verdict:
            async with sender(socket.create_connection(("127.0.0.1", port)), client=True) as peer:
                await peer.send(HANDSHAKE % (b"/ws", b""))
                head = await peer.head()
                assert head.startswith(b"HTTP/1.1 101 "), head
                return await peer.judge(case)

        assert await failures(judge) == {}


@asynccontextmanager
async def reached(way: str, to: int, directory: Path) -> AsyncIterator[int]:
    """The server's port, or that of a balancer of deploy/ in front of it."""
    if way == "direct":
        yield to
        return
    balancer = STARTERS[way](directory, [f"127.0.0.1:{to}"] * 2)
    try:
        await balancer.serves()
        yield balancer.public
    finally:
        await asyncio.to_thread(balancer.stop)


@asynccontextmanager
async def sender(connection: socket.socket, *, client: bool) -> AsyncIterator[Sender]:
    """The raw end of this connection, for the time of a block."""
    peer = Sender(connection, client=client)
    try:
        yield peer
    finally:
        await peer.leave()


async def test_the_client_leg_conforms() -> None:
    batcher = IoBatcher()

    async def judge(case: Case) -> Verdict:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            dialling = asyncio.create_task(
                dial(url(port), limits=WireLimits(**BOUNDS), timeout=DEADLINE, batcher=batcher)
            )
            connection, _ = await asyncio.to_thread(listener.accept)
        async with sender(connection, client=False) as peer:
            key = HEADER_KEY.search(await peer.head())
            assert key is not None
            await peer.send(ACCEPTED % (accept_key(key[1].decode()).encode(), b""))
            echo = Echo(await dialling)
            verdict = await peer.judge(case)
        async with asyncio.timeout(DEADLINE):
            await echo.ended
        return verdict

    assert await failures(judge) == {}


async def failures(judge: Callable[[Case], Awaitable[Verdict]]) -> dict[str, str]:
    """The cases whose verdict is not the table's, and what it was; some are run at a time."""
    failed: dict[str, str] = {}
    places = asyncio.Semaphore(AT_ONCE)

    async def run(case: Case) -> None:
        async with places:
            try:
                verdict = await judge(case)
            except (AssertionError, TimeoutError, EOFError, OSError) as failure:
                failed[case.id] = repr(failure)
                return
        if verdict != Verdict(case.expected, case.close):
            failed[case.id] = brief(verdict)

    async with asyncio.TaskGroup() as tasks:
        for case in CASES:
            tasks.create_task(run(case))
    return failed


def brief(verdict: Verdict) -> str:
    """A verdict, short enough to be read in a test's failure."""
    frames = [(opcode, payload[:20], len(payload)) for opcode, payload in verdict.frames[:3]]
    return f"close {verdict.close} after {len(verdict.frames)} frames {frames}"
