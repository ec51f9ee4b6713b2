"""Patterns of schemas are matched in linear time, wherever they stand."""

from __future__ import annotations

import time
from typing import Any

import pytest

from blackbox_relay.patterns import compiled
from blackbox_relay.schema import SchemaCheck

EVIL = "^(a+)+$"
"""With Python's `re`, each further `a` before the `!` doubles the time: this text takes years."""

TEXT = "a" * 100 + "!"
PLACES: dict[str, tuple[dict[str, Any], Any]] = {
    "pattern": ({"pattern": EVIL}, TEXT),
    "patternProperties": ({"patternProperties": {EVIL: {"type": "integer"}}}, {TEXT: "x"}),
    "additionalProperties": (
        {"patternProperties": {EVIL: {}}, "additionalProperties": {"type": "integer"}},
        {TEXT: 1},
    ),
    "unevaluatedProperties": (
        {"allOf": [{"patternProperties": {EVIL: {}}}], "unevaluatedProperties": False},
        {TEXT: 1},
    ),
    "propertyNames": ({"propertyNames": {"pattern": EVIL}}, {TEXT: 1}),
    "a schema of its own draft": (
        {
            "$ref": "#/$defs/text",
            "$defs": {
                "text": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": EVIL}
            },
        },
        TEXT,
    ),
    "a reference to the root": (
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "anyOf": [{"type": "string"}, {"items": {"$ref": "#"}}],
            "pattern": EVIL,
        },
        [TEXT],
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_pattern_that_backtracks_takes_no_time(place: str) -> None:
    schema, value = PLACES[place]
    check = SchemaCheck(schema)
    began = time.thread_time()
    check.error(value)
    assert time.thread_time() - began < 0.1


@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        (r"^\u00e4+$", "ää", "a"),
        (r"^\u{1F600}$", "\U0001f600", "a"),
        (r"^\\u0061$", "\\u0061", "a"),
        (r"^\p{Lu}$", "Ü", "ü"),
        (r"^[a-z]+$", "a", "a\n"),
        (r"\d", "x1", "\u0661"),
        (r"^.$", "\ud800", "ab"),
    ],
)
def test_patterns_are_ecma_262s(pattern: str, fits: str, fails: str) -> None:
    check = SchemaCheck({"pattern": pattern})
    assert check.unreadable == ()
    assert check.error(fits) is None
    assert check.error(fails) is not None


@pytest.mark.parametrize("pattern", ["(?=a)", "(?<!a)b", r"(.)\1", "a{100000}", "(", "\ud800", 7])
def test_what_has_no_linear_match_is_none(pattern: object) -> None:
    assert compiled(pattern) is None


def test_names_that_a_pattern_allows_are_not_additional() -> None:
    schema = {
        "properties": {"a": {}},
        "patternProperties": {"^x-": {"type": "integer"}, "^y": {}},
        "additionalProperties": False,
    }
    check = SchemaCheck(schema)
    assert check.error({"a": 1, "x-1": 1, "yes": "no"}) is None
    assert check.error({"a": 1, "x-1": "one"}) is not None
    refused = check.error({"b": 1})
    assert refused is not None
    assert refused.validator == "additionalProperties"


def test_what_is_left_out_is_named() -> None:
    schema = {
        "properties": {"a": {"patternProperties": {"^x": {}}, "unevaluatedProperties": False}},
        "pattern": "(?=a)",
    }
    check = SchemaCheck(schema)
    assert check.unreadable == ("$.pattern", "$.properties.a.unevaluatedProperties")
    assert check.error({"a": {"b": 1}}) is None
