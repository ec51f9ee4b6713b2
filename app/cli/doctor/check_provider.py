"""Looking at the OpenID Connect provider by whom people sign in at the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.auth.sign_in import SignInFailed
from app.bootstrap.console import provider
from app.cli.doctor.finding import Finding, fault, fine

if TYPE_CHECKING:
    import httpx

    from app.settings import Settings

SUBJECT: Final = "sign-in (RELAY_CONSOLE_OIDC_ISSUER)"
ADVICE: Final = {
    "wrong_issuer": "write the issuer as the provider's metadata does, its slash at the end too",
    "invalid_metadata": "its endpoints must be https:// URLs",
    "provider_address_not_allowed": "allow the host in RELAY_WEBHOOK_ALLOWED_HOSTS",
}
DEFAULT: Final = "check the URL, DNS, the firewall and the certificate"


async def check_provider(settings: Settings, client: httpx.AsyncClient) -> list[Finding]:
    """Ask for the provider's metadata once; nothing where people do not sign in so."""
    asked = provider(settings, client)
    if asked is None:
        return []
    try:
        await asked.look_up()
    except SignInFailed as failed:
        return [fault(SUBJECT, failed.cause, ADVICE.get(failed.cause, DEFAULT))]
    return [fine(SUBJECT, "the provider's metadata is there")]
