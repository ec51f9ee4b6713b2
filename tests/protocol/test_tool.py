"""A call and its one result."""

from __future__ import annotations

import pytest

from app.protocol.tool import DEFAULT_MESSAGES, Outcome, ToolCall, failure

CALL = ToolCall("call-1", "look_up", {"n": 1})


@pytest.mark.parametrize("outcome", DEFAULT_MESSAGES)
def test_failure_has_a_code_and_a_sentence(outcome: Outcome) -> None:
    result = failure(CALL, outcome)
    assert (result.id, result.outcome) == ("call-1", outcome)
    assert result.result == {"error": {"code": outcome.value, "message": DEFAULT_MESSAGES[outcome]}}


def test_failure_may_say_more() -> None:
    result = failure(CALL, Outcome.BAD_ARGS, "n must be a number.")
    assert result.result["error"]["message"] == "n must be a number."


def test_every_outcome_that_is_a_failure_can_be_spoken_of() -> None:
    assert set(DEFAULT_MESSAGES) == set(Outcome) - {Outcome.OK, Outcome.FALLBACK}
