"""Who really asks, when proxies stand between: believed only as far as they are trusted, pure."""

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
from socket import AF_INET, inet_pton
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WITH_PORT: Final = re.compile(r"\[(?P<six>[^\]]+)\](?::\d+)?|(?P<four>[0-9.]+):\d+")
HOST: Final = re.compile(r"[a-z0-9_.:\[\]-]{1,255}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Peer:
    """The client's address, and what it asked for; a host of "" stands for the Host header's."""

    address: str
    scheme: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Networks whose `X-Forwarded-*` headers are believed; none by default."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, items: Iterable[str]) -> TrustedProxies:
        """Read CIDRs; raises ValueError, whose message may be shown, for anything else."""
        networks = []
        for item in filter(None, (raw.strip() for raw in items)):
            try:
                networks.append(ip_network(item, strict=False))
            except ValueError:
                raise ValueError(f"{item[:64]!r} is no address or CIDR") from None
        return cls(tuple(networks))

    def peer(self, address: str, scheme: str, headers: Mapping[str, str]) -> Peer:
        """Look behind trusted proxies.

        `address` is the socket's, `scheme` the server's; `headers` have lower-case names. The
        client is the rightmost address that is no trusted proxy's: what stands left of it is its
        own word. Of a repeated scheme or host the last counts, which the nearest proxy wrote.
        """
        address = _address(address) or address
        if not self._trusts(address):
            return Peer(address, scheme)
        forwarded = _last(headers.get("x-forwarded-proto", "")).lower()
        host = _last(headers.get("x-forwarded-host", ""))
        for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
            before = _address(hop.strip())
            if before is None:
                break
            address = before
            if not self._trusts(address):
                break
        return Peer(
            address,
            {"https": "https", "wss": "https", "http": "http", "ws": "http"}.get(forwarded, scheme),
            host if HOST.fullmatch(host) else "",
        )

    def _trusts(self, address: str) -> bool:
        if not self.networks:
            return False
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.networks)


def rate_limit_key(address: str) -> str:
    """Return what caps should count: an IPv6 caller owns a whole /64 and can change within it."""
    if _is_ipv4(address):
        return address
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


def _last(value: str) -> str:
    return value.rsplit(",", 1)[-1].strip()


def _address(text: str) -> str | None:
    """Return an address in one form, without port, zone or IPv4 wrapping; None if it is none."""
    if _is_ipv4(text):
        return text
    if found := WITH_PORT.fullmatch(text):
        text = found["six"] or found["four"]
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(parsed)


def _is_ipv4(text: str) -> bool:
    """Tell whether a text is an IPv4 address in the one form that it has; at a tenth of the time.

    What most callers have, `ipaddress` takes apart in Python.
    """
    try:
        inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return False
    return True
