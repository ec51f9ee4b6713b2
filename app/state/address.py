"""What kinds of `RELAY_STATE_URL` there are, and what each says; nothing is dialled here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

SENTINEL_PORT: Final = 26379
CLUSTER_PORT: Final = 6379
OWN: Final = ("sentinel_username", "sentinel_password")
"""Parameters that are for the Sentinels themselves."""


class Kind(Enum):
    """How the store is reached."""

    MEMORY = "memory"
    SINGLE = "one Redis, or a name that leads to it"
    SENTINEL = "the primary that Sentinels name"
    CLUSTER = "a Redis Cluster, by some of its nodes"


SCHEMES: Final = {
    "memory": Kind.MEMORY,
    "redis": Kind.SINGLE,
    "rediss": Kind.SINGLE,
    "unix": Kind.SINGLE,
    "redis+sentinel": Kind.SENTINEL,
    "rediss+sentinel": Kind.SENTINEL,
    "redis+cluster": Kind.CLUSTER,
    "rediss+cluster": Kind.CLUSTER,
}
EXPECTED: Final = "must begin with " + ", ".join(f"{name}://" for name in SCHEMES)


@dataclass(frozen=True, slots=True, repr=False)
class StateAddress:
    """Where the store is. `url` is what redis-py understands; hosts are apart where there are many.

    `nodes` are those of a Redis Cluster that are asked for all others.
    """

    kind: Kind
    url: str
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    sentinel_login: tuple[str | None, str | None] = (None, None)
    nodes: tuple[tuple[str, int], ...] = ()


def parse(url: str) -> StateAddress:
    """Read a URL. Raises `ValueError`, which says what is wrong and nothing of the URL."""
    scheme = url.partition("://")[0] if "://" in url else ""
    kind = SCHEMES.get(scheme)
    if kind is None:
        raise ValueError(EXPECTED)
    if kind is Kind.SENTINEL:
        return _sentinels(url)
    return _cluster(url) if kind is Kind.CLUSTER else StateAddress(kind, url)


def _cluster(url: str) -> StateAddress:
    """`redis+cluster://[user:password@]host[:port][,…][?parameters]`."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    if parts.path.strip("/") not in {"", "0"}:
        raise ValueError("must name no database: a Redis Cluster has database 0 alone")
    scheme = parts.scheme.removesuffix("+cluster")
    query = parts.query and "?" + parts.query
    return StateAddress(
        Kind.CLUSTER,
        f"{scheme}://{login and login + '@'}cluster{query}",
        nodes=tuple(_host(host, CLUSTER_PORT, "its nodes") for host in hosts.split(",")),
    )


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
        tuple(_host(host, SENTINEL_PORT, "its Sentinels") for host in hosts.split(",")),
        unquote(service),
        (own.get(OWN[0]), own.get(OWN[1])),
    )


def _host(written: str, default: int, what: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{written}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise ValueError(f"must name {what} as host:port, separated by commas")
    return host, port or default
