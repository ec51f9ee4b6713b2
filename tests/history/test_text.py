"""Whatever a tool or an agent said becomes text that every database takes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from app.history.text import LARGEST_VALUE, as_json, clean


@pytest.mark.parametrize(
    ("value", "back"),
    [
        ({"a": [1, None, "ü"]}, {"a": [1, None, "ü"]}),
        (MappingProxyType({"a": MappingProxyType({"b": 1})}), {"a": {"b": 1}}),
        ({"n": 2**80}, {"n": 2**80}),
        ({1: 2}, {"1": 2}),
        (frozenset({7}), [7]),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00+00:00"),
    ],
)
def test_a_value_becomes_json(value: Any, back: Any) -> None:
    assert json.loads(as_json(value)) == back


def test_a_lone_surrogate_stays_escaped() -> None:
    encoded = as_json({"a": "\ud800"})
    assert encoded.encode()
    assert json.loads(encoded) == {"a": "\ud800"}


def test_what_is_too_deep_or_round_is_null_and_what_is_too_large_says_so() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert as_json(deep) == "null"
    assert as_json("x" * LARGEST_VALUE) == f'{{"tooLarge":{LARGEST_VALUE + 2}}}'


def test_nul_and_surrogates_are_replaced_and_nothing_else() -> None:
    assert clean("a\x00b\ud800c") == "a\ufffdb\ufffdc"
    assert clean("naïve 🙂\n\t") == "naïve 🙂\n\t"
