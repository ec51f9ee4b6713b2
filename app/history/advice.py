"""What an operator can do about a database error, by its SQLSTATE or the class of its exception."""

from __future__ import annotations

from typing import Final

TLS_ABSENT: Final = "the server offers no TLS: let sslmode in RELAY_HISTORY_URL say so"
UNREACHABLE: Final = "nothing answers there: check host, port and firewall"

BY_STATE: Final = {
    "08P01": "the server or its pooler refuses a startup parameter: leave `options` out of "
    "RELAY_HISTORY_URL, or let the pooler ignore it",
    "25006": "the server is read-only (a replica, or a primary that was demoted): "
    "RELAY_HISTORY_URL must lead to the primary",
    "28000": "pg_hba.conf, or the pooler, lets no such user in",
    "28P01": "the user or password in RELAY_HISTORY_URL is refused",
    "3D000": "the database named in RELAY_HISTORY_URL does not exist",
    "3F000": "no schema of the role's search_path exists: create one",
    "42501": "the role may not create or use tables in its schema: GRANT CREATE ON SCHEMA public "
    "TO the role (PostgreSQL 15 grants it to the database's owner alone)",
    "53100": "the server's disk is full",
    "53300": "the server takes no more connections: each gateway holds up to 4",
}
BY_CLASS: Final = {
    "ConnectionError": TLS_ABSENT,
    "ConnectionRefusedError": UNREACHABLE,
    "SSLCertVerificationError": "the server's certificate is not trusted here: name its authority "
    "by sslrootcert in RELAY_HISTORY_URL, or by SSL_CERT_FILE",
    "TimeoutError": UNREACHABLE,
    "gaierror": "the host in RELAY_HISTORY_URL does not resolve",
}


def advice(state: str, kind: str) -> str:
    """Say what to do about an error with this SQLSTATE and exception class; empty if unknown."""
    return BY_STATE.get(state) or BY_CLASS.get(kind, "")
