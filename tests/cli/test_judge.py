"""What counts as one call where it is seen in two ways, and what a difference says of it."""

from __future__ import annotations

from itertools import permutations

from app.cli.conversing.observed import UNSEEN, ToolCall
from app.cli.scenarios.judge import SeenTurn, mismatches
from app.cli.scenarios.model import Expectation

# A page's tool as its frame shows it, and as the live events show it to a token without contents.
FIRST = ToolCall("c1", "show_order", {"n": 1}, for_client=True)
SECOND = ToolCall("c2", "show_order", {"n": 2}, for_client=True)
GLIMPSES = [ToolCall(f"at {n}", "show_order", UNSEEN) for n in (1, 2)]
BACKEND = ToolCall("at 3", "check_order_status", UNSEEN)


def test_a_pages_call_that_is_seen_twice_is_one_in_any_order() -> None:
    for order in permutations([FIRST, SECOND, *GLIMPSES, BACKEND]):
        seen = SeenTurn()
        for call in order:
            seen.take(call)
        found = sorted((call.name, str(call.args)) for call in seen.calls.values())
        assert found == [
            (BACKEND.name, UNSEEN),
            (FIRST.name, "{'n': 1}"),
            (SECOND.name, "{'n': 2}"),
        ], order


def test_two_calls_of_a_backends_tool_are_two() -> None:
    seen = SeenTurn()
    for call in (BACKEND, ToolCall("at 4", BACKEND.name, UNSEEN)):
        seen.take(call)
    assert len(seen.calls) == 2


def test_arguments_that_are_not_shown_are_said_to_be_so() -> None:
    seen = SeenTurn()
    seen.take(BACKEND)
    tool = {"name": BACKEND.name, "args": {"order_number": "1001"}}
    [told] = mismatches(Expectation.model_validate({"tool": tool}), seen)
    assert told.received == f"a call of {BACKEND.name} {UNSEEN}"
