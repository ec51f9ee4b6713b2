"""How this process reaches others: whom TLS trusts, and which proxies stand in between."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.network import Proxies
from app.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Outbound:
    """What every client of this process is made with: reading all certificates takes a while."""

    tls: ssl.SSLContext
    proxies: Proxies


def outbound(settings: Settings, environ: Mapping[str, str] | None = None) -> Outbound:
    """Read what the environment says of proxies and authorities; raises ConfigurationError."""
    environ = os.environ if environ is None else environ
    setting = settings.proxy.get_secret_value() if settings.proxy else None
    faults: list[str] = []
    proxies = Proxies()
    try:
        proxies = Proxies.read(environ, setting)
    except ValueError as fault:
        faults.append(str(fault))
    tls = tls_context()
    if path := environ.get("SSL_CERT_FILE"):
        try:
            tls.load_verify_locations(cafile=path)  # OpenSSL itself says nothing of a bad one
        except (OSError, ssl.SSLError):
            faults.append("SSL_CERT_FILE: no certificates in PEM can be read from it")
    if faults:
        raise ConfigurationError(faults)
    return Outbound(tls, proxies)


def tls_context() -> ssl.SSLContext:
    """Whom TLS trusts.

    The system's authorities, or OpenSSL's own `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])  # as httpcore will; WebSockets begin with it too
    return context
