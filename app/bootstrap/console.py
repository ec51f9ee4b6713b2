"""From settings to the parts by which people use the console."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.web.actor import Role
from app.web.audit import Audit, LoggedAudit, StoredAudit
from app.web.console.cookies import ConsoleSite
from app.web.console.role_claims import RoleClaims
from app.web.console.routes import ConsoleSignIn
from app.web.console.sessions import ConsoleSessions
from app.web.guard import Guard
from app.web.service_auth import ServiceTokens

if TYPE_CHECKING:
    import httpx

    from app.auth.oidc import OidcProvider
    from app.auth.proxies import TrustedProxies
    from app.bootstrap.parts import Application
    from app.history.audit import AuditLog
    from app.settings import Settings
    from app.state.interface import State


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use `/v1/*`, and where that is noted; `stored` is None without history."""

    guard: Guard
    audit: Audit
    stored: AuditLog | None
    sign_in: ConsoleSignIn | None


def access(built: Application, settings: Settings, proxies: TrustedProxies) -> Access:
    """Put together what guards the routes: service tokens, and people who have signed in."""
    stored = None if built.history is None else built.history.audit
    audit = LoggedAudit() if stored is None else StoredAudit(stored)
    site = ConsoleSite(proxies, settings.console_url)
    offered = sign_in(settings, built.state, site, built.egress.auth, audit)
    tokens = ServiceTokens(settings.service_tokens, settings.content_tokens, built.tenancy)
    guard = Guard(tokens, site, None if offered is None else offered.sessions)
    return Access(guard, audit, stored, offered)


def provider(settings: Settings, client: httpx.AsyncClient) -> OidcProvider | None:
    """The OpenID Connect provider; None where none is configured."""
    if settings.console_oidc_issuer is None or settings.console_oidc_client_id is None:
        return None
    from app.auth.oidc import OidcClient, OidcProvider  # noqa: PLC0415 - its libraries load slowly

    asked = OidcClient(
        settings.console_oidc_issuer,
        settings.console_oidc_client_id,
        settings.console_oidc_client_secret,
        settings.console_oidc_scopes,
    )
    return OidcProvider(asked, client)


def sign_in(
    settings: Settings, state: State, console: ConsoleSite, client: httpx.AsyncClient, audit: Audit
) -> ConsoleSignIn | None:
    """Signing in by OpenID Connect; None where it is not configured."""
    asked = provider(settings, client)
    if asked is None:
        return None
    values = {value: Role[name.upper()] for value, name in settings.console_oidc_roles.items()}
    content = Role[settings.console_content.upper()]
    roles = RoleClaims(settings.console_oidc_roles_claim, values, content)
    sessions = ConsoleSessions(state, settings.console_session)
    return ConsoleSignIn(asked, sessions, console, roles, audit)
