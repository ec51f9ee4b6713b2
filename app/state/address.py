"""What kinds of `RELAY_STATE_URL` there are, and what each says; nothing is dialled here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

SENTINEL_PORT: Final = 26379
OWN: Final = ("sentinel_username", "sentinel_password")
"""Parameters that are for the Sentinels themselves."""


class Kind(Enum):
    """How the store is reached."""

    MEMORY = "memory"
    SINGLE = "one Redis, or a name that leads to it"
    SENTINEL = "the primary that Sentinels name"


SCHEMES: Final = {
    "memory": Kind.MEMORY,
    "redis": Kind.SINGLE,
    "rediss": Kind.SINGLE,
    "unix": Kind.SINGLE,
    "redis+sentinel": Kind.SENTINEL,
    "rediss+sentinel": Kind.SENTINEL,
}
EXPECTED: Final = "must begin with " + ", ".join(f"{name}://" for name in SCHEMES)


@dataclass(frozen=True, slots=True, repr=False)
class StateAddress:
    """Where the store is. `url` is what redis-py understands; with Sentinels, all but the host."""

    kind: Kind
    url: str
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    sentinel_login: tuple[str | None, str | None] = (None, None)


def parse(url: str) -> StateAddress:
    """Read a URL. Raises `ValueError`, which says what is wrong and nothing of the URL."""
    scheme = url.partition("://")[0] if "://" in url else ""
    kind = SCHEMES.get(scheme)
    if kind is None:
        raise ValueError(EXPECTED)
    return StateAddress(kind, url) if kind is not Kind.SENTINEL else _sentinels(url)


def _sentinels(url: str) -> StateAddress:
    """`redis+sentinel://[user:password@]host[:port][,…]/service[/db][?parameters]`."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.lstrip("/").partition("/")
    if not service:
        raise ValueError("must name the service behind the Sentinels: …/service, or …/service/db")
    if database and not database.isdecimal():
        raise ValueError("must name a database by its number: …/service/0")
    query = parse_qsl(parts.query)
    own = {name: value for name, value in query if name in OWN}
    rest = urlencode([(name, value) for name, value in query if name not in OWN])
    scheme = parts.scheme.removesuffix("+sentinel")
    return StateAddress(
        Kind.SENTINEL,
        f"{scheme}://{login and login + '@'}sentinel/{database or 0}{rest and '?' + rest}",
        tuple(_host(host) for host in hosts.split(",")),
        unquote(service),
        (own.get(OWN[0]), own.get(OWN[1])),
    )


def _host(written: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{written}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise ValueError("must name its Sentinels as host:port, separated by commas")
    return host, port or SENTINEL_PORT
