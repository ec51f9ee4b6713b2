"""Looking at whom the gateway asks: key sets, tools, webhooks, the collector of traces."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import httpx
import jwt
import orjson
from pydantic import ValidationError

from app.bootstrap import tool_set
from app.cli.doctor.finding import Finding, fault, fine, note
from app.egress import EgressRefused, ResponseTooLarge, read_bounded
from app.settings.event_webhooks import event_webhooks
from app.telemetry.background import in_thread
from app.telemetry.otel import exports
from app.telemetry.traces import span_exporter
from app.tools.http_spec import HttpToolSpec

if TYPE_CHECKING:
    from app.bootstrap.egress_clients import Egress
    from app.settings import Settings

MAX_BODY: Final = 256 * 1024
DISCOVERY: Final = 30.0
COLLECTOR: Final = 5.0
"""Seconds that MCP servers, and a collector, may take."""

SERVER_ERROR: Final = 500
PRIVATE: Final = "allow the host in RELAY_WEBHOOK_ALLOWED_HOSTS if it is meant to be private"
REACH: Final = "check the URL, DNS, the firewall and the certificate"


async def check_peers(settings: Settings, egress: Egress) -> list[Finding]:
    """Dial each once, without a side effect: tools and webhooks are asked by HEAD alone."""
    found = []
    if "jwt" in settings.auth and settings.jwt_jwks_url:
        found.append(await _keys(settings.jwt_jwks_url, egress.auth))
    if "forward" in settings.auth and settings.forward_auth_url:
        subject = "forward auth (RELAY_FORWARD_AUTH_URL)"
        found.append(await _reached(subject, settings.forward_auth_url, egress.auth))
    for name, url in _tool_urls(settings):
        found.append(await _reached(f"tool {name}", url, egress.tools))
    if settings.result_webhook_url:
        subject = "results (RELAY_RESULT_WEBHOOK_URL)"
        found.append(await _reached(subject, settings.result_webhook_url, egress.results))
    for receiver in event_webhooks(settings.event_webhooks):
        subject = f"events to {receiver.receiver} (RELAY_EVENT_WEBHOOKS)"
        found.append(await _reached(subject, receiver.url.get_secret_value(), egress.events))
    return [*found, *await _mcp(settings), *await _collector()]


async def _keys(url: str, client: httpx.AsyncClient) -> Finding:
    subject = "key set (RELAY_JWT_JWKS_URL)"
    try:
        async with client.stream("GET", url, headers={"accept": "application/json"}) as response:
            if not response.is_success:
                return fault(subject, f"HTTP {response.status_code}", "check the URL")
            keys = jwt.PyJWKSet.from_dict(orjson.loads(await read_bounded(response, MAX_BODY)))
    except EgressRefused:
        return fault(subject, "the address is not allowed", PRIVATE)
    except (httpx.HTTPError, TimeoutError) as error:
        return fault(subject, type(error).__name__, REACH)
    except (jwt.PyJWTError, ResponseTooLarge, ValueError, AttributeError, TypeError):
        return fault(subject, "what answers is no set of usable keys", "check the URL")
    return fine(subject, f"{len(keys.keys)} usable keys")


def _tool_urls(settings: Settings) -> list[tuple[str, str]]:
    found = []
    for name, written in settings.http_tools.items():
        try:
            found.append((name, HttpToolSpec.model_validate(written).url.get_secret_value()))
        except ValidationError:  # `check` has told of it
            continue
    return found


async def _reached(subject: str, url: str, client: httpx.AsyncClient) -> Finding:
    try:
        status = (await client.head(url)).status_code
    except EgressRefused:
        return fault(subject, "the address is not allowed", PRIVATE)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        return fault(subject, type(error).__name__, REACH)
    if status >= SERVER_ERROR:
        return note(subject, f"answers HEAD with {status}", "does it answer POST? see its logs")
    return fine(subject, f"answers (HEAD {status})")


async def _mcp(settings: Settings) -> list[Finding]:
    if not settings.mcp_servers:
        return []
    try:
        async with asyncio.timeout(DISCOVERY), tool_set.open_tools(settings) as registry:
            origins = [row.origin for row in registry.describe()]
    except TimeoutError:
        origins = []
    return [_server(name, origins) for name in settings.mcp_servers]


def _server(name: str, origins: list[str]) -> Finding:
    count = sum(f"({name}: " in origin for origin in origins)
    if count:
        return fine(f"MCP server {name}", f"{count} tools")
    return fault(f"MCP server {name}", "brings no tools", "mcp_server_lost in the log names why")


async def _collector() -> list[Finding]:
    """Send no spans, in the exporter's own way."""
    if not exports(os.environ):
        return []
    subject = "traces (OTEL_EXPORTER_OTLP_ENDPOINT)"
    exporter = span_exporter(os.environ)
    try:
        async with asyncio.timeout(COLLECTOR):
            taken = await in_thread(lambda: exporter.export([]).name == "SUCCESS", "collector")
    except TimeoutError:
        taken = False
    if taken:
        return [fine(subject, "takes spans")]
    advice = "is it OTLP over HTTP (port 4318 by default), and its certificate trusted?"
    return [fault(subject, "takes no spans", advice)]
