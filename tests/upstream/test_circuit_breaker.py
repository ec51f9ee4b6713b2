"""Which agents are dialled after failures: the way's failures are everybody's, others are not."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from app.upstream.circuit_breaker import COOL_DOWN, FAILURES_TO_OPEN, agent_circuits
from app.upstream.endpoint import Endpoint, StaticCredential


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def endpoint(key: str = "one", base: str = "wss://vendor.example") -> Endpoint:
    return Endpoint(base, "/api/v1/ws/dev", "authorization", StaticCredential(SecretStr(key)))


def test_agents_with_the_same_endpoint_and_key_share_their_way() -> None:
    circuits = agent_circuits(
        {"a": endpoint(), "b": endpoint(), "c": endpoint("two"), "d": endpoint(base="wss://e")}
    )
    assert circuits["a"].endpoint_breaker is circuits["b"].endpoint_breaker
    assert len({id(circuit.endpoint_breaker) for circuit in circuits.values()}) == 3


def test_failing_way_opens_for_all_who_share_it_and_for_nobody_else() -> None:
    clock = Clock()
    circuits = agent_circuits({"a": endpoint(), "b": endpoint(), "c": endpoint("two")}, clock)
    for _ in range(FAILURES_TO_OPEN):
        circuits["a"].endpoint_breaker.record_failure()
    assert [circuits[name].retry_in for name in "abc"] == [COOL_DOWN, COOL_DOWN, 0]
    clock.now += COOL_DOWN
    assert [circuits[name].retry_in for name in "abc"] == [0, 0, 0]
    circuits["b"].record_success()
    circuits["a"].endpoint_breaker.record_failure()
    assert circuits["a"].retry_in == 0, "a success begins the count anew"


def test_refused_agent_refuses_no_other_agent() -> None:
    clock = Clock()
    circuits = agent_circuits({"a": endpoint(), "b": endpoint()}, clock)
    for _ in range(FAILURES_TO_OPEN):
        circuits["a"].record_failure()
    assert [circuits[name].retry_in for name in "ab"] == [COOL_DOWN, 0]
    circuits["b"].record_success()
    assert circuits["a"].retry_in == COOL_DOWN, "what another agent hears is no news of this one"


def test_vendor_that_refuses_in_words_shows_that_the_way_is_good() -> None:
    circuits = agent_circuits({"a": endpoint(), "b": endpoint()})
    for _ in range(FAILURES_TO_OPEN - 1):
        circuits["b"].endpoint_breaker.record_failure()
    circuits["a"].record_failure()
    circuits["b"].endpoint_breaker.record_failure()
    assert circuits["b"].retry_in == 0
