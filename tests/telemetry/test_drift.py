"""Shapes of what the vendor sends and nobody knows: counted, bounded, logged once."""

from __future__ import annotations

import json
from typing import Any

from app.telemetry.drift import DriftLog, SeenShape


def payload(**members: Any) -> bytes:
    return json.dumps({"type": "novel", **members}).encode()


def test_a_shape_is_kept_once_and_counted() -> None:
    new: list[SeenShape] = []
    drift = DriftLog(new.append)
    drift.note("type", payload(data={"state": "one"}), 10.0)
    drift.note("type", payload(data={"state": "another"}), 20.0)
    drift.note("field", payload(data={"state": 7}), 15.0)
    assert drift.view() == {
        "shapes": [
            {
                "kind": "type",
                "shape": {"type": "novel", "data": {"state": "string"}},
                "count": 2,
                "first_seen": 10.0,
                "last_seen": 20.0,
            },
            {
                "kind": "field",
                "shape": {"type": "novel", "data": {"state": "number"}},
                "count": 1,
                "first_seen": 15.0,
                "last_seen": 15.0,
            },
        ],
        "omitted": 0,
    }
    assert [seen.kind for seen in new] == ["type", "field"]


def test_what_is_beyond_the_bound_is_counted_alone() -> None:
    drift = DriftLog(limit=2)
    for letter in "abcd":
        drift.note("field", payload(**{letter: 1}), 1.0)
    drift.note("field", payload(a=2), 2.0)
    told = drift.view()
    assert (len(told["shapes"]), told["omitted"]) == (2, 2)
    assert told["shapes"][0]["count"] == 2


def test_a_number_that_no_double_can_hold_ends_nothing() -> None:
    drift = DriftLog()
    drift.note("type", b'{"type":"novel","n":1e999}', 1.0)
    assert drift.view()["omitted"] == 1
