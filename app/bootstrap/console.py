"""From settings to the parts by which people use the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.web.actor import Role
from app.web.console.cookies import ConsoleSite
from app.web.console.role_claims import RoleClaims
from app.web.console.routes import ConsoleSignIn
from app.web.console.sessions import ConsoleSessions

if TYPE_CHECKING:
    import httpx

    from app.auth.proxies import TrustedProxies
    from app.settings import Settings
    from app.state.interface import State
    from app.web.audit import Audit


def site(settings: Settings, proxies: TrustedProxies) -> ConsoleSite:
    """Where browsers find the console."""
    return ConsoleSite(proxies, settings.console_url)


def sign_in(
    settings: Settings, state: State, console: ConsoleSite, client: httpx.AsyncClient, audit: Audit
) -> ConsoleSignIn | None:
    """Signing in by OpenID Connect; None where it is not configured."""
    if settings.console_oidc_issuer is None or settings.console_oidc_client_id is None:
        return None
    from app.auth.oidc import OidcClient, OidcProvider  # noqa: PLC0415 - its libraries load slowly

    provider = OidcProvider(
        OidcClient(
            settings.console_oidc_issuer,
            settings.console_oidc_client_id,
            settings.console_oidc_client_secret,
            settings.console_oidc_scopes,
        ),
        client,
    )
    values = {value: Role[name.upper()] for value, name in settings.console_oidc_roles.items()}
    roles = RoleClaims(
        settings.console_oidc_roles_claim, values, Role[settings.console_content.upper()]
    )
    return ConsoleSignIn(
        provider, ConsoleSessions(state, settings.console_session), console, roles, audit
    )
