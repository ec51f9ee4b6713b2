"""Which proxy the environment names for a host, as curl, Go and Python read it."""

from __future__ import annotations

import pytest

from app.network import Proxies
from app.network.proxies import Exceptions, Proxy
from app.network.tunnel import TunnelRefused, connect_request, judge

ALL = {"HTTPS_PROXY": "http://s:1", "HTTP_PROXY": "http://p:2", "ALL_PROXY": "http://a:3"}


def port_of(proxies: Proxies, *, secure: bool) -> int | None:
    proxy = proxies.to("vendor.example", 443, secure=secure)
    return proxy.port if proxy else None


@pytest.mark.parametrize(
    ("environ", "secure", "plain"),
    [
        ({}, None, None),
        (ALL, 1, 2),
        ({"ALL_PROXY": "http://a:3"}, 3, 3),
        ({"all_proxy": "a:3", "HTTP_PROXY": "http://p:2"}, 3, 2),
        ({"HTTPS_PROXY": "http://s:1"}, 1, None),
        ({**ALL, "https_proxy": "http://lower:9"}, 9, 2),
        ({**ALL, "https_proxy": ""}, 1, 2),
        ({"HTTP_PROXY": "http://without-a-port"}, None, 80),
        ({**ALL, "NO_PROXY": "vendor.example"}, None, None),
        ({**ALL, "no_proxy": "*"}, None, None),
    ],
)
def test_the_environment_is_read_as_others_read_it(
    environ: dict[str, str], secure: int | None, plain: int | None
) -> None:
    proxies = Proxies.read(environ)
    assert port_of(proxies, secure=True) == secure
    assert port_of(proxies, secure=False) == plain


def test_a_setting_goes_before_the_environment() -> None:
    own = Proxies.read({**ALL, "NO_PROXY": "other.example"}, "http://user:p%40ss@own:7")
    assert (port_of(own, secure=True), port_of(own, secure=False)) == (7, 7)
    assert own.to("other.example", 443, secure=True) is None
    none = Proxies.read(ALL, "none")
    assert port_of(none, secure=True) is None
    assert "https_proxy" in str(none.why_direct("vendor.example", 443, secure=True)).lower()


@pytest.mark.parametrize(
    "value",
    [
        "socks5://canary:1",
        "https://canary:443",
        "http://",
        "http://canary:port",
        "http://[::canary",
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{variable} must be http://") as fault:
        Proxies.read({variable: value})
    assert "canary" not in str(fault.value)
    assert "RELAY_PROXY=none" in str(fault.value)


@pytest.mark.parametrize(
    ("text", "host", "port", "excepted"),
    [
        ("example.com", "example.com", 443, True),
        ("example.com", "api.example.com", 443, True),
        ("example.com", "notexample.com", 443, False),
        (".example.com", "api.example.com", 443, True),
        ("*.example.com", "api.example.com", 443, True),
        ("EXAMPLE.com", "example.com", 443, True),
        ("a, example.com b", "example.com", 443, True),
        ("example.com:8443", "example.com", 8443, True),
        ("example.com:8443", "example.com", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("127.0.0.1", "127.0.0.1", 443, True),
        ("127.0.0.1:80", "127.0.0.1", 443, False),
        ("::1", "::1", 443, True),
        ("[fd00::]/8", "fd00::1", 443, False),
        ("fd00::/8", "fd00::1", 443, True),
        ("localhost", "localhost", 443, True),
        ("", "localhost", 443, False),
        (" , ", "localhost", 443, False),
        (".", "localhost", 443, False),
    ],
)
def test_exceptions_are_names_addresses_and_networks(
    text: str, host: str, port: int, *, excepted: bool
) -> None:
    assert Exceptions.parse(text).match(host, port) is excepted


def test_a_websocket_without_tls_prefers_the_proxy_for_tls() -> None:
    both = Proxies.read({"HTTPS_PROXY": "http://s:1", "HTTP_PROXY": "http://p:2"})
    found = both.to_websocket("vendor.example", 80, secure=False)
    assert found is not None
    assert found.port == 1
    plain = Proxies.read({"HTTP_PROXY": "http://p:2"})
    assert plain.to_websocket("vendor.example", 80, secure=False) is not None
    assert plain.to_websocket("vendor.example", 443, secure=True) is None
    assert "HTTPS_PROXY" in str(plain.why_direct("vendor.example", 443, secure=True))


PROXY = Proxy("proxy.example", 3128, "HTTPS_PROXY")


def test_a_tunnel_is_asked_for_by_host_and_port() -> None:
    named = Proxies.read({"ALL_PROXY": "http://us%3Aer:p%40ss@proxy:1"}).secure
    assert named is not None
    request = connect_request("[::1]", 443, named)
    assert request.startswith(b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n")
    assert b"\r\nProxy-Authorization: Basic dXM6ZXI6cEBzcw==\r\n" in request
    assert request.endswith(b"\r\n\r\n")
    assert "p@ss" not in repr(named)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"HTTP/1.1 407 Authenticate\r\n\r\n", 407),
        (b"HTTP/1.1 302 Go\r\nLocation: /\r\n\r\n", 302),
        (b"HTTP/1.1 101 Switching\r\n\r\n", 101),
        (b"SSH-2.0\r\n\r\n", None),
        (b"HTTP/1.1 twohundred\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\n\r\nearly", 200),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 20_000, 200),
    ],
)
def test_what_is_no_tunnel_is_refused(said: bytes, status: int | None) -> None:
    with pytest.raises(TunnelRefused) as refused:
        judge(said, PROXY)
    assert refused.value.status == status
    assert refused.value.variable == "HTTPS_PROXY"


def test_any_success_is_a_tunnel_once_its_head_is_there() -> None:
    for head in (b"HTTP/1.0 200\r\n\r\n", b"HTTP/1.1 204 Fine\r\nContent-Length: 9\r\n\r\n"):
        assert not any(judge(head[:length], PROXY) for length in range(len(head)))
        assert judge(head, PROXY)
