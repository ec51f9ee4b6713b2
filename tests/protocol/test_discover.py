from __future__ import annotations

from typing import Any

import pytest

from app.protocol.discover import document, feature, malformed, tool_names
from app.protocol.initialize import Profile
from app.protocol.principal import CallType

PROFILE = Profile("shop", browser_tools=frozenset({"b", "a"}))
EVERY = frozenset(CallType)


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ({}, None),
        ({"novelty": object}, None),
        ({"description": None, "widgetAppearance": None, "tools": None}, None),
        ({"features": [], "toolsViaWebsocket": ["a"]}, None),
        (None, "answer"),
        ([], "answer"),
        ("{}", "answer"),
        ({"enabled": "true"}, "enabled"),
        ({"enabled": None}, "enabled"),
        ({"agentId": 7}, "agentId"),
        ({"features": None}, "features"),
        ({"features": ["AllowWebChat"]}, "features"),
        ({"features": [{"name": "AllowWebChat"}]}, "features"),
        ({"features": [{"name": 7, "enabled": True}]}, "features"),
        ({"tools": [7]}, "tools"),
        ({"tools": ["x" * 200]}, "tools"),
        ({"tools": [{"name": "a b"}]}, "tools"),
        ({"tools": [f"t{n}" for n in range(257)]}, "tools"),
        ({"toolsViaWebsocket": ["a", None]}, "tools"),
    ],
)
def test_first_member_that_is_wrong_is_named(answer: Any, wrong: str | None) -> None:
    assert malformed(answer) == wrong


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ({}, set()),
        ({"tools": ["a", {"name": "b", "schema": {}}]}, {"a", "b"}),
        ({"toolsViaWebsocket": ["c"]}, {"c"}),
        ({"tools": [], "toolsViaWebsocket": ["c"]}, set()),
        ({"tools": None, "toolsViaWebsocket": ["c"]}, {"c"}),
    ],
)
def test_tools_are_read_under_both_names(answer: dict[str, Any], names: set[str]) -> None:
    assert tool_names(answer) == names


def test_null_of_the_vendor_leaves_the_profile_s_member() -> None:
    told = document(PROFILE, EVERY, {"name": None, "widgetAppearance": None, "novelty": None})
    assert told["name"] == "shop"
    assert told["widgetAppearance"]["position"] == "bottom-right"
    assert told["novelty"] is None


def test_profile_overrides_the_vendor_and_neither_allows_more_call_types() -> None:
    profile = Profile("shop", discover={"name": "Ours", "widgetAppearance": {"theme": "dark"}})
    vendor = {
        "name": "Theirs",
        "widgetAppearance": {"theme": "light", "position": "top-left"},
        "features": [{"name": "AllowWebCall", "enabled": True, "limit": 3}],
    }
    told = document(profile, {CallType.CHAT}, vendor)
    assert told["name"] == "Ours"
    assert told["widgetAppearance"]["theme"] == "dark"
    assert told["widgetAppearance"]["position"] == "top-left"
    assert told["features"] == [{"name": "AllowWebCall", "enabled": False, "limit": 3}]
    assert vendor["features"] == [{"name": "AllowWebCall", "enabled": True, "limit": 3}]


def test_feature_that_is_not_mentioned_is_unknown() -> None:
    answer = {"features": [{"name": "SendCallResult", "enabled": False}]}
    assert feature(answer, "SendCallResult") is False
    assert feature(answer, "AllowWebChat") is None
