"""Every leg goes out by the proxy that the environment names, and the guard stays what it is."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.auth.forward import Forward
from app.auth.jwks import Jwks
from app.bootstrap.outbound import outbound
from app.egress import AllowedHosts, EgressRefused, guarded_client
from app.network import Proxies
from app.protocol.errors import ConfigurationError, Refusal
from app.settings import load
from app.websocket.client import DialFailure, dial
from tests.auth.asking import asking
from tests.egress.server import answer, closed_port, serving
from tests.network.hosts import Names, proxying
from tests.websocket.vendors import KEY, LIMITS, accepting, answering, failure, url

if TYPE_CHECKING:
    from pathlib import Path

    from tests.network.hosts import Proxy

GOOD = {"RELAY_BLACKBOX_API_KEY": "key"}
PUBLIC = "93.184.215.14"
"""An address that the guard allows; nobody connects to it, the proxy is asked for it."""


def by(proxy: Proxy, **more: str) -> Proxies:
    return Proxies.read({"ALL_PROXY": proxy.url, **more})


# The vendor's socket


async def test_the_vendors_socket_goes_through_a_tunnel_by_the_vendors_name() -> None:
    names = Names()
    async with (
        answering(accepting()) as (port, asked),
        proxying(vendor_example=("127.0.0.1", port)) as proxy,
    ):
        socket = await dial(
            url(443, host="vendor.example"),
            limits=LIMITS,
            timeout=10,
            proxies=by(proxy),
            resolve=names,
        )
        socket.close(1000)
    assert proxy.asked == ["CONNECT vendor.example:443 HTTP/1.1"]
    assert names.asked == []
    assert len(asked) == 1
    # The key is the vendor's: a proxy on the way is told nothing of it.
    assert KEY not in str(proxy.heads)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("tls") / "vendor.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=vendor.example"),
            *("-addext", "subjectAltName=DNS:vendor.example"),
            *("-keyout", str(made), "-out", str(made)),
        ],
        check=True,
        capture_output=True,
    )
    return made


async def test_tls_within_a_tunnel_is_the_vendors(certificate: Path) -> None:
    serving_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving_tls.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with answering(accepting(), serving_tls) as (port, asked):
        where = ("127.0.0.1", port)
        async with proxying(vendor_example=where, other_example=where) as proxy:
            socket = await dial(
                url(443, "wss", "vendor.example"),
                limits=LIMITS,
                timeout=10,
                ssl=trusting,
                proxies=by(proxy),
            )
            socket.close(1000)
            error = await failure(url(443, "wss", "other.example"), ssl=trusting, proxies=by(proxy))
    assert error.kind is DialFailure.TLS
    assert len(asked) == 1
    assert KEY not in str(proxy.heads)


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_tunnel_that_is_refused_is_named_as_such(status: int) -> None:
    said = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
    async with proxying(said) as proxy:
        error = await failure(url(443, host="vendor.example"), proxies=by(proxy))
    assert (error.kind, error.status) == (DialFailure.PROXY, status)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\n\r\nearly"])
async def test_a_proxy_that_answers_wrongly_is_named_as_such(said: bytes) -> None:
    async with proxying(said) as proxy:
        error = await failure(url(443, host="vendor.example"), proxies=by(proxy))
    assert error.kind is DialFailure.PROXY


async def test_a_proxy_that_is_not_there_is_named_as_such() -> None:
    proxies = Proxies.read({"HTTPS_PROXY": f"http://127.0.0.1:{await closed_port()}"})
    assert (await failure(url(443, host="v.example"), proxies=proxies)).kind is DialFailure.PROXY


async def test_an_excepted_vendor_is_dialled_directly() -> None:
    async with answering(accepting()) as (port, _), proxying() as proxy:
        proxies = by(proxy, NO_PROXY="127.0.0.0/8")
        socket = await dial(url(port), limits=LIMITS, timeout=10, proxies=proxies)
        socket.close(1000)
    assert proxy.asked == []


# HTTP: webhooks, results, forward auth, key sets, the vendor's REST


async def test_a_host_that_the_operator_named_is_asked_for_by_name() -> None:
    """Allowed by name, or named as an endpoint: the proxy resolves what this machine cannot."""
    for allowed in (
        AllowedHosts.parse(["tools.example"]),
        AllowedHosts.parse(["*.example"]),
        AllowedHosts().allowing("tools.example"),
    ):
        names = Names()
        async with serving(answer(200, "hello")) as server:
            async with proxying(tools_example=("127.0.0.1", server.port)) as proxy:
                proxies = by(proxy)
                names.known["127.0.0.1"] = ["127.0.0.1"]  # the proxy's own address
                async with guarded_client(
                    allowed, timeout=10, resolve=names, proxies=proxies
                ) as http:
                    assert (await http.get("http://tools.example/a?b=c")).json() == "hello"
            assert server.seen[0].target == "/a?b=c"
        assert proxy.asked == ["GET http://tools.example/a?b=c HTTP/1.1"]
        assert "tools.example" not in names.asked


async def test_tls_is_tunnelled_and_checked_against_the_name(certificate: Path) -> None:
    serving_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving_tls.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    allowed = AllowedHosts().allowing("vendor.example")
    async with (
        serving(answer(200, "hello"), tls=serving_tls) as server,
        proxying(vendor_example=("127.0.0.1", server.port)) as proxy,
        guarded_client(allowed, timeout=10, verify=trusting, proxies=by(proxy)) as http,
    ):
        for _ in range(2):
            assert (await http.get("https://vendor.example/keys")).json() == "hello"
    assert proxy.asked == ["CONNECT vendor.example:443 HTTP/1.1"]  # and the tunnel was kept


async def test_any_other_host_is_resolved_and_checked_here_and_the_tunnel_is_to_the_address() -> (
    None
):
    names = Names(tools_example=[PUBLIC], localhost=["127.0.0.1"])
    names.known["127.0.0.1"] = ["127.0.0.1"]
    async with serving(answer(200, "hello")) as server:
        hosts: dict[str, Any] = {PUBLIC.replace(".", "_"): ("127.0.0.1", server.port)}
        async with (
            proxying(**hosts) as proxy,
            guarded_client(AllowedHosts(), timeout=10, resolve=names, proxies=by(proxy)) as http,
        ):
            assert (await http.get("http://tools.example/")).json() == "hello"
        assert server.seen[0].headers["host"] == "tools.example"
    assert proxy.asked == [f"CONNECT {PUBLIC}:80 HTTP/1.1"]


@pytest.mark.parametrize(
    "target",
    ["http://inside.example/", "https://inside.example/", "http://10.0.0.1/", "http://[::1]/"],
)
async def test_a_proxy_opens_no_way_to_an_address_that_is_not_allowed(target: str) -> None:
    names = Names(inside_example=["169.254.169.254"])
    names.known |= {host: [host] for host in ("127.0.0.1", "10.0.0.1", "::1")}
    async with (
        proxying() as proxy,
        guarded_client(AllowedHosts(), timeout=10, resolve=names, proxies=by(proxy)) as http,
    ):
        with pytest.raises(EgressRefused):
            await http.get(target)
    assert proxy.asked == []


async def test_metadata_stays_out_of_reach_of_a_host_that_is_trusted() -> None:
    allowed = AllowedHosts().allowing("169.254.169.254")
    names = Names()
    names.known["169.254.169.254"] = ["169.254.169.254"]
    async with (
        proxying() as proxy,
        guarded_client(allowed, timeout=10, resolve=names, proxies=by(proxy)) as http,
    ):
        with pytest.raises(EgressRefused):
            await http.get("http://169.254.169.254/latest/meta-data")
    assert proxy.asked == []


async def test_a_name_that_only_the_proxy_knows_must_be_named_by_the_operator() -> None:
    async with (
        proxying() as proxy,
        guarded_client(AllowedHosts(), timeout=10, resolve=Names(), proxies=by(proxy)) as http,
    ):
        with pytest.raises(httpx.ConnectError):
            await http.get("https://tools.example/")
    assert proxy.asked == []


async def test_a_proxy_gets_its_password_and_the_host_does_not() -> None:
    allowed = AllowedHosts.parse(["tools.example"])
    async with serving(answer(200, 1)) as server:
        async with proxying(tools_example=("127.0.0.1", server.port)) as proxy:
            proxies = Proxies.read({}, proxy.url.replace("//", "//user:pass@"))
            async with guarded_client(allowed, timeout=10, proxies=proxies) as http:
                await http.get("http://tools.example/")
        assert proxy.authorized == ["Basic dXNlcjpwYXNz"]
        assert "proxy-authorization" not in server.seen[0].headers


async def test_a_proxy_that_refuses_is_an_error_of_the_proxy() -> None:
    allowed = AllowedHosts.parse(["tools.example"])
    async with (
        proxying(b"HTTP/1.1 407 No\r\n\r\n") as proxy,
        guarded_client(allowed, timeout=10, proxies=by(proxy)) as http,
    ):
        with pytest.raises(httpx.ProxyError):
            await http.get("https://tools.example/")
    unknown = Proxies.read({"ALL_PROXY": "proxy.invalid:1"})
    for names in (Names(), Names(proxy_invalid=[])):
        async with guarded_client(allowed, timeout=10, resolve=names, proxies=unknown) as http:
            with pytest.raises(httpx.ProxyError):
                await http.get("https://tools.example/")
    gone = Proxies.read({"ALL_PROXY": f"127.0.0.1:{await closed_port()}"})
    async with guarded_client(allowed, timeout=10, proxies=gone) as http:
        for scheme in ("http", "https"):
            with pytest.raises(httpx.ProxyError):
                await http.get(f"{scheme}://tools.example/")


async def test_keys_and_forward_auth_go_through_it() -> None:
    allowed = AllowedHosts.parse(["sso.example"])
    async with (
        serving(answer(200, {"sub": "alice", "keys": []}, connection="close")) as server,
        proxying(sso_example=("127.0.0.1", server.port)) as proxy,
        guarded_client(allowed, timeout=10, proxies=by(proxy)) as http,
    ):
        method = Forward("http://sso.example/auth", http)
        assert (await method.authenticate(asking(), None)).subject == "alice"
        keys = Jwks("http://sso.example/keys", http, frozenset({"RS256"}))
        with pytest.raises(Refusal):  # a set without a key
            await keys.verified("RS256", None, lambda _: {})
    assert [line.split()[1] for line in proxy.asked] == [
        "http://sso.example/auth",
        "http://sso.example/keys",
    ]
    assert [seen.target for seen in server.seen] == ["/auth", "/keys"]


# What the process reads


def test_a_proxy_that_cannot_be_used_is_a_fault_of_the_configuration() -> None:
    for environ in ({"ALL_PROXY": "socks5h://127.0.0.1:1080"}, {"https_proxy": "https://p:443"}):
        with pytest.raises(ConfigurationError) as fault:
            outbound(load(GOOD), environ)
        assert fault.value.faults[0].startswith(next(iter(environ)))
    direct = load({**GOOD, "RELAY_PROXY": "none"})
    assert outbound(direct, {"ALL_PROXY": "socks5h://127.0.0.1:1080"}).proxies.secure is None
    with pytest.raises(ConfigurationError) as fault:
        outbound(load({**GOOD, "RELAY_PROXY": "ftp://canary:1"}), {})
    assert fault.value.faults[0].startswith("RELAY_PROXY must be ")
    assert "canary" not in str(fault.value)


@pytest.mark.parametrize("content", [None, b"", b"canary", b"-----BEGIN CERTIFICATE-----\nAA"])
def test_authorities_that_cannot_be_read_are_a_fault_of_the_configuration(
    content: bytes | None, tmp_path: Path
) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as fault:
        outbound(load(GOOD), {"SSL_CERT_FILE": str(file)})
    assert fault.value.faults[0].startswith("SSL_CERT_FILE")
    assert "canary" not in str(fault.value)


def test_authorities_that_can_be_read_are_trusted(certificate: Path) -> None:
    out = outbound(load(GOOD), {"SSL_CERT_FILE": str(certificate)})
    assert any("vendor.example" in str(known) for known in out.tls.get_ca_certs())
