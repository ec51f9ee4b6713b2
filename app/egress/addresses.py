"""Which addresses outgoing HTTP may reach (OWASP SSRF prevention), pure.

Public unicast addresses always; everything else only if the operator allowed it. Sources: the IANA
special-purpose registries (RFC 6890) as `ipaddress` knows them, and the metadata addresses of
clouds that lie outside of those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Final

from app.protocol.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# A public address that answers only from inside Azure, with a machine's credentials.
METADATA: Final = frozenset({ip_address("168.63.129.16")})
# Special-purpose blocks that not every supported Python's `ipaddress` knows as such.
SPECIAL: Final = tuple(
    ip_network(block)
    for block in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20", "5f00::/16")
)
# RFC 6052 and RFC 8215: the IPv4 address sits in the last 32 bits of the first, and anywhere in
# the second, which is therefore never public.
NAT64: Final = ip_network("64:ff9b::/96")
NAT64_LOCAL: Final = ip_network("64:ff9b:1::/48")
HOST: Final = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")


class EgressRefused(RelayError):  # noqa: N818 - what happened, as in the error tree
    """A request would have gone to an address that is not allowed. The message names no address."""


def is_public(address: Address) -> bool:
    """Tell whether an address is a public unicast one, seen through every IPv6 wrapping of IPv4."""
    if isinstance(address, IPv6Address):
        if address in NAT64_LOCAL or address.teredo is not None or address.is_site_local:
            return False
        inner = _embedded(address)
        if inner is not None:
            return is_public(inner)
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and address not in METADATA
        and not any(address in block for block in SPECIAL)
    )


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_reachable_privately(address: Address) -> bool:
    """Tell whether an address is an ordinary machine's: no metadata, link-local or multicast."""
    inner = _embedded(address) if isinstance(address, IPv6Address) else None
    address = inner or address
    return not (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in METADATA
        or (address.is_reserved and not address.is_loopback)
    )


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """What may be reached beside public addresses.

    `hosts` may resolve to anything; `*.example.internal` stands for all names below it. Addresses
    in `networks` are reachable under every name. `private_hosts` were named by the operator as an
    endpoint itself: they may be private or loopback, but never link-local, multicast or metadata.
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    private_hosts: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, items: Iterable[str]) -> AllowedHosts:
        """Read host names, addresses and CIDRs.

        Raises ValueError, whose message may be shown, for an item that is none of them.
        """
        hosts: set[str] = set()
        networks: list[Network] = []
        for item in (raw.strip().lower() for raw in items):
            if not item:
                continue
            try:
                networks.append(ip_network(item.strip("[]"), strict=False))
            except ValueError:
                if "/" in item or ":" in item or not HOST.fullmatch(item):
                    message = f"{item[:64]!r} is no host name, address or CIDR"
                    raise ValueError(message) from None
                hosts.add(item.rstrip("."))
        return cls(frozenset(hosts), tuple(networks))

    def allowing(self, host: str) -> AllowedHosts:
        """Return these with `host` as an endpoint that the operator named, private or not."""
        return AllowedHosts(self.hosts, self.networks, self.private_hosts | {_normal(host)})

    def names(self, host: str) -> bool:
        """Tell whether the operator named this host, as an endpoint or as one that is allowed."""
        name = _normal(host)
        return name in self.private_hosts or any(item in self.hosts for item in _candidates(name))

    def check(self, host: str, addresses: Iterable[str]) -> tuple[str, ...]:
        """Return the addresses that `host` resolved to if every one of them is allowed.

        Raises EgressRefused if one is not, so that a name with two faces is refused as a whole.
        """
        name = _normal(host)
        checked = tuple(dict.fromkeys(addresses))
        if not checked:
            raise EgressRefused("the host has no address")
        for text in checked:
            if not self._allows(name, ip_address(text)):
                raise EgressRefused("the host leads to an address that is not allowed")
        return checked

    def _allows(self, name: str, address: Address) -> bool:
        if is_public(address) or any(candidate in self.hosts for candidate in _candidates(name)):
            return True
        if name in self.private_hosts and _is_reachable_privately(address):
            return True
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((mapped or address) in network for network in self.networks)


def _normal(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _candidates(name: str) -> Iterator[str]:
    yield name
    labels = name.split(".")
    for start in range(1, len(labels)):
        yield "*." + ".".join(labels[start:])
