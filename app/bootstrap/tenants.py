"""From settings to tenants: who they are, how they come in, and the keys of their users' JWTs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.auth.origin import AllowedOrigins
from app.auth.tenant_jwt import TenantKeys
from app.egress.addresses import AllowedHosts
from app.egress.ssrf_guard import guarded_client
from app.protocol.tenant import Tenant, TenantLimits
from app.web.tenancy import TenantAccess, digest_of

if TYPE_CHECKING:
    import httpx

    from app.bootstrap.outbound import Outbound
    from app.settings import Settings
    from app.settings.tenants import TenantSettings


def owners(settings: Settings) -> dict[str, str]:
    """The tenant of each agent that is one's."""
    return {
        agent: name for name, tenant in settings.tenant_settings.items() for agent in tenant.agents
    }


def tenants(settings: Settings) -> dict[str, Tenant]:
    """Every tenant with its bounds, budgets and prices."""
    return {
        name: Tenant(
            name,
            frozenset(tenant.agents),
            TenantLimits(
                tenant.max_sessions,
                tenant.sessions_per_minute,
                tenant.minutes_per_day,
                tenant.minutes_per_month,
                settings.budget_grace if tenant.budget_grace is None else tenant.budget_grace,
            ),
            {kind.value: price for kind, price in tenant.prices.items()},
        )
        for name, tenant in settings.tenant_settings.items()
    }


def access(settings: Settings) -> list[TenantAccess]:
    """How each tenant comes in."""
    return [
        TenantAccess(
            name,
            frozenset(digest_of(token.get_secret_value()) for token in tenant.service_tokens),
            frozenset(digest_of(token.get_secret_value()) for token in tenant.content_tokens),
            AllowedOrigins.parse(tenant.allowed_origins) if tenant.allowed_origins else None,
        )
        for name, tenant in settings.tenant_settings.items()
    ]


@dataclass(slots=True)
class TenantKeyring:
    """The keys of the tenants that have some, and the clients that fetch them."""

    keys: dict[str, TenantKeys] = field(default_factory=dict)
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    written: dict[str, TenantSettings] = field(default_factory=dict)

    def replace(self, other: TenantKeyring) -> list[httpx.AsyncClient]:
        """Hold what another one holds; return the clients that are used no more."""
        kept = other.clients.values()
        unused = [client for client in self.clients.values() if client not in kept]
        self.keys, self.clients, self.written = other.keys, other.clients, other.written
        return unused

    async def close(self) -> None:
        """Let go of connections."""
        for client in self.clients.values():
            await client.aclose()


def keyring(
    settings: Settings, out: Outbound, before: TenantKeyring | None = None
) -> TenantKeyring:
    """Read every tenant's keys; those of tenants that are as `before` are used on.

    Raises ConfigurationError.
    """
    known = before or TenantKeyring()
    found = TenantKeyring()
    for name, tenant in settings.tenant_settings.items():
        if not tenant.has_keys:
            continue
        same = known.written.get(name) == tenant
        client = known.clients.get(name) if same else _client(settings, tenant, out)
        if client is not None:
            found.clients[name] = client
        found.keys[name] = known.keys[name] if same else _keys(name, tenant, client)
        found.written[name] = tenant
    return found


def _client(settings: Settings, tenant: TenantSettings, out: Outbound) -> httpx.AsyncClient | None:
    if tenant.jwt_jwks_url is None:
        return None
    allowed = AllowedHosts.parse(settings.webhook_allowed_hosts)
    host = urlsplit(tenant.jwt_jwks_url).hostname
    return guarded_client(
        allowed.allowing(host) if host else allowed,
        timeout=settings.handshake_timeout,
        verify=out.tls,
        proxies=out.proxies,
    )


def _keys(name: str, tenant: TenantSettings, client: httpx.AsyncClient | None) -> TenantKeys:
    from app.auth.jwks import Jwks  # noqa: PLC0415 - cryptography, where it is configured alone
    from app.auth.jwt import Jwt, JwtKeys  # noqa: PLC0415
    from app.protocol.errors import ConfigurationError  # noqa: PLC0415

    public = tenant.jwt_public_key
    keys = JwtKeys(
        secret=tenant.jwt_secret,
        public_key=None if public is None else public.get_secret_value(),
        jwks_url=tenant.jwt_jwks_url,
        algorithms=tenant.jwt_algorithms,
        issuer=tenant.jwt_issuer,
        audience=tuple(filter(None, (tenant.jwt_audience,))),
    )
    try:
        url = tenant.jwt_jwks_url
        fetched = Jwks(url, client, keys.allowed()) if url and client is not None else None
        return TenantKeys(Jwt(keys, fetched), tenant.jwt_issuer)
    except ConfigurationError as error:
        told = [
            f"RELAY_TENANTS: {name}.{fault.removeprefix('RELAY_').lower()}"
            if fault.startswith("RELAY_JWT_")
            else f"RELAY_TENANTS: {name}: {fault}"
            for fault in error.faults
        ]
        raise ConfigurationError(told) from None
