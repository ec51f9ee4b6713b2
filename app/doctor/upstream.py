"""Looking at the vendor: does it answer, does it take the credential, does its clock agree."""

from __future__ import annotations

import ssl
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import TYPE_CHECKING, Final

import httpx

from app.doctor.finding import Finding, fault, fine, note
from app.wire.dial import DialError, DialFailure, dial
from app.wire.nobody import NOBODY
from app.wire.wiring import Wiring

if TYPE_CHECKING:
    from app.relay.dialling import Endpoint
    from app.wire.limits import WireLimits

INFO: Final = "/api/v1/ws/info"
MOST_SKEW: Final = 5.0
ADVICE: Final = {
    DialFailure.REFUSED: "check RELAY_BLACKBOX_API_KEY (or the web integration's token)",
    DialFailure.REDIRECTED: "RELAY_BLACKBOX_URL must name the vendor itself, not what redirects",
    DialFailure.TIMEOUT: "is outbound TCP allowed? see RELAY_CONNECT_TIMEOUT",
    DialFailure.UNREACHABLE: "check the host in RELAY_BLACKBOX_URL, DNS and the firewall",
    DialFailure.TLS: "the certificate is not trusted here: is something intercepting TLS?",
    DialFailure.BAD_HANDSHAKE: "what answers at RELAY_BLACKBOX_URL speaks no WebSocket",
    DialFailure.BAD_URL: "RELAY_BLACKBOX_URL is no usable URL",
}


async def look_at_vendor(name: str, endpoint: Endpoint, limits: WireLimits) -> list[Finding]:
    """Ask `ws/info`, then dial as a conversation would, without beginning one."""
    return [await _info(name, endpoint.base), await _dial(name, endpoint, limits)]


async def _info(name: str, base: str) -> Finding:
    subject = f"{name}: vendor's clock"
    url = base.replace("ws", "http", 1).rstrip("/") + INFO
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            begun = time()
            answer = await client.get(url)
            ended = time()
    except httpx.HTTPError as error:
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


async def _dial(name: str, endpoint: Endpoint, limits: WireLimits) -> Finding:
    subject = f"{name}: vendor's socket"
    context = ssl.create_default_context() if endpoint.base.startswith("wss") else None
    begun = monotonic()
    try:
        socket = await dial(
            await endpoint.url(), limits=limits, timeout=10, ssl=context, wiring=Wiring()
        )
    except DialError as failed:
        return fault(subject, str(failed), ADVICE[failed.kind])
    socket.open(NOBODY)
    socket.close(1000)
    return fine(subject, f"open after {(monotonic() - begun) * 1000:.0f} ms")
