"""`blackbox-relay check --connect` dials everything once, and says what fails."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import oidc
from tests.support.collector import collector
from tests.support.gateway import KEY, ROOT, clean_environment
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.gateway import Emulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
JWK = {"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256"} | {
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("check") / "redis") as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@asynccontextmanager
async def backend(answer: Any) -> AsyncIterator[str]:
    """An HTTP server that gives one JSON answer to everything, and counts no call as a call."""
    methods: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        methods.append(head.partition(" ")[0])
        body = b"" if methods[-1] == "HEAD" else json.dumps(answer).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
    assert set(methods) <= {"GET", "HEAD"}, "a check has no side effect"


async def command(
    *words: str, otel: str | None = None, protocol: str = "http/protobuf", **variables: Any
) -> tuple[int, str]:
    """Run the command as an operator does; return its exit status and what it said."""
    given = {f"RELAY_{name.upper()}": str(value) for name, value in variables.items()}
    if otel is not None:
        given["OTEL_EXPORTER_OTLP_ENDPOINT"] = otel
        given["OTEL_EXPORTER_OTLP_TIMEOUT"] = "1"
        given["OTEL_EXPORTER_OTLP_PROTOCOL"] = protocol
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app", *words),
        env=clean_environment() | {"PYTHONPATH": str(ROOT), "RELAY_BLACKBOX_API_KEY": KEY} | given,
        cwd=ROOT / "tests",  # where no `.env` is
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(100):
        said, _ = await process.communicate()
    text = said.decode()
    assert "canary" not in text.replace(KEY, "")
    assert KEY not in text
    assert "Traceback" not in text
    return process.returncode or 0, text


def finding(said: str, subject: str) -> str:
    """What was found of a subject, with its advice."""
    lines = said.splitlines()
    at = next((i for i, line in enumerate(lines) if f" {subject}" in line and ": " in line), None)
    assert at is not None, f"nothing of {subject} in:\n{said}"
    advice = lines[at + 1] if at + 1 < len(lines) and "→" in lines[at + 1] else ""
    return f"{lines[at].strip()} {advice.strip()}"


async def test_everything_that_answers_is_fine(
    emulator: Emulator, redis: RedisServer, postgres: Postgres
) -> None:
    async with (
        backend({"keys": [JWK]}) as keys,
        backend({}) as shop,
        collector() as receiving,
        oidc.provider() as signing_in,
    ):
        status, said = await command(
            *("check", "--connect"),
            blackbox_url=emulator.url,
            state_url=redis.url,
            history_url=await postgres.database(),
            auth="ticket,jwt",
            jwt_jwks_url=f"{keys}/jwks.json",
            http_tools=json.dumps({"refund": {"url": f"{shop}/refund"}}),
            event_webhooks=json.dumps([{"name": "crm", "url": shop, "secret": SIGNING}]),
            webhook_allowed_hosts="127.0.0.1",
            console_oidc_issuer=signing_in.issuer,
            console_oidc_client_id="relay-console",
            otel=f"http://127.0.0.1:{receiving.port}",
        )
    assert status == 0, said
    assert "RELAY_STATE_URL" in said  # the configuration is shown, too
    for subject in (
        *("state", "history", "key set", "tool refund", "events to crm", "traces", "sign-in"),
        "default: vendor's s",
    ):
        assert finding(said, subject).startswith("✓"), said
    assert "0 fault(s)" in said


async def test_each_that_fails_is_named_with_what_to_do(postgres: Postgres) -> None:
    nobody = free_port()
    name = (await postgres.database()).rpartition("/")[2]
    status, said = await command(
        *("check", "--connect"),
        blackbox_url=f"ws://127.0.0.1:{nobody}",
        state_url=f"redis://:canary@127.0.0.1:{nobody}/0",
        history_url=f"postgresql+asyncpg://relay:canary@127.0.0.1:{postgres.port}/{name}x",
        auth="ticket,jwt",
        jwt_jwks_url=f"http://127.0.0.1:{nobody}/keys.json",
        http_tools=json.dumps({"refund": {"url": "http://127.0.0.1/canary"}}),
        event_webhooks=json.dumps([{"name": "crm", "url": "http://10.0.0.1/", "secret": SIGNING}]),
        mcp_servers=json.dumps({"shop": {"url": f"http://127.0.0.1:{nobody}/mcp"}}),
        console_oidc_issuer=f"http://127.0.0.1:{nobody}/realm",
        console_oidc_client_id="relay-console",
        otel=f"http://127.0.0.1:{nobody}",
    )
    assert status == 1, said
    expected = {
        "state": "check host, port, TLS",
        "history": "does not exist",
        "key set": "check the URL",
        "tool refund": "RELAY_WEBHOOK_ALLOWED_HOSTS",
        "events to crm": "RELAY_WEBHOOK_ALLOWED_HOSTS",
        "MCP server shop": "mcp_server_lost",
        "sign-in": "check the URL",
        "traces": "OTLP over HTTP",
        "default: vendor's socket": "RELAY_BLACKBOX_URL",
    }
    for subject, advice in expected.items():
        found = finding(said, subject)
        assert found.startswith("✗"), said
        assert advice in found, said


async def test_wrong_configuration_is_still_exit_2() -> None:
    status, said = await command("check", "--connect", port="none")
    assert status == 2
    assert said.startswith("error: RELAY_PORT")


async def test_parameters_of_a_url_are_refused_without_dialling() -> None:
    url = "postgresql+asyncpg://u:canary@h/d?sslmode=require&nosuch=canary"
    status, said = await command("check", history_url=url)
    assert status == 2, said
    assert said.startswith("error: RELAY_HISTORY_URL ")
    assert "nosuch" in said


async def test_protocol_that_the_exporter_does_not_speak_is_refused() -> None:
    status, said = await command("check", otel="http://127.0.0.1:4317", protocol="grpc")
    assert status == 2, said
    assert said.startswith("error: OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf")


async def test_read_only_replica_is_named(
    emulator: Emulator, redis: RedisServer, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "replica") as replica:
        replica.command("REPLICAOF", "127.0.0.1", str(redis.port))
        status, said = await command(
            "check", "--connect", blackbox_url=emulator.url, state_url=replica.url
        )
    assert status == 1, said
    assert "read-only replica" in finding(said, "state")


async def test_history_that_is_a_file_is_not_made(emulator: Emulator, tmp_path: Path) -> None:
    for path, mark in ((tmp_path / "h.db", "✓"), (tmp_path / "none" / "h.db", "✗")):
        _, said = await command(
            *("check", "--connect"),
            blackbox_url=emulator.url,
            history_url=f"sqlite+aiosqlite:///{path}",
        )
        assert finding(said, "history").startswith(mark), said
        assert not path.exists()


async def test_doctor_looks_at_the_stores_too(emulator: Emulator, redis: RedisServer) -> None:
    status, said = await command("doctor", blackbox_url=emulator.url, state_url=redis.url)
    assert status == 0, said
    assert finding(said, "state").startswith("✓"), said
