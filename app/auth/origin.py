"""Whose pages may connect, pure. `CORSMiddleware` does not look at WebSockets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# RFC 6454 §6.2: scheme, host and port, nothing else; no user, path or trailing slash.
ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)(?::(?P<port>\d{1,5}))?"
)
HOST: Final = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^:/@\[\]]+)(?::(?P<port>\d{1,5}))?")
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# Scheme, host, port; a port of None is that of a scheme which has none.
Parts = tuple[str, str, int | None]


@dataclass(frozen=True, slots=True)
class AllowedOrigins:
    """The rule. Without entries, a page may connect to the host that it was loaded from."""

    anyone: bool = False
    exact: frozenset[Parts] = frozenset()
    below: frozenset[Parts] = frozenset()

    @classmethod
    def parse(cls, items: Iterable[str]) -> AllowedOrigins:
        """Read `https://app.example.com`, `https://*.example.com` and `*`.

        Raises ValueError, whose message may be shown, for anything else.
        """
        anyone = False
        exact: set[Parts] = set()
        below: set[Parts] = set()
        for item in filter(None, (raw.strip() for raw in items)):
            if item == "*":
                anyone = True
                continue
            wild = "://*." in item
            parts = _parts(item.replace("://*.", "://", 1).rstrip("/"))
            if parts is None:
                raise ValueError(
                    f"{item[:64]!r} is no origin such as https://app.example.com, "
                    "https://*.example.com or *"
                )
            (below if wild else exact).add(parts)
        return cls(anyone, frozenset(exact), frozenset(below))

    @property
    def same_host(self) -> bool:
        """Whether the rule is the default one."""
        return not (self.anyone or self.exact or self.below)

    def allows(self, origin: str | None, host: str) -> bool:
        """Judge an Origin header; `host` is the Host that was asked for.

        Without one it is no browser, and there is no page to protect. `null`, which sandboxes and
        files send, belongs to no site: only `*` allows it.
        """
        if origin is None or self.anyone:
            return True
        parts = _parts(origin)
        if parts is None:
            return False
        if self.same_host:
            return _is_host(parts, host)
        scheme, name, port = parts
        labels = name.split(".")
        parents = (".".join(labels[start:]) for start in range(1, len(labels)))
        return parts in self.exact or any(
            (scheme, parent, port) in self.below for parent in parents
        )


def normal_origin(text: str) -> str | None:
    """Return an origin as browsers write it, without a default port; None if it is none."""
    parts = _parts(text.rstrip("/"))
    if parts is None:
        return None
    scheme, host, port = parts
    return f"{scheme}://{host}" + (
        f":{port}" if port not in (None, DEFAULT_PORTS.get(scheme)) else ""
    )


def _parts(text: str) -> Parts | None:
    found = ORIGIN.fullmatch(text.lower())
    if found is None:
        return None
    scheme = found["scheme"]
    return scheme, found["host"], _port(found["port"], scheme)


def _port(text: str | None, scheme: str) -> int | None:
    return DEFAULT_PORTS.get(scheme) if text is None else int(text)


def _is_host(origin: Parts, host: str) -> bool:
    """Compare with a Host header, whose default port is the origin's: TLS may end at a balancer."""
    scheme, name, port = origin
    found = HOST.fullmatch(host.lower())
    if found is None or scheme not in DEFAULT_PORTS:
        return False
    return (name, port) == (found["host"], _port(found["port"], scheme))
