"""The shape of unknown frames: names and types, never a value."""

from __future__ import annotations

import json
from typing import Any

from app.protocol.shapes import MAX_SHAPE, shape_of


def shape(**members: Any) -> Any:
    return json.loads(shape_of({"type": "novel", **members}))


def test_names_and_types_stay_and_values_do_not() -> None:
    told = shape_of(
        {
            "type": "agentState",
            "name": "transcriptionReady",
            "data": {"state": "SECRET-1", "score": 0.25, "on": True, "no": None, "n": 2**70},
            "list": [{"word": "SECRET-2"}, 1],
            "empty": [],
        }
    )
    assert "SECRET" not in told
    assert json.loads(told) == {
        "type": "agentState",
        "name": "transcriptionReady",
        "data": {
            "state": "string",
            "score": "number",
            "on": "boolean",
            "no": "null",
            "n": "number",
        },
        "list": [{"word": "string"}],
        "empty": [],
    }


def test_keys_that_may_be_values_are_not_names() -> None:
    told = shape(data={"+15550100": 1, "ann@example.com": 2, "555 0100": 3, "v1": {"4711": 4}})
    assert told["data"] == {"<other>": "number", "v1": {"<other>": "number"}}
    assert shape(name="Your PIN is 1234")["name"] == "<other>"


def test_a_shape_is_bounded_in_depth_members_and_size() -> None:
    deep: Any = 1
    for _ in range(60):
        deep = {"a": deep}
    assert shape(a=deep)["a"] == {"a": {"a": {"a": "object"}}}
    wide = {
        f"key{letter}{other}": {f"inner{n}": 1 for n in range(30)}
        for letter in "abcdefgh"
        for other in "abcdefgh"
    }
    assert len(shape_of({"type": "wide", "data": wide, **wide})) <= MAX_SHAPE


def test_bounds_of_a_shape_are_exact() -> None:
    letters = [f"{one}{other}" for one in "abcdefg" for other in "abcdefg"]
    assert list(shape(data=dict.fromkeys(letters, 1))["data"]) == letters[:32]
    assert shape(a=[[[[1]]]])["a"] == [[["array"]]]
    assert shape(a=[{"b": {"c": 1, "d": {}}}])["a"] == [{"b": {"c": "number", "d": "object"}}]
    long = {key * 20: dict.fromkeys(letters, 1) for key in letters[:20]}
    cut = json.loads(shape_of({"type": "wide", "data": {"a": 1}, **long}))
    assert cut == {"type": "wide", "data": "object", **dict.fromkeys(long, "object")}
