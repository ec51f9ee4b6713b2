"""From settings to the HTTP clients by which webhooks go out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.egress.addresses import AllowedHosts
from app.egress.ssrf_guard import guarded_client
from app.protocol.errors import ConfigurationError
from app.settings.event_webhooks import MAX_RECEIVERS

if TYPE_CHECKING:
    import httpx

    from app.bootstrap.outbound import Outbound
    from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Egress:
    """The clients by which webhooks go out: slow tools must not starve authentication."""

    tools: httpx.AsyncClient
    auth: httpx.AsyncClient
    results: httpx.AsyncClient
    guardrails: httpx.AsyncClient
    events: httpx.AsyncClient

    async def close(self) -> None:
        """Let go of connections."""
        for client in (self.tools, self.auth, self.results, self.guardrails, self.events):
            await client.aclose()


def egress(settings: Settings, out: Outbound) -> Egress:
    """Make the clients. Raises ConfigurationError."""
    try:
        allowed = AllowedHosts.parse(settings.webhook_allowed_hosts)
    except ValueError as fault:
        raise ConfigurationError([f"RELAY_WEBHOOK_ALLOWED_HOSTS: {fault}"]) from None
    asked = (settings.jwt_jwks_url, settings.console_oidc_issuer)
    named = [host for url in asked if (host := urlsplit(url or "").hostname)]
    trusted = reduce(AllowedHosts.allowing, named, allowed)
    make = partial(guarded_client, verify=out.tls, proxies=out.proxies)
    webhooks = partial(make, allowed, timeout=settings.tool_timeout)
    return Egress(
        tools=webhooks(max_connections=1000),
        auth=make(trusted, timeout=settings.handshake_timeout),
        results=webhooks(),
        guardrails=webhooks(max_connections=1000),
        # As many as all receivers may have under way, so that none waits for another's.
        events=webhooks(max_connections=MAX_RECEIVERS * 8),
    )
