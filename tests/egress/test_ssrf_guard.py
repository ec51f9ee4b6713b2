from __future__ import annotations

import asyncio
import gzip
import ssl
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from app.egress import (
    AllowedHosts,
    EgressRefused,
    ResponseCompressed,
    ResponseTooLarge,
    guarded_client,
    read_bounded,
)
from tests.egress.server import answer, closed_port, hang, serving

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOOPBACK = AllowedHosts.parse(["127.0.0.1"])


class Names:
    """A resolver whose answers a test writes: one list per question."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def test_loopback_is_refused_unless_allowed() -> None:
    async with serving() as server, guarded_client(AllowedHosts(), timeout=10) as http:
        for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::1]", "0"):
            with pytest.raises(EgressRefused):
                await http.get(f"http://{host}:{server.port}/")
        assert server.connections == 0


async def test_an_allowed_address_is_reached_under_its_name() -> None:
    names = Names(["127.0.0.1"])
    async with (
        serving(answer(200, "hello")) as server,
        guarded_client(LOOPBACK, timeout=10, resolve=names) as http,
    ):
        response = await http.get(f"http://tools.example.com:{server.port}/a?b=c")
        assert response.json() == "hello"
        (seen,) = server.seen
        assert seen.target == "/a?b=c"
        assert seen.headers["host"] == f"tools.example.com:{server.port}"


async def test_rebinding_finds_no_second_question() -> None:
    """The name is asked once for a connection; the checked address is the one connected to."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with (
        serving() as server,
        serving(host="127.0.0.2") as other,
        guarded_client(LOOPBACK, timeout=10, resolve=names) as http,
    ):
        await http.get(f"http://rebind.example.com:{server.port}/")
        assert names.asked == ["rebind.example.com"]
        assert len(server.seen) == 1
        await http.get(f"http://rebind.example.com:{server.port}/")
        assert server.connections == 1
        assert names.asked == ["rebind.example.com"]
        with pytest.raises(EgressRefused):
            await http.get(f"http://rebind.example.com:{other.port}/")
        assert other.connections == 0


async def test_two_faced_names_are_refused() -> None:
    names = Names(["127.0.0.1", "127.0.0.2"])
    async with serving() as server, guarded_client(LOOPBACK, timeout=10, resolve=names) as http:
        with pytest.raises(EgressRefused):
            await http.get(f"http://two.example.com:{server.port}/")
        assert server.connections == 0


async def test_the_next_address_is_tried_when_one_is_down() -> None:
    names = Names(["127.0.0.3", "127.0.0.1"])
    allowed = AllowedHosts.parse(["127.0.0.0/8"])
    async with (
        serving(answer(200, 1)) as server,
        guarded_client(allowed, timeout=10, resolve=names) as http,
    ):
        assert (await http.get(f"http://two.example.com:{server.port}/")).json() == 1


async def test_redirects_are_not_followed() -> None:
    async with serving() as inner:
        go = answer(307, b"", location=f"{inner.url}/latest/meta-data")
        async with serving(go) as server, guarded_client(LOOPBACK, timeout=10) as http:
            assert (await http.post(server.url)).status_code == 307
            assert inner.connections == 0


async def test_cookies_of_one_answer_are_not_sent_with_the_next() -> None:
    async with (
        serving(answer(200, 1, set_cookie="session=of-another-user; Path=/")) as server,
        guarded_client(LOOPBACK, timeout=10) as http,
    ):
        await http.get(server.url)
        await http.get(server.url, headers={"cookie": "mine=1"})
        assert "cookie" not in server.seen[0].headers
        assert server.seen[1].headers["cookie"] == "mine=1"


async def test_proxy_variables_are_not_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(answer(200, "proxy")) as proxy, serving(answer(200, "direct")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with guarded_client(LOOPBACK, timeout=10) as http:
            assert (await http.get(server.url)).json() == "direct"
        assert proxy.connections == 0


async def test_a_body_is_read_within_its_bound() -> None:
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"5\r\nabcde\r\n" * 100
    async with (
        serving(endless, answer(200, b"12345")) as server,
        guarded_client(LOOPBACK, timeout=10) as http,
    ):
        async with http.stream("GET", server.url) as response:
            with pytest.raises(ResponseTooLarge):
                await read_bounded(response, 100)
        async with http.stream("GET", server.url) as response:
            assert await read_bounded(response, 5) == b"12345"
        async with http.stream("GET", server.url) as response:
            with pytest.raises(ResponseTooLarge):
                await read_bounded(response, 4)


async def test_a_compressed_bomb_is_not_unfolded() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    async with (
        serving(answer(200, bomb, content_encoding="gzip")) as server,
        guarded_client(LOOPBACK, timeout=10) as http,
    ):
        async with http.stream("GET", server.url) as response:
            with pytest.raises(ResponseCompressed):
                await read_bounded(response, 1_000_000)
        assert server.seen[0].headers["accept-encoding"] == "identity"


async def test_failures_are_httpx_errors_without_the_url() -> None:
    nobody = await closed_port()
    async with (
        serving(hang) as silent,
        serving(b"") as closing,
        serving(b"nonsense\r\n\r\n") as nonsense,
        guarded_client(LOOPBACK, timeout=1) as http,
    ):
        for port, expected in [
            (nobody, httpx.ConnectError),
            (silent.port, httpx.ReadTimeout),
            (closing.port, httpx.RemoteProtocolError),
            (nonsense.port, httpx.RemoteProtocolError),
        ]:
            with pytest.raises(expected) as caught:
                await http.get(f"http://127.0.0.1:{port}/?key=canary-77")
            assert "canary-77" not in str(caught.value)


async def test_a_name_that_nobody_knows_or_answers_is_a_connection_failure() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    async def silent(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with guarded_client(LOOPBACK, timeout=0.1, resolve=unknown) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("http://unknown.example.com/")
    async with guarded_client(LOOPBACK, timeout=0.1, resolve=silent) as http:
        with pytest.raises(httpx.ConnectTimeout):
            await http.get("http://silent.example.com/")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(path / "key"), "-out", str(path / "cert")),
            *("-subj", "/CN=tools.example.com", "-addext", "subjectAltName=DNS:tools.example.com"),
        ],
        check=True,
        capture_output=True,
    )
    return path


async def test_tls_is_checked_against_the_name_although_the_address_is_pinned(
    certificate: Path,
) -> None:
    serve = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serve.load_cert_chain(certificate / "cert", certificate / "key")
    heard: list[str | None] = []
    serve.sni_callback = lambda _socket, name, _context: heard.append(name)
    trust = ssl.create_default_context(cafile=certificate / "cert")
    names = Names(["127.0.0.1"])
    async with (
        serving(answer(200, "safe"), tls=serve) as server,
        guarded_client(LOOPBACK, timeout=10, resolve=names, verify=trust) as http,
    ):
        response = await http.get(f"https://tools.example.com:{server.port}/")
        assert response.json() == "safe"
        assert heard == ["tools.example.com"]
        with pytest.raises(httpx.ConnectError):
            await http.get(f"https://other.example.com:{server.port}/")
    async with (
        serving(tls=serve) as server,
        guarded_client(LOOPBACK, timeout=10, resolve=names) as http,
    ):
        with pytest.raises(httpx.ConnectError):
            await http.get(f"https://tools.example.com:{server.port}/")
