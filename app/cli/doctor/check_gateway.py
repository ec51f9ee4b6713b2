"""Checks the gateway as browsers reach it, through the balancers in between."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from ipaddress import ip_address, ip_network
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from app.cli.doctor.finding import Finding, fault, fine, note

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

SUBPROTOCOL: Final = Subprotocol("blackbox-relay.v1")
SHOWN_SHAPES: Final = 5
UNANSWERED: Final = "run doctor without --url: does upstream answer?"
UPGRADE: Final = (
    "the balancer must pass the upgrade on: in nginx `proxy_http_version 1.1` with the Upgrade and "
    "Connection headers, in HAProxy nothing more than `mode http`"
)


async def check_gateway(
    url: str, bearer: str | None, *, watch: float, tickets: str | None = None
) -> list[Finding]:
    """Look at readiness, the upgrade, and what becomes of a socket that idles `watch` seconds.

    `tickets` is where they are minted, if not at the public `url`.
    """
    base = _http(url)
    findings = [await _readiness(base)]
    ticket, minted = await _ticket(base, bearer, _http(tickets or url))
    findings += minted
    findings += await _socket(base, ticket, bearer, watch)
    findings.append(await _drift(_http(tickets or url), bearer))
    return findings


async def _readiness(base: str) -> Finding:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            answer = await client.get(f"{base}/readyz")
    except httpx.HTTPError as error:
        return fault(
            "gateway", f"no answer ({type(error).__name__})", "is it running, is --url right?"
        )
    if answer.status_code == httpx.codes.OK:
        return fine("gateway", "ready")
    return fault("gateway", f"HTTP {answer.status_code}: {answer.text[:200]}", "see its logs")


def _http(url: str) -> str:
    return url.rstrip("/").replace("ws", "http", 1) if url.startswith("ws") else url.rstrip("/")


async def _ticket(base: str, bearer: str | None, mint: str) -> tuple[str | None, list[Finding]]:
    if bearer is None:
        return None, []
    body = {"subject": "doctor"}
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            answer = await client.post(
                f"{mint}/v1/tickets", json=body, headers={"authorization": f"Bearer {bearer}"}
            )
        # Minted elsewhere, it names that place: nothing to learn of the balancer.
        found = [_scheme(base, answer.json())] if mint == base else [fine("tickets", "minted")]
        return str(answer.json()["ticket"]), found
    except (httpx.HTTPError, ValueError, KeyError):
        advice = "where /v1 is not public (RELAY_INTERNAL_PORT), say --tickets URL as well"
        return None, [note("tickets", "none was minted at this URL", advice)]


def _scheme(base: str, answer: dict[str, Any]) -> Finding:
    wanted = "wss" if base.startswith("https") else "ws"
    got = urlsplit(str(answer.get("url", ""))).scheme
    if got == wanted:
        return fine("forwarded scheme", f"tickets name {got}:// URLs")
    return fault(
        "forwarded scheme",
        f"tickets name {got}:// URLs behind {base.split(':', maxsplit=1)[0]}://",
        "add the balancer's network to RELAY_TRUSTED_PROXIES and let it set X-Forwarded-Proto",
    )


async def _socket(base: str, ticket: str | None, bearer: str | None, watch: float) -> list[Finding]:
    parts = urlsplit(base)
    query = urlencode({"call_type": "chat"} | ({"ticket": ticket} if ticket else {}))
    scheme = "wss" if parts.scheme == "https" else "ws"
    url = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws", query, ""))
    begun = monotonic()
    try:
        async with connect(
            url, subprotocols=[SUBPROTOCOL], proxy=None, compression=None, ping_interval=None
        ) as ws:
            opened = (monotonic() - begun) * 1000
            findings = [fine("upgrade", f"open after {opened:.0f} ms")]
            findings.append(_subprotocol(ws))
            session, found = await _session(ws)
            findings.append(found)
            findings.append(await _address(base, bearer, session, ws))
            findings.append(await _idle(ws, watch))
            with suppress(ConnectionClosed):  # it would wait, and bill, for its resume window
                await ws.send('{"type":"terminate"}')
            return findings
    except InvalidStatus as refused:
        status = refused.response.status_code
        advice = "give RELAY_SERVICE_TOKENS, so that a ticket can be minted"
        return [fault("upgrade", f"HTTP {status}", advice if status in {401, 403} else UPGRADE)]
    except (OSError, WebSocketException, TimeoutError) as error:
        return [fault("upgrade", type(error).__name__, UPGRADE)]


def _subprotocol(ws: ClientConnection) -> Finding:
    if ws.subprotocol == SUBPROTOCOL:
        return fine("subprotocol", "comes through")
    advice = "the balancer drops Sec-WebSocket-Protocol: without it no browser can resume"
    return fault("subprotocol", "is lost on the way", advice)


async def _session(ws: ClientConnection) -> tuple[str | None, Finding]:
    """Read `relay.session`, then upstream's first word; return the session's id, too."""
    begun, session = monotonic(), None
    try:
        async with asyncio.timeout(15):
            first = json.loads(await ws.recv())
            if first["type"] == "error":
                told = first["data"]
                seen = f"{told['code']} {told['message']}"
                return None, fault("session", seen, "see the close codes")
            session = str(first["data"]["sessionId"])
            second = json.loads(await ws.recv())
    except (TimeoutError, ConnectionClosed, ValueError, KeyError) as error:
        return session, fault("session", type(error).__name__, UNANSWERED)
    if second["type"] == "error":
        told = second.get("data", {})
        return session, fault("session", f"{told.get('code')} {told.get('message')}", UNANSWERED)
    return session, fine("upstream", f"answers after {(monotonic() - begun) * 1000:.0f} ms")


async def _drift(base: str, bearer: str | None) -> Finding:
    """Tell what the vendor sends that the gateway does not know, by shape."""
    subject = "vendor's frames"
    if bearer is None:
        return note(subject, "not looked at", "give RELAY_SERVICE_TOKENS")
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            answer = await client.get(
                f"{base}/v1/drift", headers={"authorization": f"Bearer {bearer}"}
            )
        shapes = answer.raise_for_status().json()["shapes"]
    except (httpx.HTTPError, ValueError, KeyError):
        return note(subject, "not looked at", "/v1/drift does not answer at this URL")
    if not shapes:
        return fine(subject, "nothing unknown since the replica started")
    shown = "; ".join(
        f"{one['kind']} x{one['count']} {json.dumps(one['shape'])}" for one in shapes[:SHOWN_SHAPES]
    )
    more = f" and {len(shapes) - SHOWN_SHAPES} more" if len(shapes) > SHOWN_SHAPES else ""
    advice = "they are passed on; report the shapes, so that the gateway learns them"
    return note(subject, f"unknown: {shown}{more}", advice)


async def _idle(ws: ClientConnection, watch: float) -> Finding:
    """Say nothing, and see who cuts the socket."""
    begun = monotonic()
    try:
        async with asyncio.timeout(watch):
            while True:
                await ws.recv()
    except TimeoutError:
        return fine("idle socket", f"alive after {watch:.0f} s of silence")
    except ConnectionClosed as closed:
        after = monotonic() - begun
        if closed.rcvd is None:
            return fault(
                "idle socket",
                f"cut without a close frame after {after:.0f} s",
                "a balancer's idle time-out: raise it (nginx proxy_read_timeout, HAProxy timeout "
                "tunnel), or lower RELAY_PING_INTERVAL below it",
            )
        code = closed.rcvd.code
        return note("idle socket", f"closed with {code} after {after:.0f} s", "see the close codes")


async def _address(
    base: str, bearer: str | None, session: str | None, ws: ClientConnection
) -> Finding:
    """See under which address the gateway knows this machine, or whose it takes for ours."""
    subject = "client address"
    if bearer is None or session is None:
        return note(subject, "not looked at", "needs a session, and RELAY_SERVICE_TOKENS")
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            answer = await client.get(
                f"{base}/v1/sessions/{session}", headers={"authorization": f"Bearer {bearer}"}
            )
            known = ip_network(answer.json()["address"], strict=False)
    except (httpx.HTTPError, ValueError, KeyError):
        return note(subject, "not looked at", "/v1/sessions does not answer at this URL")
    ours, balancer = ip_address(ws.local_address[0]), ip_address(ws.remote_address[0])
    listed = known.network_address  # of IPv6 the gateway keeps a prefix alone
    if ours in known:
        return fine(subject, f"comes through: {listed}")
    if balancer in known or listed.is_loopback or (balancer.is_global and not listed.is_global):
        advice = (
            "every browser has this one address: add the balancer's network to "
            "RELAY_TRUSTED_PROXIES and let it send X-Forwarded-For"
        )
        return fault(subject, f"{listed} is the balancer's, not this machine's", advice)
    advice = (
        f"right if this machine ({ours}) goes out by that address; if it is the balancer's, see "
        "RELAY_TRUSTED_PROXIES and X-Forwarded-For"
    )
    return note(subject, f"the gateway sees {listed}", advice)
