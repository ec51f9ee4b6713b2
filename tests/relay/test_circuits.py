"""Which agents are dialled after failures: the way's failures are everybody's, others are not."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from app.relay.circuits import agent_circuits
from app.relay.dialling import COOL_DOWN, FAILURES_TO_OPEN, Endpoint, GivenCredential


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def endpoint(key: str = "one", base: str = "wss://vendor.example") -> Endpoint:
    return Endpoint(base, "/api/v1/ws/dev", "authorization", GivenCredential(SecretStr(key)))


def test_agents_with_the_same_endpoint_and_key_share_their_way() -> None:
    circuits = agent_circuits(
        {"a": endpoint(), "b": endpoint(), "c": endpoint("two"), "d": endpoint(base="wss://e")}
    )
    assert circuits["a"].way is circuits["b"].way
    assert len({id(circuit.way) for circuit in circuits.values()}) == 3


def test_failing_way_opens_for_all_who_share_it_and_for_nobody_else() -> None:
    clock = Clock()
    circuits = agent_circuits({"a": endpoint(), "b": endpoint(), "c": endpoint("two")}, clock)
    for _ in range(FAILURES_TO_OPEN):
        circuits["a"].way.failed()
    assert [circuits[name].opens_in for name in "abc"] == [COOL_DOWN, COOL_DOWN, 0]
    clock.now += COOL_DOWN
    assert [circuits[name].opens_in for name in "abc"] == [0, 0, 0]
    circuits["b"].succeeded()
    circuits["a"].way.failed()
    assert circuits["a"].opens_in == 0, "a success begins the count anew"


def test_refused_agent_refuses_no_other_agent() -> None:
    clock = Clock()
    circuits = agent_circuits({"a": endpoint(), "b": endpoint()}, clock)
    for _ in range(FAILURES_TO_OPEN):
        circuits["a"].failed()
    assert [circuits[name].opens_in for name in "ab"] == [COOL_DOWN, 0]
    circuits["b"].succeeded()
    assert circuits["a"].opens_in == COOL_DOWN, "what another agent hears is no news of this one"


def test_vendor_that_refuses_in_words_shows_that_the_way_is_good() -> None:
    circuits = agent_circuits({"a": endpoint(), "b": endpoint()})
    for _ in range(FAILURES_TO_OPEN - 1):
        circuits["b"].way.failed()
    circuits["a"].failed()
    circuits["b"].way.failed()
    assert circuits["b"].opens_in == 0
