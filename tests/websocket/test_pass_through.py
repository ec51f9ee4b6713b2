"""What comes from upstream in one read goes to the browser in order, untouched or not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.websocket.client import dial
from app.websocket.limits import WireLimits
from tests.websocket.handlers import Owner
from tests.websocket.peers import CLOSE, CONT, PATIENCE, PING, TEXT, Client, frame
from tests.websocket.site import Site
from tests.websocket.vendors import accepting, answering, url

if TYPE_CHECKING:
    from app.server.interface import Upgrade
    from app.websocket.interface import Socket


class Vendor(Owner):
    """Owns the upstream leg, and does with each message what the message says."""

    browser: Socket

    def text_received(self, payload: bytes) -> None:
        verb = payload.split()[0]
        if verb == b"before":
            self.browser.send_text(b"own")
        if verb == b"instead":
            self.browser.send_text(b"own")
        elif verb == b"copy":
            self.browser.send_text(bytes(bytearray(payload)))
        elif verb == b"twice":
            self.browser.send_text(payload)
            self.browser.send_text(payload)
        elif verb == b"flush":
            self.browser.send_text(payload)
            self.browser.flush()
        elif verb == b"close":
            self.browser.send_text(payload)
            self.browser.close(4000)
        elif verb != b"drop":
            self.browser.send_text(payload)
        if verb == b"after":
            self.browser.send_text(b"own")


async def relayed(behind: bytes) -> list[tuple[int, bytes]]:
    """What a browser gets when upstream sends these bytes in one read, until a close."""

    async def endpoint(upgrade: Upgrade) -> None:
        upstream = await dial(
            url(port), limits=WireLimits(), timeout=PATIENCE, batcher=site.batcher
        )
        vendor = Vendor(upstream)
        vendor.browser = await upgrade.accept()
        vendor.browser.open(Owner(vendor.browser))
        upstream.open(vendor)
        ended = await vendor.end()
        vendor.browser.close(ended.code)

    async with answering(accepting(behind)) as (port, _), Site(endpoint) as site:
        client: Client = await site.connect()
        got: list[tuple[int, bytes]] = []
        while not got or got[-1][0] != CLOSE:
            got.append(await client.receive())
        client.send(*got[-1])
        await client.gone()
        return got


def texts(*said: bytes) -> bytes:
    return b"".join(frame(TEXT, text, mask=False) for text in said)


END = frame(CLOSE, b"\x03\xe8", mask=False)


@pytest.mark.parametrize(
    "said",
    [
        [b"pass 1"],
        [b"pass 1", b"pass 2", b"pass 3"],
        [b"pass 1", b"drop", b"pass 2"],
        [b"pass 1", b"instead", b"pass 2", b"pass 3"],
        [b"pass 1", b"before 2", b"pass 3"],
        [b"pass 1", b"after 2", b"pass 3"],
        [b"copy 1", b"pass 2", b"copy 3"],
        [b"pass 1", b"twice 2", b"pass 3"],
        [b"pass 1", b"flush 2", b"pass 3"],
        [b"drop", b"drop"],
        [b"pass " + b"x" * 200, b"pass " + b"y" * 40_000, b"after " + "ü".encode() * 300],
    ],
    ids=lambda said: "-".join(text.split()[0].decode() for text in said),
)
async def test_the_order_is_kept(said: list[bytes]) -> None:
    wanted: list[bytes] = []
    for text in said:
        verb = text.split()[0]
        wanted += [b"own"] if verb in (b"before", b"instead") else []
        wanted += [] if verb in (b"instead", b"drop") else [text]
        wanted += [text] if verb == b"twice" else []
        wanted += [b"own"] if verb == b"after" else []
    got = await relayed(texts(*said) + END)
    assert got == [*((TEXT, text) for text in wanted), (CLOSE, b"\x03\xe8")]


async def test_nothing_passes_a_close() -> None:
    got = await relayed(texts(b"pass 1", b"close 2", b"pass 3") + END)
    assert got == [(TEXT, b"pass 1"), (TEXT, b"close 2"), (CLOSE, b"\x0f\xa0")]


async def test_what_was_passed_on_before_a_failure_arrives() -> None:
    got = await relayed(texts(b"pass 1", b"pass 2") + b"\xff\xff")
    assert got == [(TEXT, b"pass 1"), (TEXT, b"pass 2"), (CLOSE, b"\x03\xea")]


async def test_fragments_pings_and_stretched_headers_go_on_as_whole_frames() -> None:
    behind = (
        texts(b"pass 1")
        + frame(PING, b"x", mask=False)
        + texts(b"pass 2")
        + frame(TEXT, b"pa", fin=False, mask=False)
        + frame(CONT, b"ss 3", mask=False)
        + b"\x81\x7e\x00\x06pass 4"
        + texts(b"pass 5")
    )
    got = await relayed(behind + END)
    assert got[:-1] == [(TEXT, b"pass %d" % number) for number in range(1, 6)]


async def test_twenty_thousand_messages_arrive_as_they_were_sent() -> None:
    """Reads end anywhere: runs, held frames and back-pressure together."""
    said = [b"pass %d " % number + b"z" * (number % 700) for number in range(20_000)]
    async with asyncio.timeout(60):
        got = await relayed(texts(*said) + END)
    assert [text for _, text in got[:-1]] == said
