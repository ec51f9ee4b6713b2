"""Dials the vendor for every agent, behind circuit breakers."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

from app.network import DIRECT, Proxies
from app.network.tunnel import PROXY_AUTHENTICATION_REQUIRED
from app.protocol.close_codes import UPSTREAM_FAILED, UPSTREAM_TIMEOUT
from app.protocol.errors import RelayError, UpstreamError
from app.websocket.client import DialError, DialFailure, DialTarget, dial

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from pydantic import SecretStr

    from app.protocol.initialize import Profile
    from app.telemetry.metrics import Metrics
    from app.upstream.circuit_breaker import CircuitBreaker
    from app.upstream.endpoint import Endpoint
    from app.websocket.interface import Socket
    from app.websocket.io_batcher import IoBatcher
    from app.websocket.limits import WireLimits

log = structlog.get_logger(__name__)

UNAUTHORIZED: Final = frozenset({401, 403})


def advice_for(kind: str, status: int | None, base: str, proxies: Proxies) -> str:
    """Say what an operator can do about a dial that failed; `base` is the vendor's `wss://host`."""
    parts = urlsplit(base)
    secure, host = parts.scheme == "wss", parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    if kind == DialFailure.PROXY.value:
        proxy = proxies.to_websocket(host, port, secure=secure)
        named = proxy.variable if proxy else "RELAY_PROXY"
        if status == PROXY_AUTHENTICATION_REQUIRED:
            return f"{named} needs user and password: http://user:password@host:port"
        return f"check {named}: it must be a proxy that lets CONNECT through to the vendor"
    if status in UNAUTHORIZED:
        return "check RELAY_BLACKBOX_API_KEY"
    why = proxies.why_direct(host, port, secure=secure)
    unreached = kind in {DialFailure.UNREACHABLE.value, DialFailure.TIMEOUT.value}
    return f"check RELAY_BLACKBOX_URL; {why}" if why and unreached else "check RELAY_BLACKBOX_URL"


class Dialer:
    """Dials for every agent of a process. `endpoints` maps an agent's name to its endpoint."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        limits: WireLimits,
        timeout: float,
        batcher: IoBatcher,
        tls: ssl.SSLContext | None,
        metrics: Metrics,
        circuit: CircuitBreaker,
        proxies: Proxies = DIRECT,
    ) -> None:
        self._proxies = proxies
        self._endpoints = endpoints
        self._limits = limits
        self._timeout = timeout
        self._batcher = batcher
        self._tls = tls
        self._metrics = metrics
        self._circuit = circuit
        self._destinations: dict[str, tuple[SecretStr, DialTarget]] = {}  # by agent

    async def __call__(self, profile: Profile) -> Socket:
        """Open the vendor's socket for an agent. Raises `UpstreamError`."""
        if self._circuit.retry_in > 0:
            raise UpstreamError(UPSTREAM_FAILED, "the circuit is open")
        begun = monotonic()
        endpoint = self._endpoints[profile.name]
        try:
            socket = await dial(
                await self._destination(profile.name, endpoint),
                limits=self._limits,
                timeout=self._timeout,
                ssl=self._tls if endpoint.base.startswith("wss") else None,
                batcher=self._batcher,
                proxies=self._proxies,
            )
        except DialError as failed:
            raise self._failed(profile, failed.kind.value, failed) from None
        except UpstreamError as failed:
            raise self._failed(profile, "no_credential", failed) from None
        self._metrics.upstream_connect_seconds.observe(monotonic() - begun)
        return socket

    async def _destination(self, agent: str, endpoint: Endpoint) -> DialTarget:
        """Take an endpoint's URL apart, unless that is done: a credential is seldom renewed."""
        credential = await endpoint.credential.current()
        known = self._destinations.get(agent)
        if known is not None and known[0] is credential:
            return known[1]
        destination = DialTarget(endpoint.url_with(credential))
        self._destinations[agent] = (credential, destination)
        return destination

    def _failed(self, profile: Profile, kind: str, failed: RelayError) -> UpstreamError:
        """Count and log a failure, with what an operator can do about it."""
        self._circuit.record_failure()
        self._metrics.upstream_failures_total.labels(kind).inc()
        status = getattr(failed, "status", None)
        base = self._endpoints[profile.name].base
        advice = advice_for(kind, status, base, self._proxies)
        log.error("dial_failed", agent=profile.name, kind=kind, status=status, advice=advice)
        timed_out = kind == DialFailure.TIMEOUT.value
        return UpstreamError(UPSTREAM_TIMEOUT if timed_out else UPSTREAM_FAILED, str(failed))
