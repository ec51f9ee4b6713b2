"""Which agents are not dialled for now: one circuit per agent, and one per way to the vendor.

What fails on the way (the network, TLS, the key) fails for every agent that is dialled so; what
the vendor refuses after that, it refuses to one agent, and the others go on.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from app.relay.dialling import Circuit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.relay.dialling import Endpoint


class AgentCircuit(Circuit):
    """One agent's: it hears how the vendor takes the beginning of this agent's conversations.

    It is open while it has opened itself, and while its `way` is.
    """

    def __init__(self, way: Circuit, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(clock)
        self.way = way

    @property
    def opens_in(self) -> float:
        """Seconds until the next try; 0 while dialling is allowed."""
        return max(super().opens_in, self.way.opens_in)

    def succeeded(self) -> None:
        """The vendor took a conversation's beginning."""
        super().succeeded()
        self.way.succeeded()

    def failed(self) -> None:
        """The vendor refused this agent, in words: the way to it is good."""
        super().failed()
        self.way.succeeded()


def agent_circuits(
    endpoints: Mapping[str, Endpoint], clock: Callable[[], float] = monotonic
) -> dict[str, AgentCircuit]:
    """One circuit for each agent; those with the same endpoint and credential share their way."""
    ways = {endpoint: Circuit(clock) for endpoint in endpoints.values()}
    return {name: AgentCircuit(ways[endpoint], clock) for name, endpoint in endpoints.items()}
