"""Opening the vendor's socket: where, with which credential, and when not to try."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import structlog
from pydantic import SecretStr

from app.errors import RelayError, UpstreamError
from app.network import DIRECT, Proxies
from app.network.tunnel import PROXY_AUTHENTICATION_REQUIRED
from app.protocol.closing import UPSTREAM_FAILED, UPSTREAM_TIMEOUT
from app.wire.dial import Destination, DialError, DialFailure, dial

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from app.protocol.initialize import Profile
    from app.telemetry.metrics import Metrics
    from app.wire.limits import WireLimits
    from app.wire.socket import Socket
    from app.wire.wiring import Wiring

log = structlog.get_logger(__name__)

FAILURES_TO_OPEN: Final = 5
COOL_DOWN: Final = 5.0
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


class Credential(Protocol):
    """What opens an endpoint: the API key, or a web integration's token."""

    async def current(self) -> SecretStr:
        """The credential to dial with now. Raises `UpstreamError` when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class GivenCredential:
    """One that an operator gave."""

    secret: SecretStr

    async def current(self) -> SecretStr:
        """Return it."""
        return self.secret


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one agent's conversations are opened: `base` is the vendor's `wss://host`."""

    base: str
    path: str
    parameter: str
    credential: Credential

    async def url(self) -> SecretStr:
        """The URL to dial, the credential in its query."""
        return self.url_with(await self.credential.current())

    def url_with(self, credential: SecretStr) -> SecretStr:
        """The URL to dial with a credential."""
        secret = credential.get_secret_value()
        parts = urlsplit(self.base)
        path = parts.path.rstrip("/") + self.path
        query = f"{self.parameter}={quote(secret, safe='')}"
        return SecretStr(urlunsplit((parts.scheme, parts.netloc, path, query, "")))


class Circuit:
    """Stops dialling a vendor that keeps failing, and lets one try through after a while.

    It opens after FAILURES_TO_OPEN failures in a row, for COOL_DOWN seconds; readiness says so.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    @property
    def opens_in(self) -> float:
        """Seconds until the next try; 0 while dialling is allowed."""
        if self._failures < FAILURES_TO_OPEN:
            return 0.0
        return max(0.0, self._until - self._clock())

    def succeeded(self) -> None:
        """The vendor answered."""
        self._failures = 0

    def failed(self) -> None:
        """The vendor refused, failed or fell silent."""
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._until = self._clock() + COOL_DOWN


class Dialer:
    """Dials for every agent of a process. `endpoints` maps an agent's name to its endpoint."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        limits: WireLimits,
        timeout: float,
        wiring: Wiring,
        tls: ssl.SSLContext | None,
        metrics: Metrics,
        circuit: Circuit,
        proxies: Proxies = DIRECT,
    ) -> None:
        self._proxies = proxies
        self._endpoints = endpoints
        self._limits = limits
        self._timeout = timeout
        self._wiring = wiring
        self._tls = tls
        self._metrics = metrics
        self._circuit = circuit
        self._destinations: dict[str, tuple[SecretStr, Destination]] = {}  # by agent

    async def __call__(self, profile: Profile) -> Socket:
        """Open the vendor's socket for an agent. Raises `UpstreamError`."""
        if self._circuit.opens_in > 0:
            raise UpstreamError(UPSTREAM_FAILED, "the circuit is open")
        begun = monotonic()
        endpoint = self._endpoints[profile.name]
        try:
            socket = await dial(
                await self._destination(profile.name, endpoint),
                limits=self._limits,
                timeout=self._timeout,
                ssl=self._tls if endpoint.base.startswith("wss") else None,
                wiring=self._wiring,
                proxies=self._proxies,
            )
        except DialError as failed:
            raise self._failed(profile, failed.kind.value, failed) from None
        except UpstreamError as failed:
            raise self._failed(profile, "no_credential", failed) from None
        self._metrics.upstream_connect_seconds.observe(monotonic() - begun)
        return socket

    async def _destination(self, agent: str, endpoint: Endpoint) -> Destination:
        """Take an endpoint's URL apart, unless that is done: a credential is seldom renewed."""
        credential = await endpoint.credential.current()
        known = self._destinations.get(agent)
        if known is not None and known[0] is credential:
            return known[1]
        destination = Destination(endpoint.url_with(credential))
        self._destinations[agent] = (credential, destination)
        return destination

    def _failed(self, profile: Profile, kind: str, failed: RelayError) -> UpstreamError:
        """Count and log a failure, with what an operator can do about it."""
        self._circuit.failed()
        self._metrics.upstream_failures_total.labels(kind).inc()
        status = getattr(failed, "status", None)
        base = self._endpoints[profile.name].base
        advice = advice_for(kind, status, base, self._proxies)
        log.error("dial_failed", agent=profile.name, kind=kind, status=status, advice=advice)
        timed_out = kind == DialFailure.TIMEOUT.value
        return UpstreamError(UPSTREAM_TIMEOUT if timed_out else UPSTREAM_FAILED, str(failed))
