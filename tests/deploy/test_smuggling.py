"""A request's body stays its own behind the shipped nginx and HAProxy, whatever its head says."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.deploy.balancer import STARTERS
from tests.support.gateway import SERVICE_TOKEN, gateway
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.deploy.balancer import Balancer
    from tests.support.gateway import Gateway

# A request without its end: whatever follows on the connection becomes its header's value.
PREFIX = b"GET /metrics HTTP/1.1\r\nHost: evil\r\nX-Rest: "
VICTIM = b"GET /healthz HTTP/1.1\r\nHost: victim\r\nConnection: close\r\n\r\n"
PATIENCE = 20.0


@asynccontextmanager
async def balanced(
    kind: str, directory: Path, workers: int, **variables: object
) -> AsyncIterator[tuple[Balancer, Gateway]]:
    """The shipped configuration in front of one gateway, which is both replicas."""

    def edit(text: str) -> str:
        text = text.replace("worker_processes auto;", f"worker_processes {workers};")
        return text.replace("\nglobal\n", f"\nglobal\n    nbthread {workers}\n")

    async with gateway(f"ws://127.0.0.1:{free_port()}", **variables) as running:
        addresses = [f"127.0.0.1:{running.port}"] * 2
        balancer = STARTERS[kind](directory, addresses, edit)
        try:
            await until(lambda: answers_health(balancer), within=60, every=0.2)
            yield balancer, running
        finally:
            balancer.stop()


async def answers_health(balancer: Balancer) -> bool:
    with suppress(OSError):
        return b" 200 " in await exchange(balancer.public, VICTIM)
    return False


async def exchange(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send pieces on a connection of their own; give all that comes until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            with suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(pause)  # pieces must be segments of their own
        async with asyncio.timeout(PATIENCE):
            received = b""
            with suppress(ConnectionError):
                while piece := await reader.read(1 << 16):
                    received += piece
        return received
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def attacking(
    port: int, lines: bytes, body: bytes, path: bytes = b"/healthz"
) -> AsyncIterator[int]:
    """A sender without a credential, who stays for a block once it has its answer's status."""
    head = b"POST %s HTTP/1.1\r\nHost: attacker\r\n%s\r\n" % (path, lines)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head + body)
        async with asyncio.timeout(PATIENCE):
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
        yield int(answer.split()[1])
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", list(STARTERS))
async def test_a_body_behind_an_upgrade_is_glued_to_nobodys_request(
    kind: str, workers: int, tmp_path: Path
) -> None:
    """The attack as it was found: on the shipped files of before it hits 6 of 6 victims."""
    async with balanced(kind, tmp_path, workers) as (balancer, running):
        for upgrade in (b"foo", b"h2c", b"websocket, foo"):
            for size in (20_000, 60_000, 120_000):
                body = b"\r\n" * (size // 2) + PREFIX
                lines = b"Connection: Upgrade\r\nUpgrade: %s\r\nContent-Length: %d\r\n"
                head = lines % (upgrade, len(body))
                async with attacking(balancer.public, head, body) as status:
                    answer = await exchange(balancer.public, VICTIM)
                assert status in (400, 405), "the attack did not reach the gateway"
                assert answer.startswith(b"HTTP/1.1 200 "), (upgrade, size, answer[:200])
                assert answer.endswith(b'{"status":"ok"}'), (upgrade, size, answer[:200])
        assert "Unsupported upgrade" not in running.log


@pytest.mark.parametrize("kind", list(STARTERS))
async def test_a_java_clients_offer_of_h2c_mints_a_ticket(kind: str, tmp_path: Path) -> None:
    body = json.dumps({"subject": "somebody"}).encode()
    head = (
        b"POST /v1/tickets HTTP/1.1\r\nHost: backend\r\nContent-Length: %d\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
        b"Authorization: Bearer %s\r\nContent-Type: application/json\r\n\r\n"
    ) % (len(body), SERVICE_TOKEN.encode())
    async with balanced(kind, tmp_path, 1) as (balancer, running):
        for port in (running.port, balancer.internal):
            for pieces in ([head + body], [head, body]):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.05)  # a segment of its own
                async with asyncio.timeout(PATIENCE):
                    got = await reader.readuntil(b"\r\n\r\n")
                    assert got.startswith(b"HTTP/1.1 201 "), (port, got)
                    length = re.search(rb"(?i)content-length: (\d+)", got)
                    assert length is not None
                    ticket = json.loads(await reader.readexactly(int(length[1])))["ticket"]
                running.secrets[f"ticket {ticket[:4]}"] = ticket
                writer.close()
                await writer.wait_closed()
