"""Which proxy stands between this machine and a host, as the environment says, pure.

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not, as curl, Go and Python
read them: the lower-case one counts first. A proxy is asked for a tunnel by CONNECT.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Network, IPv6Network

    Network = IPv4Network | IPv6Network

PORT: Final = 80
SETTING: Final = "RELAY_PROXY"
NO_PROXY_USED: Final = "none"
USABLE: Final = (
    "must be http://[user:password@]host:port, a proxy that understands CONNECT; "
    "RELAY_PROXY=none dials without"
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. `variable` named it; `authorization` is a header's value (RFC 7617)."""

    host: str
    port: int
    variable: str
    authorization: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What `NO_PROXY` holds: hosts that are dialled directly."""

    all: bool = False
    names: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Exceptions:
        """Read a list of names, addresses, CIDRs and `*`; a name stands for all below it, too.

        What is none of these matches nothing, as with everybody else who reads it.
        """
        names: set[tuple[str, int | None]] = set()
        networks: list[Network] = []
        for item in filter(None, re.split(r"[\s,]+", text.lower())):
            if item == "*":
                return cls(all=True)
            try:
                networks.append(ip_network(item.strip("[]"), strict=False))
                continue
            except ValueError:
                host, colon, port = item.rpartition(":")
            if not colon or not port.isdigit():
                host, port = item, ""
            host = host.strip("[]").removeprefix("*").strip(".")
            if host:
                names.add((host, int(port) if port else None))
        return cls(names=frozenset(names), networks=tuple(networks))

    def match(self, host: str, port: int) -> bool:
        """Tell whether a host, without brackets and in lower case, is among them."""
        if self.all:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            pass
        else:
            if any(address in network for network in self.networks):
                return True
        return any(
            (host == name or host.endswith(f".{name}")) and only in (None, port)
            for name, only in self.names
        )


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of one process: for TLS, for what is not encrypted, and for whom none.

    `unused` is a variable that names one although the operator wants none.
    """

    secure: Proxy | None = None
    plain: Proxy | None = None
    exceptions: Exceptions = field(default_factory=Exceptions)
    unused: str | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str], setting: str | None = None) -> Proxies:
        """Read the environment, unless the setting names a proxy itself, or `none`.

        Raises ValueError, whose message names the variable and never its value.
        """
        named = {
            kind: found
            for kind in ("https", "http", "all")
            if (found := _variable(environ, f"{kind}_proxy"))
        }
        if setting == NO_PROXY_USED:
            return cls(unused=next((name for name, _ in named.values()), None))
        exceptions = Exceptions.parse((_variable(environ, "no_proxy") or ("", ""))[1])
        if setting:
            proxy = _parse(SETTING, setting)
            return cls(proxy, proxy, exceptions)
        secure = named.get("https") or named.get("all")
        plain = named.get("http") or named.get("all")
        return cls(
            _parse(*secure) if secure else None, _parse(*plain) if plain else None, exceptions
        )

    def to(self, host: str, port: int, *, secure: bool) -> Proxy | None:
        """Return the proxy towards a host; None where it is dialled directly."""
        proxy = self.secure if secure else self.plain
        if proxy is None or self.exceptions.match(host.strip("[]").rstrip(".").lower(), port):
            return None
        return proxy

    def to_websocket(self, host: str, port: int, *, secure: bool) -> Proxy | None:
        """Return the proxy for a WebSocket: RFC 6455 §4.1 prefers the one for TLS."""
        found = self.to(host, port, secure=True)
        return found if secure or found is not None else self.to(host, port, secure=False)

    def why_direct(self, host: str, port: int, *, secure: bool) -> str | None:
        """Say why a proxy that the environment names is not used for a WebSocket; else None."""
        if self.unused is not None:
            return f"{self.unused} is set, and not used because of {SETTING}={NO_PROXY_USED}"
        proxy = self.secure or self.plain
        if proxy is None or self.to_websocket(host, port, secure=secure) is not None:
            return None
        if self.exceptions.match(host, port):
            return f"{proxy.variable} is set, and NO_PROXY excepts this host"
        return f"{proxy.variable} is set, which is not used for TLS: set HTTPS_PROXY"


DIRECT: Final = Proxies()


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """Return a variable's name and value, the lower-case one first; an empty one is none."""
    for spelled in (name, name.upper()):
        if value := environ.get(spelled, "").strip():
            return spelled, value
    return None


def _parse(variable: str, value: str) -> Proxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{variable} {USABLE}") from None
    if parts.scheme != "http" or not host or not re.fullmatch(r"[!-~]+", host):
        raise ValueError(f"{variable} {USABLE}")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = SecretStr("Basic " + b64encode(pair.encode()).decode())
    return Proxy(host, port or PORT, variable, authorization)
