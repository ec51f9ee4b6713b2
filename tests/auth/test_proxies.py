from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.auth.proxies import Peer, TrustedProxies, rate_limit_key

BALANCER = TrustedProxies.parse(["10.0.0.0/8", "fd00::/8", ""])


def test_nobody_is_believed_by_default() -> None:
    headers = {
        "x-forwarded-for": "1.2.3.4",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "evil.example",
    }
    assert TrustedProxies().peer("10.0.0.1", "http", headers) == Peer("10.0.0.1", "http")
    assert BALANCER.peer("203.0.113.9", "http", headers) == Peer("203.0.113.9", "http")


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("6.6.6.6, 198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, 10.1.1.1, 10.2.2.2", "198.51.100.7"),
        ("10.9.9.9, 10.1.1.1", "10.9.9.9"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, unknown", "10.0.0.1"),
        ("198.51.100.7, unknown, 10.1.1.1", "10.1.1.1"),
        ("198.51.100.7, ", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_the_rightmost_untrusted_address_is_the_client(forwarded: str, address: str) -> None:
    peer = BALANCER.peer("10.0.0.1", "http", {"x-forwarded-for": forwarded})
    assert peer.address == address


def test_a_wrapped_peer_is_known_as_its_ipv4() -> None:
    peer = BALANCER.peer("::ffff:10.0.0.1", "http", {"x-forwarded-for": "198.51.100.7"})
    assert peer.address == "198.51.100.7"
    assert BALANCER.peer("", "http", {"x-forwarded-for": "1.2.3.4"}) == Peer("", "http")


def test_scheme_and_host_are_the_nearest_proxys_words() -> None:
    headers = {
        "x-forwarded-proto": "http, HTTPS",
        "x-forwarded-host": "evil, relay.example.com:8443",
    }
    assert BALANCER.peer("10.0.0.1", "http", headers) == Peer(
        "10.0.0.1", "https", "relay.example.com:8443"
    )
    odd = {"x-forwarded-proto": "gopher", "x-forwarded-host": "a\r\nb"}
    assert BALANCER.peer("10.0.0.1", "http", odd) == Peer("10.0.0.1", "http")


def test_what_is_no_network_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="'all' is no address or CIDR"):
        TrustedProxies.parse(["all"])


def test_an_ipv6_caller_counts_by_its_network() -> None:
    assert rate_limit_key("2001:db8::1") == rate_limit_key("2001:db8::ffff:1") == "2001:db8::/64"
    assert rate_limit_key("2001:db8:0:1::1") != rate_limit_key("2001:db8::1")
    assert rate_limit_key("192.0.2.1") == "192.0.2.1"
    assert rate_limit_key("") == ""


@settings(deadline=None)
@given(st.text(), st.lists(st.ip_addresses(v=4).map(str), max_size=3))
def test_whatever_a_client_claims_the_proxys_word_stands(claim: str, trusted: list[str]) -> None:
    hops = [address for address in trusted if address.startswith("10.")]
    forwarded = ",".join([claim, "198.51.100.7", *hops])
    assert (
        BALANCER.peer("10.0.0.1", "http", {"x-forwarded-for": forwarded}).address == "198.51.100.7"
    )


@pytest.mark.parametrize(
    "text",
    [
        *("203.0.113.9", "0.0.0.0", "255.255.255.255"),
        *("1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.00", "1.2.3.256", "0x1.2.3.4", "1.2.3.4 x"),
        *("1.2.3.4\n", " 1.2.3.4", "1.2.3.4\0", "\u0661.2.3.4", "é", "", "::1", "::ffff:1.2.3.4"),
    ],
)
def test_what_is_no_ipv4_address_is_not_taken_for_one(text: str) -> None:
    try:
        expected = str(IPv4Address(text))
    except ValueError:
        expected = None
    found = TrustedProxies().peer(text, "http", {}).address
    assert expected in (None, found)
    assert rate_limit_key(text) == (expected or rate_limit_key(text))


def test_a_network_may_be_named_by_any_address_in_it() -> None:
    assert TrustedProxies.parse(["10.1.2.3/8"]) == TrustedProxies.parse(["10.0.0.0/8"])
