from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.protocol.errors import ConfigurationError, StoreUnavailable
from app.state.factory import open_state
from app.state.memory import MemoryState
from app.state.redis import RedisState
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def test_memory_is_opened() -> None:
    assert isinstance(open_state("memory://", "a"), MemoryState)


@pytest.mark.parametrize("url", ["redis://h:1/0", "rediss://h:1/0", "unix:///run/redis.sock"])
async def test_redis_is_opened_without_dialling(url: str) -> None:
    state = open_state(url, "a")
    assert isinstance(state, RedisState)
    await state.close()


@pytest.mark.parametrize(
    "url", ["", "http://h", "redis", "redis://h:port/0", "redis://h:99999999/0"]
)
def test_url_that_names_no_store_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        open_state(url, "a")
    assert wrong.value.faults[0].startswith("RELAY_STATE_URL")


async def test_opened_redis_answers(redis_server: RedisServer, prefix: str) -> None:
    state = open_state(redis_server.url, "a", prefix=prefix)
    await state.put_ticket("k", b"1", 60)
    assert await state.take_ticket("k") == b"1"
    await state.close()


async def test_unix_socket_works(prefix: str) -> None:
    # A socket's path is bounded to about a hundred bytes: pytest's own are too long.
    with tempfile.TemporaryDirectory() as short:
        path = Path(short) / "redis.sock"
        with RedisServer(Path(short) / "data", settings={"unixsocket": str(path)}):
            state = open_state(f"unix://{path}", "a", prefix=prefix)
            await state.put_ticket("k", b"1", 60)
            assert await state.take_ticket("k") == b"1"
            await state.close()


async def test_password_and_database_work(tmp_path: Path, prefix: str) -> None:
    with RedisServer(tmp_path / "redis") as server:
        server.command("ACL", "SETUSER", "relay", "on", ">pass%word", "~*", "+@all")
        url = f"redis://relay:pass%25word@127.0.0.1:{server.port}/3"
        state = open_state(url, "a", prefix=prefix)
        await state.put_ticket("k", b"1", 60)
        assert server.command("DBSIZE") == b":0\r\n"
        assert await state.take_ticket("k") == b"1"
        await state.close()
        wrong = open_state(url.replace("pass", "past"), "a", prefix=prefix)
        with pytest.raises(StoreUnavailable):
            await wrong.ping()
        await wrong.close()


async def test_tls_works_and_is_verified(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async for port in tls_in_front_of(redis_server, context):
        url = f"rediss://127.0.0.1:{port}/0"
        trusting = open_state(f"{url}?ssl_ca_certs={certificate}", "a", prefix=prefix)
        await trusting.put_ticket("k", b"1", 60)
        assert await trusting.take_ticket("k") == b"1"
        await trusting.close()
        suspicious = open_state(url, "a", prefix=prefix)
        with pytest.raises(StoreUnavailable):
            await suspicious.ping()
        await suspicious.close()


async def tls_in_front_of(redis_server: RedisServer, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A TLS terminator before a Redis, which may have been built without TLS."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", redis_server.port)
        await asyncio.gather(
            copy(reader, inner_writer), copy(inner_reader, writer), return_exceptions=True
        )
        for ending in (writer, inner_writer):
            ending.close()
            await asyncio.gather(ending.wait_closed(), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def self_signed(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis.test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
