"""Routes and fallbacks are checked at start: a fault names the agent and the member."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.bootstrap.config import profiles
from app.settings import load
from tests.settings.test_load import GOOD, faults

LINE = "(line 1 of RELAY_AGENTS)"


def agents(**own: Any) -> dict[str, str]:
    return GOOD | {"RELAY_AGENTS": json.dumps({"a": own, "b": {}, "c": {"call_types": ["chat"]}})}


FAULTY: dict[str, tuple[dict[str, Any], str]] = {
    "unknown route": (
        {"route": [{"agent": "b"}, {"agent": "x"}]},
        "RELAY_AGENTS: a.route.1.agent names no agent",
    ),
    "twice": ({"route": [{"agent": "b"}, {"agent": "b"}]}, "RELAY_AGENTS: a.route names b twice"),
    "no weight": (
        {"route": [{"agent": "b", "weight": 0}]},
        "RELAY_AGENTS: a.route has no weight above 0",
    ),
    "unknown fallback": ({"fallback": "x"}, "RELAY_AGENTS: a.fallback names no agent"),
    "itself": ({"fallback": "a"}, "RELAY_AGENTS: a.fallback is the agent itself"),
    "no call type": (
        {"fallback": "c", "call_types": ["webCall"]},
        "RELAY_AGENTS: a.fallback has none of its call_types",
    ),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_route_or_fallback_names_its_member(kind: str) -> None:
    own, fault = FAULTY[kind]
    assert faults(agents(**own)) == (f"{fault} {LINE}",)


def test_a_weight_that_is_none_names_its_member() -> None:
    (fault,) = faults(agents(route=[{"agent": "b", "weight": -1}]))
    assert fault.startswith("RELAY_AGENTS: a.route.0.weight: ")


def test_routes_in_a_row_are_refused() -> None:
    given = {"a": {"route": [{"agent": "b"}]}, "b": {"route": [{"agent": "a"}]}}
    told = faults(GOOD | {"RELAY_AGENTS": json.dumps(given)})
    assert told == (
        "RELAY_AGENTS: a.route.0.agent has routes of its own: only one step is followed " + LINE,
        "RELAY_AGENTS: b.route.0.agent has routes of its own: only one step is followed " + LINE,
    )


def test_agents_that_stand_in_for_each_other_are_no_circle() -> None:
    given = {"a": {"fallback": "b"}, "b": {"fallback": "a"}}
    found = profiles(load(GOOD | {"RELAY_AGENTS": json.dumps(given)}))
    assert found["a"].fallback is not None
    assert found["a"].fallback.name == "b"
    assert found["a"].fallback.fallback is None
