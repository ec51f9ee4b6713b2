"""From settings to the vendor: where agents are dialled, by what credential, and its REST."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.bootstrap.config import DIAL_PATHS
from app.egress.addresses import AllowedHosts
from app.egress.ssrf_guard import guarded_client
from app.protocol.errors import ConfigurationError
from app.upstream.calls import VendorCalls
from app.upstream.endpoint import Endpoint, StaticCredential, UpstreamCredential
from app.upstream.integration import Integrations
from app.upstream.probe import UpstreamProbe
from app.upstream.token_refresh import RefreshingToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import httpx
    from pydantic import SecretStr

    from app.bootstrap.outbound import Outbound
    from app.settings import Settings
    from app.telemetry.metrics import Metrics

TokenKey = tuple[str, str, str]
"""What a minted token is for: the vendor's address, the integration, the API key."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """Where each agent is dialled, and the credentials that renew themselves while `run` runs."""

    endpoints: Mapping[str, Endpoint]
    tokens: Mapping[TokenKey, RefreshingToken]
    client: httpx.AsyncClient

    async def run(self) -> None:
        """Keep minted tokens valid until cancelled."""
        async with self.client, asyncio.TaskGroup() as tasks:
            for credential in self.tokens.values():
                tasks.create_task(credential.run(), name="token_refresh")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep minted tokens valid for the time of a block."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.run(), name="vendor_tokens")
            yield
            task.cancel()


def vendor(
    settings: Settings, out: Outbound, tokens: Mapping[TokenKey, RefreshingToken] | None = None
) -> Vendor:
    """Where each agent is dialled, and with what; `tokens` that fit are used on."""
    found: dict[str, Endpoint] = {}
    refreshing: dict[TokenKey, RefreshingToken] = {}
    there = tokens or {}
    client = vendor_client(settings, out)
    for name, agent in settings.agent_settings.items():
        path, parameter, _ = DIAL_PATHS[agent.upstream or settings.upstream]
        base = agent.blackbox_url or settings.blackbox_url
        key = agent.blackbox_api_key or settings.blackbox_api_key
        token = agent.web_integration_token or settings.web_integration_token
        integration = agent.web_integration_id or settings.web_integration_id
        credential: UpstreamCredential
        if parameter == "authorization" and key is not None:
            credential = StaticCredential(key)
        elif token is not None:
            credential = StaticCredential(token)
        elif key is not None and integration is not None:
            rest = base.replace("ws", "http", 1).rstrip("/")
            known = (base, integration, key.get_secret_value())
            if known not in refreshing:
                refreshing[known] = there.get(known) or RefreshingToken(
                    rest, integration, key, client, wait=settings.connect_timeout
                )
            credential = refreshing[known]
        else:
            raise ConfigurationError([f"RELAY_AGENTS: {name} has no credential"])
        found[name] = Endpoint(base, path, parameter, credential)
    return Vendor(found, refreshing, client)


def by_token(vendor: Vendor) -> dict[str, Endpoint]:
    """The endpoints of the agents that are dialled by a token."""
    return {
        name: endpoint
        for name, endpoint in vendor.endpoints.items()
        if endpoint.parameter == "token"
    }


def integrations(
    settings: Settings, endpoints: Mapping[str, Endpoint], out: Outbound
) -> Integrations:
    """What the vendor's web integrations offer, for the agents that are dialled by a token."""
    return Integrations(endpoints, vendor_client(settings, out))


def accounts(settings: Settings) -> dict[str, tuple[str, SecretStr]]:
    """The vendor's base URL and the API key of each agent that has one."""
    found = {}
    for name, agent in settings.agent_settings.items():
        key = agent.blackbox_api_key or settings.blackbox_api_key
        if key is not None:
            found[name] = (agent.blackbox_url or settings.blackbox_url, key)
    return found


def vendor_calls(
    settings: Settings, known: Mapping[str, tuple[str, SecretStr]], out: Outbound
) -> VendorCalls:
    """What asks the vendor about calls, for the agents that have an API key."""
    return VendorCalls(known, vendor_client(settings, out))


def probe(settings: Settings, metrics: Metrics, out: Outbound) -> UpstreamProbe | None:
    """What looks at the vendor's info page; None where that is off, as it is by default."""
    if not settings.upstream_probe_interval:
        return None
    agents = settings.agent_settings.values()
    bases = dict.fromkeys(agent.blackbox_url or settings.blackbox_url for agent in agents)
    return UpstreamProbe(
        tuple(bases),
        vendor_client(settings, out),
        settings.upstream_probe_interval,
        on_seen=metrics.upstream_reachable.set,
    )


def vendor_client(settings: Settings, out: Outbound) -> httpx.AsyncClient:
    """An HTTP client for the vendor's hosts, wherever they are."""
    hosts = {urlsplit(settings.blackbox_url).hostname or ""}
    hosts |= {
        urlsplit(agent.blackbox_url).hostname or ""
        for agent in settings.agent_settings.values()
        if agent.blackbox_url
    }
    allowed = AllowedHosts()
    for host in hosts:
        allowed = allowed.allowing(host)
    return guarded_client(
        allowed, timeout=settings.connect_timeout, verify=out.tls, proxies=out.proxies
    )
