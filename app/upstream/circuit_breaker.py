"""Circuit breakers: one per agent, and one per endpoint of the vendor.

What fails before the handshake is done (network, TLS, key) fails for every agent of that endpoint;
what the vendor refuses after that, it refuses to one agent, and the others go on.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.upstream.endpoint import Endpoint

FAILURES_TO_OPEN: Final = 5
COOL_DOWN: Final = 5.0


class CircuitBreaker:
    """Stops dialling a vendor that keeps failing, and lets one try through after a while.

    It opens after FAILURES_TO_OPEN failures in a row, for COOL_DOWN seconds; readiness says so.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    @property
    def retry_in(self) -> float:
        """Seconds until the next try; 0 while dialling is allowed."""
        if self._failures < FAILURES_TO_OPEN:
            return 0.0
        return max(0.0, self._until - self._clock())

    def record_success(self) -> None:
        """The vendor answered."""
        self._failures = 0

    def record_failure(self) -> None:
        """The vendor refused, failed or fell silent."""
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._until = self._clock() + COOL_DOWN


class AgentCircuitBreaker(CircuitBreaker):
    """One agent's breaker: records whether the vendor accepts this agent's `initialize`.

    It is open while it has opened itself, and while its `endpoint_breaker` is.
    """

    def __init__(self, way: CircuitBreaker, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(clock)
        self.endpoint_breaker = way

    @property
    def retry_in(self) -> float:
        """Seconds until the next try; 0 while dialling is allowed."""
        return max(super().retry_in, self.endpoint_breaker.retry_in)

    def record_success(self) -> None:
        """The vendor took a conversation's beginning."""
        super().record_success()
        self.endpoint_breaker.record_success()

    def record_failure(self) -> None:
        """The vendor refused this agent by a frame: its endpoint works."""
        super().record_failure()
        self.endpoint_breaker.record_success()


def agent_circuits(
    endpoints: Mapping[str, Endpoint], clock: Callable[[], float] = monotonic
) -> dict[str, AgentCircuitBreaker]:
    """One circuit for each agent; those with one endpoint and credential share its breaker."""
    ways = {endpoint: CircuitBreaker(clock) for endpoint in endpoints.values()}
    return {
        name: AgentCircuitBreaker(ways[endpoint], clock) for name, endpoint in endpoints.items()
    }
