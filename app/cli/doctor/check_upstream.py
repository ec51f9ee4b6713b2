"""Checks the vendor: does it answer, does it accept the credential, does its clock agree."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from app.cli.doctor.finding import Finding, fault, fine, note
from app.egress import EgressRefused
from app.websocket.client import DialError, DialFailure, dial
from app.websocket.interface import NULL_HANDLER
from app.websocket.io_batcher import IoBatcher

if TYPE_CHECKING:
    from app.bootstrap.outbound import Outbound
    from app.network import Proxies
    from app.upstream.endpoint import Endpoint
    from app.websocket.limits import WireLimits

INFO: Final = "/api/v1/ws/info"
INFO_TIMEOUT: Final = 5.0
MOST_SKEW: Final = 5.0
ADVICE: Final = {
    DialFailure.REFUSED: "check RELAY_BLACKBOX_API_KEY (or the web integration's token)",
    DialFailure.REDIRECTED: "RELAY_BLACKBOX_URL must name the vendor itself, not what redirects",
    DialFailure.TIMEOUT: "is outbound TCP allowed? see RELAY_CONNECT_TIMEOUT",
    DialFailure.UNREACHABLE: "check the host in RELAY_BLACKBOX_URL, DNS and the firewall",
    DialFailure.TLS: "the certificate is not trusted here: is something intercepting TLS?",
    DialFailure.PROXY: "the proxy on the way gives no tunnel: see the line above, RELAY_PROXY",
    DialFailure.BAD_HANDSHAKE: "what answers at RELAY_BLACKBOX_URL speaks no WebSocket",
    DialFailure.BAD_URL: "RELAY_BLACKBOX_URL is no usable URL",
}


async def check_upstream(
    name: str, endpoint: Endpoint, limits: WireLimits, out: Outbound, client: httpx.AsyncClient
) -> list[Finding]:
    """Ask `ws/info`, then dial as a conversation would, without beginning one."""
    return [
        *_proxy(name, endpoint.base, out.proxies),
        await _info(name, endpoint.base, client),
        await _dial(name, endpoint, limits, out),
    ]


def _proxy(name: str, base: str, proxies: Proxies) -> list[Finding]:
    """Say by which proxy the vendor is reached, or why by none although one is named."""
    subject = f"{name}: proxy"
    parts = urlsplit(base)
    secure, host = parts.scheme == "wss", parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    proxy = proxies.to_websocket(host, port, secure=secure)
    if proxy is not None:
        return [fine(subject, f"{proxy.host}:{proxy.port}, as {proxy.variable} says")]
    why = proxies.why_direct(host, port, secure=secure)
    return [note(subject, f"none: {why}", "right if the vendor can be dialled")] if why else []


async def _info(name: str, base: str, client: httpx.AsyncClient) -> Finding:
    subject = f"{name}: vendor's clock"
    url = base.replace("ws", "http", 1).rstrip("/") + INFO
    try:
        async with asyncio.timeout(INFO_TIMEOUT):
            begun = time()
            answer = await client.get(url)
            ended = time()
    except (httpx.HTTPError, EgressRefused, TimeoutError) as error:
        return note(
            subject, f"{INFO} does not answer ({type(error).__name__})", "see the next line"
        )
    with suppress(KeyError, ValueError, TypeError):
        said = parsedate_to_datetime(answer.headers["date"]).timestamp()
        skew = said - (begun + ended) / 2
        if abs(skew) > MOST_SKEW:
            return fault(
                subject,
                f"this machine is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead'}",
                "synchronise the clock (NTP): tokens expire by it",
            )
        return fine(subject, f"agrees within {abs(skew) + 1:.0f} s")
    return note(subject, f"HTTP {answer.status_code} without a date", "nothing to compare with")


async def _dial(name: str, endpoint: Endpoint, limits: WireLimits, out: Outbound) -> Finding:
    subject = f"{name}: vendor's socket"
    begun = monotonic()
    try:
        socket = await dial(
            await endpoint.url(),
            limits=limits,
            timeout=10,
            ssl=out.tls,
            batcher=IoBatcher(),
            proxies=out.proxies,
        )
    except DialError as failed:
        return fault(subject, str(failed), ADVICE[failed.kind])
    socket.open(NULL_HANDLER)
    socket.close(1000)
    return fine(subject, f"open after {(monotonic() - begun) * 1000:.0f} ms")
