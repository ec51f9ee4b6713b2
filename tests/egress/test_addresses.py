from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.egress import AllowedHosts, EgressRefused
from app.egress.addresses import is_public

PRIVATE = [
    "127.0.0.1",
    "127.255.0.9",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",  # carrier-grade NAT; 100.100.100.200 is a cloud's metadata
    "100.100.100.200",
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "3fff::1",
    "5f00::1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "2002:a9fe:a9fe::",  # 6to4 of 169.254.169.254
    "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(EgressRefused) as caught:
        AllowedHosts().check("tools.example.com", [address])
    assert address not in str(caught.value)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_allowed(address: str) -> None:
    assert AllowedHosts().check("tools.example.com", [address]) == (address,)


def test_one_private_address_among_public_ones_refuses_the_host() -> None:
    with pytest.raises(EgressRefused):
        AllowedHosts().check("two-faced.example.com", ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(EgressRefused):
        AllowedHosts().check("nowhere.example.com", [])


def test_allowed_hosts_and_networks_open_what_they_name_alone() -> None:
    allowed = AllowedHosts.parse(
        ["Tools.Internal", "*.svc.local.", "10.1.0.0/16", "::1", "[fd00::1]", " ", "192.168.0.5"]
    )
    assert allowed.check("tools.internal.", ["192.168.9.9"])
    assert allowed.check("a.b.svc.local", ["192.168.9.9"])
    assert allowed.check("any.example.com", ["10.1.2.3", "::1", "::ffff:10.1.2.3", "fd00::1"])
    assert allowed.check("any.example.com", ["192.168.0.5"])
    for host, address in [
        ("svc.local", "192.168.9.9"),
        ("evil-tools.internal", "192.168.9.9"),
        ("tools.internal.evil.com", "192.168.9.9"),
        ("any.example.com", "10.2.0.1"),
        ("any.example.com", "192.168.0.6"),
    ]:
        with pytest.raises(EgressRefused):
            allowed.check(host, [address])


def test_an_endpoint_named_by_the_operator_may_be_private_but_never_metadata() -> None:
    allowed = AllowedHosts().allowing("[::1]").allowing("Keys.Internal")
    assert allowed.check("keys.internal", ["10.0.0.1", "127.0.0.1", "fd00::5", "::1"])
    assert allowed.check("::1", ["::1"])
    for address in [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "168.63.129.16",
        "fe80::1",
        "224.0.0.1",
        "0.0.0.0",
        "240.0.0.1",
    ]:
        with pytest.raises(EgressRefused):
            allowed.check("keys.internal", [address])
    with pytest.raises(EgressRefused):
        allowed.check("others.internal", ["10.0.0.1"])


@pytest.mark.parametrize("item", ["10.0.0.0/33", "http://host", "host:80", "a b", "-x", "*"])
def test_what_is_no_host_is_refused_at_start(item: str) -> None:
    with pytest.raises(ValueError, match="is no host name, address or CIDR"):
        AllowedHosts.parse([item])


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_no_wrapping_makes_a_private_address_public(address: IPv4Address) -> None:
    number = int(address)
    for wrapped in (
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(int(ip_address("64:ff9b::")) | number),
        IPv6Address(0x2002 << 112 | number << 80),
    ):
        assert is_public(wrapped) == is_public(address)


@settings(deadline=None)
@given(st.ip_addresses())
def test_nothing_private_is_ever_public(address: IPv4Address | IPv6Address) -> None:
    bad = address.is_private or address.is_loopback or address.is_link_local
    # Python calls IPv4 in IPv6 private as a whole: mapped, and by its version 6to4 (RFC 3056). Here
    # it is judged by its inside.
    wrapped = isinstance(address, IPv6Address) and (address.ipv4_mapped or address.sixtofour)
    if bad and not wrapped:
        assert not is_public(address)
