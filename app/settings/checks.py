"""What is wrong with values that are right one by one."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import ValidationError

from app.protocol.discover import malformed
from app.protocol.redaction import faults_of
from app.settings.agents import AgentSettings
from app.settings.console_checks import console_faults
from app.settings.event_webhooks import event_webhook_faults
from app.settings.member_faults import member_faults, unfit_name
from app.settings.routing import routing_faults
from app.settings.tenants import read_tenants, tenant_contradictions
from app.settings.upstream import upstream_of
from app.state.address import parse

if TYPE_CHECKING:
    from app.settings.model import Settings


def contradictions(settings: Settings) -> list[str]:
    """Return a line for every contradiction: the variables and what to do."""
    faults = _agents(settings) + _tenants(settings)
    faults += _authentication(settings) + _addresses(settings)
    if settings.ping_timeout > settings.idle_timeout:
        faults.append("RELAY_PING_TIMEOUT must not exceed RELAY_IDLE_TIMEOUT")
    if settings.outbox < settings.max_upstream_frame:
        faults.append("RELAY_OUTBOX must hold at least one frame of RELAY_MAX_UPSTREAM_FRAME")
    if bool(settings.result_webhook_secret) != bool(settings.result_webhook_url):
        faults.append("RELAY_RESULT_WEBHOOK_URL and RELAY_RESULT_WEBHOOK_SECRET go together")
    faults += event_webhook_faults(settings.event_webhooks)
    known = {token.get_secret_value() for token in settings.service_tokens}
    if any(token.get_secret_value() not in known for token in settings.content_tokens):
        faults.append("RELAY_CONTENT_TOKENS must be among RELAY_SERVICE_TOKENS")
    faults += [f"RELAY_REDACT {fault}" for fault in faults_of(settings.redact)]
    faults += console_faults(settings, is_loopback)
    if settings.queue and settings.upstream_concurrency is None:
        faults.append("RELAY_QUEUE needs RELAY_UPSTREAM_CONCURRENCY")
    if settings.upstream_concurrency == "auto" and settings.blackbox_api_key is None:
        faults.append("RELAY_UPSTREAM_CONCURRENCY=auto needs RELAY_BLACKBOX_API_KEY")
    try:
        parse(settings.state_url.get_secret_value())
    except ValueError as fault:
        faults.append(f"RELAY_STATE_URL {fault}")
    return list(
        dict.fromkeys(faults + _history(settings))
    )  # agents share what they do not override


def _history(settings: Settings) -> list[str]:
    """What no driver is needed to see; the rest of the URL is judged by the one that dials it."""
    if settings.history_url is None:
        return []
    url = settings.history_url.get_secret_value()
    if url.startswith("sqlite+aiosqlite:"):
        if re.match(r"sqlite\+aiosqlite:///(?!:memory:)[^?]", url):
            return []
        advice = "sqlite+aiosqlite:///relative.db, or sqlite+aiosqlite:////absolute.db"
        return [f"RELAY_HISTORY_URL must name a file: {advice}"]
    if url.startswith("postgresql+asyncpg://"):
        return []
    return ["RELAY_HISTORY_URL must begin with sqlite+aiosqlite:/// or postgresql+asyncpg://"]


def _agents(settings: Settings) -> list[str]:
    faults: list[str] = []
    if not settings.agents:
        return ["RELAY_AGENTS must name at least one agent"]
    sound: dict[str, AgentSettings] = {}
    for name, profile in settings.agents.items():
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", str(name)):
            faults.append(unfit_name("RELAY_AGENTS", name, "1 to 64 of A-Z a-z 0-9 _ . -"))
            continue
        try:
            agent = AgentSettings.model_validate(profile or {})
        except ValidationError as invalid:
            errors = invalid.errors(include_input=False, include_url=False)
            members = (*AgentSettings.model_fields, "weight", "agent")
            faults += member_faults("RELAY_AGENTS", str(name), errors, members)
            continue
        faults += _agent(settings, name, agent)
        sound[name] = agent
    return faults + (routing_faults(sound) if len(sound) == len(settings.agents) else [])


def _tenants(settings: Settings) -> list[str]:
    tenants, faults = read_tenants(settings.tenants)
    tokens = frozenset(token.get_secret_value() for token in settings.service_tokens)
    return faults + tenant_contradictions(tenants, settings.agents, tokens, settings.auth)


def _agent(settings: Settings, name: str, agent: AgentSettings) -> list[str]:
    faults: list[str] = []
    if agent.default_call_type and agent.default_call_type not in agent.call_types:
        faults.append(f"RELAY_AGENTS: {name}.default_call_type is not among its call_types")
    if not isinstance(agent.initialize.get("additionalData") or {}, dict):
        faults.append(f"RELAY_AGENTS: {name}.initialize.additionalData must be an object")
    for pattern in agent.phone_numbers:
        try:
            re.compile(pattern)
        except re.error:
            faults.append(f"RELAY_AGENTS: {name}.phone_numbers holds what is no pattern")
    wrong = malformed(agent.discover)
    if wrong is not None:
        faults.append(f"RELAY_AGENTS: {name}.discover.{wrong} is not what the vendor answers there")
    faults += _approvals(name, agent)
    upstream = upstream_of(settings, agent)
    if agent.browser_tools == "integration" and upstream.kind != "webcall":
        faults.append(
            f"RELAY_AGENTS: {name}.browser_tools: integration needs RELAY_UPSTREAM=webcall"
        )
    where = f"RELAY_AGENTS: {name}.blackbox_url" if agent.blackbox_url else "RELAY_BLACKBOX_URL"
    faults += _upstream_url(where, upstream.base, settings)
    if not upstream.has_credential:
        faults.append(
            "RELAY_BLACKBOX_API_KEY is missing"
            if upstream.kind == "dev"
            else "RELAY_UPSTREAM=webcall needs RELAY_WEB_INTEGRATION_TOKEN, or "
            "RELAY_WEB_INTEGRATION_ID with RELAY_BLACKBOX_API_KEY"
        )
    return faults


def _approvals(name: str, agent: AgentSettings) -> list[str]:
    """Tools of the page are its own: what they do is asked there."""
    shown = agent.browser_tools if isinstance(agent.browser_tools, frozenset) else frozenset()
    faults = [
        f"RELAY_AGENTS: {name}.approve.{tool}: a tool of the page cannot be approved"
        for tool in sorted(shown & agent.approve.keys())
    ]
    if agent.tools is not None:
        faults += [
            f"RELAY_AGENTS: {name}.approve.{tool}: is not among its tools"
            for tool in sorted(agent.approve.keys() - agent.tools - shown)
        ]
    return faults


def _upstream_url(where: str, url: str, settings: Settings) -> list[str]:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return [f"{where} is no URL"]
    if parts.scheme not in {"ws", "wss"} or not host or parts.query or parts.fragment:
        return [f"{where} must be a ws:// or wss:// URL without a query"]
    if parts.scheme == "ws" and not is_loopback(host) and not settings.allow_insecure_upstream:
        return [
            (
                f"{where} would send the key unencrypted; use wss://, or set "
                "RELAY_ALLOW_INSECURE_UPSTREAM=true"
            )
        ]
    return []


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _authentication(settings: Settings) -> list[str]:
    faults: list[str] = []
    unknown = set(settings.auth) - {"ticket", "jwt", "forward", "open"}
    if unknown or not settings.auth:
        faults.append("RELAY_AUTH must be a comma list of ticket, jwt, forward, open")
    if "jwt" in settings.auth and not (
        settings.jwt_secret
        or settings.jwt_public_key
        or settings.jwt_jwks_url
        or any(tenant.has_keys for tenant in settings.tenant_settings.values())
    ):
        faults.append(
            "RELAY_AUTH=jwt needs RELAY_JWT_SECRET, RELAY_JWT_PUBLIC_KEY or RELAY_JWT_JWKS_URL"
        )
    if "forward" in settings.auth and not settings.forward_auth_url:
        faults.append("RELAY_AUTH=forward needs RELAY_FORWARD_AUTH_URL")
    if not all(
        re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", n) for n in settings.forward_auth_header
    ):
        faults.append(
            "RELAY_FORWARD_AUTH_HEADER must be a comma list of header names, as X-Auth-Request-User"
        )
    if "open" in settings.auth and not settings.allow_open and _reaches_out(settings):
        faults.append(
            "RELAY_AUTH=open would let everyone talk at your expense; "
            "set RELAY_ALLOW_OPEN=true if you mean it"
        )
    return faults


def _reaches_out(settings: Settings) -> bool:
    """Whether some agent's upstream is beyond this machine, so that its key is a real one."""
    urls = [settings.blackbox_url]
    urls += [
        str(profile["blackbox_url"])
        for profile in settings.agents.values()
        if isinstance(profile, dict) and profile.get("blackbox_url")
    ]
    return any(not is_loopback(urlsplit(url).hostname or "") for url in urls)


def _addresses(settings: Settings) -> list[str]:
    faults: list[str] = []
    for cidr in settings.trusted_proxies:
        try:
            ipaddress.ip_network(cidr, strict=False)
        except ValueError:
            faults.append("RELAY_TRUSTED_PROXIES must be a comma list of addresses or CIDRs")
            break
    for origin in settings.allowed_origins:
        if origin != "*" and not re.fullmatch(
            r"https?://(\*\.)?[A-Za-z0-9.\-\[\]:]+", origin.rstrip("/")
        ):
            faults.append(
                "RELAY_ALLOWED_ORIGINS must hold origins such as https://app.example.com, "
                "https://*.example.com or *"
            )
            break
    return faults
