"""What is wrong with the settings of the console's sign-in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.settings.model import Settings

ROLES: Final = ("viewer", "operator", "admin")


def console_faults(settings: Settings, is_loopback: Callable[[str], bool]) -> list[str]:
    """Return a line for every fault: the variable and what to do."""
    faults: list[str] = []
    issuer, client = settings.console_oidc_issuer, settings.console_oidc_client_id
    if bool(issuer) != bool(client):
        faults.append("RELAY_CONSOLE_OIDC_ISSUER and RELAY_CONSOLE_OIDC_CLIENT_ID go together")
    if issuer and not _is_url(issuer, is_loopback):
        faults.append(
            "RELAY_CONSOLE_OIDC_ISSUER must be an https:// URL without a query, as the provider's "
            "metadata says it (http:// to loopback alone)"
        )
    if settings.console_url and not _is_url(settings.console_url, is_loopback):
        faults.append(
            "RELAY_CONSOLE_URL must be an https:// URL without a query (http:// to loopback alone)"
        )
    if issuer and "openid" not in settings.console_oidc_scopes:
        faults.append("RELAY_CONSOLE_OIDC_SCOPES must hold openid")
    if any(role not in ROLES for role in settings.console_oidc_roles.values()):
        faults.append(
            "RELAY_CONSOLE_OIDC_ROLES must map values of the claim to viewer, operator or admin"
        )
    return faults


def _is_url(text: str, is_loopback: Callable[[str], bool]) -> bool:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    encrypted = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return encrypted and bool(host) and not (parts.query or parts.fragment or parts.username)
