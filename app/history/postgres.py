"""What a PostgreSQL URL's query means: libpq's parameters, as providers write them, for asyncpg.

SQLAlchemy hands every parameter of a URL to `asyncpg.connect`, which knows few of them. Names and
meanings are libpq's (PostgreSQL documentation, "Parameter Key Words").
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import URL

NAME: Final = "blackbox-relay"

OPPORTUNISTIC: Final = ("allow", "prefer")
VERIFIED: Final = ("verify-ca", "verify-full")
MODES: Final = ("disable", *OPPORTUNISTIC, "require", *VERIFIED)
SYNONYMS: Final = {"true": "require", "1": "require", "false": "disable", "0": "disable"}
"""`ssl=true`, as JDBC and node-postgres write it."""

TLS: Final = frozenset(
    {
        *("ssl", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "sslnegotiation"),
    }
)
DRIVER: Final = frozenset({"target_session_attrs", "passfile", "krbsrvname", "gsslib"})
"""Taken by asyncpg under the same name."""

HOSTS: Final = frozenset({"host", "port"})
"""Taken by SQLAlchemy, once for each of several servers."""

STARTUP: Final = frozenset({"application_name", "options"})
"""Sent to the server when connecting; a pooler may refuse `options`."""

UNNEEDED: Final = frozenset(
    {
        *("pgbouncer", "prepared_statement_cache_size", "statement_cache_size"),
        *("fallback_application_name", "client_encoding", "sslsni", "sslcompression"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("tcp_user_timeout", "load_balance_hosts", "gssencmode", "channel_binding"),
    }
)
"""Known and without effect: it is so anyway, or the driver cannot."""

UNAVAILABLE: Final = frozenset({("channel_binding", "require"), ("gssencmode", "require")})
"""Asked for in earnest, and not to be had from asyncpg: connecting goes on without."""


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """What to connect with: the URL without what is in `arguments`, which are asyncpg's.

    `ignored` names parameters that ask for something which the driver cannot do.
    """

    url: URL
    arguments: Mapping[str, Any]
    ignored: tuple[str, ...]


def postgres_options(url: URL, timeout: float) -> PostgresOptions:
    """Read the query. `timeout` (seconds) is for connecting, unless the URL sets one.

    Raises `ValueError`, which names the parameter and none of its value.
    """
    given = {name: _single(name, value) for name, value in url.query.items() if name not in HOSTS}
    known = TLS | DRIVER | STARTUP | UNNEEDED | {"connect_timeout"}
    unknown = sorted(given.keys() - known)
    if unknown:
        names = ", ".join(name if name.isidentifier() else "(no name)" for name in unknown)
        raise ValueError(f"has parameters that PostgreSQL's driver does not know: {names}")
    settings = {"application_name": NAME} | {n: v for n, v in given.items() if n in STARTUP}
    arguments: dict[str, Any] = {n: v for n, v in given.items() if n in DRIVER}
    arguments["timeout"] = (
        _seconds(given["connect_timeout"], timeout) if ("connect_timeout" in given) else timeout
    )
    arguments["server_settings"] = settings
    arguments |= _encryption(given)
    # A pooler in transaction mode gives each transaction another server connection, which knows
    # no statement that was prepared on the last one: none is kept, and none has a name.
    arguments["statement_cache_size"] = 0
    arguments["prepared_statement_cache_size"] = 0
    arguments["prepared_statement_name_func"] = _unnamed
    rest = {name: value for name, value in url.query.items() if name in HOSTS}
    ignored = tuple(sorted(name for name, value in given.items() if (name, value) in UNAVAILABLE))
    return PostgresOptions(url.set(query=rest), arguments, ignored)


def _unnamed() -> str:
    return ""


def _single(name: str, value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"gives {name} more than once" if name.isidentifier() else "is no URL")


def _seconds(value: str, most: float) -> float:
    """`connect_timeout`: whole seconds, of which 0 means none; bounded by `most`."""
    try:
        seconds = int(value)
    except ValueError:
        raise ValueError("has a connect_timeout that is no number") from None
    return min(float(seconds), most) if seconds > 0 else most


def _encryption(given: Mapping[str, str]) -> dict[str, Any]:
    written = given.get("sslmode") or given.get("ssl")
    if written is None:
        if given.keys() & TLS:  # a certificate is given: libpq's default would not use it
            return {"ssl": _context("require", given), **_negotiation(given)}
        return {}
    mode = SYNONYMS.get(written.lower(), written.lower())
    if mode not in MODES:
        raise ValueError(f"has an sslmode that is none of {', '.join(MODES)}")
    if mode == "disable":
        return {"ssl": False}
    if mode in OPPORTUNISTIC:
        return {"ssl": mode}
    return {"ssl": _context(mode, given), **_negotiation(given)}


def _negotiation(given: Mapping[str, str]) -> dict[str, Any]:
    return {"direct_tls": True} if given.get("sslnegotiation") == "direct" else {}


def _context(mode: str, given: Mapping[str, str]) -> ssl.SSLContext:
    """TLS as libpq would do it, but with the process's own trust where no root is named.

    `require` verifies nothing unless `sslrootcert` is given, which makes it `verify-ca`.
    """
    root = given.get("sslrootcert")
    try:
        context = ssl.create_default_context(cafile=None if root == "system" else root)
    except (OSError, ssl.SSLError):
        raise ValueError("has an sslrootcert that cannot be read") from None
    context.check_hostname = mode == "verify-full" or root == "system"
    if mode == "require" and root is None:
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    _own_certificate(context, given)
    _versions(context, given)
    if "sslcrl" in given:
        try:
            context.load_verify_locations(cafile=given["sslcrl"])
        except (OSError, ssl.SSLError):
            raise ValueError("has an sslcrl that cannot be read") from None
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _own_certificate(context: ssl.SSLContext, given: Mapping[str, str]) -> None:
    if "sslcert" not in given:
        return
    password = given.get("sslpassword", "")
    try:
        context.load_cert_chain(given["sslcert"], given.get("sslkey"), lambda: password)
    except (OSError, ssl.SSLError):
        raise ValueError("has an sslcert or sslkey that cannot be read") from None


def _versions(context: ssl.SSLContext, given: Mapping[str, str]) -> None:
    for name, bound in (
        ("ssl_min_protocol_version", "minimum_version"),
        ("ssl_max_protocol_version", "maximum_version"),
    ):
        if name in given:
            try:
                version = ssl.TLSVersion[given[name].replace(".", "_")]
            except KeyError:
                raise ValueError(f"has an {name} that is no TLS version") from None
            setattr(context, bound, version)
