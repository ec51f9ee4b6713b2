"""What needs an approval must be a tool of the gateway's: a misspelt name would run unasked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.bootstrap.application import build
from app.protocol.errors import ConfigurationError
from app.settings import load

TOOLS = {"RELAY_TOOLS": "app.examples.support_tools"}
NAME = "check_order_status"


def given(profile: dict[str, Any]) -> dict[str, str]:
    agents = json.dumps({"support": profile})
    return {"RELAY_BLACKBOX_API_KEY": "key", "RELAY_AGENTS": agents, **TOOLS}


@pytest.mark.parametrize(
    ("profile", "fault"),
    [
        ({"approve": {NAME: "boss"}}, "support.approve.check_order_status: should be 'operator'"),
        ({"approve": {"show": "user"}, "browser_tools": ["show"]}, "approve.show: a tool of the"),
        ({"approve": {NAME: "user"}, "tools": ["other"]}, "is not among its tools"),
        ({"approve": {"check_order": "user"}}, "approve.check_order: no tool has this name"),
    ],
)
def test_an_approval_that_would_never_be_asked_for_is_refused(
    profile: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        build(load(given(profile)))
    (line,) = refused.value.faults
    assert line.startswith("RELAY_AGENTS: support.approve")
    assert fault in line


def test_tools_of_functions_may_need_an_approval() -> None:
    assert load(given({"approve": {NAME: "operator"}})).agent_settings["support"].approve
    build(load(given({"approve": {NAME: "operator"}})))
