"""A name with several addresses is reached by the first one that answers (RFC 8305)."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from app.egress import AllowedHosts, guarded_client
from app.network import connect, interleaved, race
from app.network.loop import Loop
from app.network.names import MAX_ADDRESSES
from app.websocket.client import dial
from tests.egress.server import answer, closed_port, serving
from tests.network.hosts import SILENT, Names, reached, silence
from tests.websocket.vendors import LIMITS, accepting, answering, url

if TYPE_CHECKING:
    from collections.abc import Sequence

SOON = 3.0
"""Seconds: less than any time-out here, more than a busy machine needs for 0.25."""


def sockets() -> int:
    """How many sockets of this process are on their way to an address that answers nothing."""
    found = psutil.Process().net_connections("tcp4")
    return sum(bool(one.raddr) and one.raddr.ip in (SILENT, "127.0.0.8") for one in found)


async def test_a_dead_first_address_costs_a_quarter_of_a_second() -> None:
    async with serving() as server:
        with silence(server.port):
            before, begun = sockets(), time.monotonic()
            names = Names(two_example=[SILENT, "127.0.0.1"])
            assert await reached("two.example", server.port, names) == "127.0.0.1"
            assert 0.25 <= time.monotonic() - begun < SOON
            assert sockets() == before


async def test_an_address_that_refuses_costs_nothing() -> None:
    async with serving() as server:
        begun = time.monotonic()
        names = Names(two_example=["127.0.0.3", "127.0.0.4", "127.0.0.1"])
        made = await connect("two.example", server.port, resolve=names, delay=60)
        with made:
            assert made.getpeername()[0] == "127.0.0.1"
        assert time.monotonic() - begun < SOON


async def test_the_first_address_is_kept_where_it_answers() -> None:
    async with serving() as server, serving(host="127.0.0.2") as other:
        names = Names(two_example=["127.0.0.1", "127.0.0.2"])
        assert await reached("two.example", server.port, names) == "127.0.0.1"
        assert other.connections == 0


async def test_none_that_answers_is_the_first_ones_error() -> None:
    port = await closed_port()
    with pytest.raises(ConnectionRefusedError):
        await connect("x.example", port, resolve=Names(x_example=["127.0.0.1", "127.0.0.2"]))
    with pytest.raises(OSError, match="no address"):
        await connect("x.example", port, resolve=Names(x_example=[]))


async def test_a_caller_that_gives_up_leaves_nothing() -> None:
    port = await closed_port()
    with silence(port), silence(port, "127.0.0.8"):
        before = sockets()
        names = Names(x_example=[SILENT, "127.0.0.8"])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await connect("x.example", port, resolve=names)
        assert sockets() == before
    assert len(asyncio.all_tasks()) == 1


async def test_whoever_comes_second_is_let_go() -> None:
    """Two that succeed in one turn of the loop: one is kept, the other discarded."""
    gate = asyncio.Event()
    let_go: list[int] = []

    async def attempt(number: int) -> int:
        await gate.wait()
        return number

    async def discard(number: int) -> None:
        let_go.append(number)

    asyncio.get_running_loop().call_later(0.1, gate.set)
    won = await race([partial(attempt, n) for n in range(3)], discard=discard, delay=0.01)
    assert sorted([won, *let_go]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("given", "tried"),
    [
        (["::1", "::2", "10.0.0.1", "10.0.0.2"], ["::1", "10.0.0.1", "::2", "10.0.0.2"]),
        (["10.0.0.1", "10.0.0.2", "::1"], ["10.0.0.1", "::1", "10.0.0.2"]),
        (["10.0.0.1", "10.0.0.1"], ["10.0.0.1"]),
        (["::1", "::2"], ["::1", "::2"]),
    ],
)
def test_families_take_turns(given: list[str], tried: list[str]) -> None:
    assert list(interleaved(given)) == tried


def test_no_more_addresses_are_tried_than_there_is_time_for() -> None:
    many = [f"10.0.{number // 250}.{number % 250}" for number in range(1000)]
    assert len(interleaved(many)) == MAX_ADDRESSES


# Every leg: the vendor's socket, HTTP, and what drivers dial by the loop


async def test_the_vendors_socket_is_opened_at_the_address_that_answers() -> None:
    async with answering(accepting()) as (port, asked):
        with silence(port):
            names = Names(vendor_example=[SILENT, "127.0.0.1"])
            socket = await dial(
                url(port, host="vendor.example"), limits=LIMITS, timeout=SOON, resolve=names
            )
            assert len(asked) == 1
            assert b"vendor.example" in asked[0]
            socket.close(1000)


async def test_http_goes_to_the_address_that_answers() -> None:
    allowed = AllowedHosts.parse(["127.0.0.0/8"])
    names = Names(tools_example=[SILENT, "127.0.0.1"])
    async with (
        serving(answer(200, "hello")) as server,
        guarded_client(allowed, timeout=SOON, resolve=names) as http,
    ):
        with silence(server.port):
            assert (await http.get(f"http://tools.example:{server.port}/")).json() == "hello"


class _Told(Loop):
    """The loop of `serve`, with a resolver of a test's own."""

    async def getaddrinfo(self, host: Any, port: Any, **more: Any) -> Any:
        known: Sequence[str] = [SILENT, "127.0.0.1"] if host == "store.example" else [host]
        found = [await super(_Told, self).getaddrinfo(each, port, **more) for each in known]
        return [entry for entries in found for entry in entries]


def test_drivers_that_dial_by_the_loop_reach_the_address_that_answers() -> None:
    """asyncio.open_connection is what redis-py uses, create_connection what asyncpg does."""

    async def dialled() -> list[str]:
        async with serving() as server:
            with silence(server.port):
                async with asyncio.timeout(SOON):
                    _, streams = await asyncio.open_connection("store.example", server.port)
                    loop = asyncio.get_running_loop()
                    transport, _ = await loop.create_connection(
                        asyncio.Protocol, host="store.example", port=server.port
                    )
            found = [streams.get_extra_info("peername")[0], transport.get_extra_info("peername")[0]]
            transport.abort()
            streams.close()
            return found

    with asyncio.Runner(loop_factory=_Told) as runner:
        assert runner.run(dialled()) == ["127.0.0.1", "127.0.0.1"]


def test_the_loop_passes_on_what_names_no_host() -> None:
    async def dialled() -> str:
        async with serving() as server:
            loop = asyncio.get_running_loop()
            made = await connect("127.0.0.1", server.port)
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=made)
            found: str = transport.get_extra_info("peername")[0]
            transport.abort()
            with pytest.raises(OSError, match=r".*"):
                await loop.create_connection(asyncio.Protocol, "nowhere.invalid", 1)
            return found

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(dialled()) == "127.0.0.1"
