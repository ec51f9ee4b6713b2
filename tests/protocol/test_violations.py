"""How often either side may break the protocol."""

from __future__ import annotations

import json

from app.protocol.actions import NOTHING, Count, End, ToBrowser
from app.protocol.close_codes import BAD_FRAMES, UPSTREAM_FAILED
from app.protocol.validation import FrameRejected
from app.protocol.violations import MAX_VIOLATIONS, Violations

BAD = FrameRejected(BAD_FRAMES, "That is no JSON.", "bad_json")


def test_three_are_too_many() -> None:
    assert MAX_VIOLATIONS == 3


def test_a_browser_is_told_twice_and_then_ended() -> None:
    violations = Violations("s-1")
    told = [violations.by_browser(BAD, 1.0) for _ in range(MAX_VIOLATIONS)]
    for counted, answer in told[:-1]:
        assert counted == Count("bad_json")
        assert isinstance(answer, ToBrowser)
        said = json.loads(answer.payload)["data"]
        assert (said["code"], said["message"]) == (BAD_FRAMES.code, "That is no JSON.")
    assert told[-1] == (Count("bad_json"), End(BAD_FRAMES, "That is no JSON."))


def test_upstream_fails_by_its_third_and_is_counted_no_further() -> None:
    violations = Violations("s-1")
    counted = Count("malformed_upstream")
    assert [violations.by_upstream() for _ in range(MAX_VIOLATIONS + 2)] == [
        *[(counted,)] * (MAX_VIOLATIONS - 1),
        (counted, End(UPSTREAM_FAILED)),
        NOTHING,
        NOTHING,
    ]


def test_each_side_has_its_own_count() -> None:
    violations = Violations("s-1")
    for _ in range(MAX_VIOLATIONS - 1):
        violations.by_upstream()
    assert isinstance(violations.by_browser(BAD, 1.0)[1], ToBrowser)
