"""The tool calls of a conversation with several pages, as one page sees them."""

from __future__ import annotations

from app.protocol.page_calls import (
    PageCalls,
    is_on_another_page,
    sent_to_another_page,
    sent_to_first_page,
)
from app.protocol.tool import ToolCall
from app.protocol.tool_ledger import Pending, ToolLedger


def shown(call_id: str, payload: bytes | None = None) -> Pending:
    return Pending(ToolCall(call_id, "show_order", {}), None, payload)


def test_an_answer_of_any_page_is_the_answer_for_all() -> None:
    shared = ToolLedger()
    one, other = PageCalls(shared), PageCalls(shared)
    shared.shown["a"] = shown("a", b"request a")
    one.numbers["a"] = other.numbers["a"] = 3
    one.answered("a", b"answer")
    assert (one.answer_to("a"), other.answer_to("a")) == (b"answer", b"answer")
    assert "a" not in one.shown
    assert other.reissue(received=9, count=9) == ()
    assert other.numbers == {}


def test_unanswered_requests_are_sent_again_with_the_next_numbers() -> None:
    shared = ToolLedger()
    page = PageCalls(shared)
    for number, call_id in enumerate(("a", "b", "c"), start=4):
        shared.shown[call_id] = shown(call_id, b"request " + call_id.encode())
        page.numbers[call_id] = number
    assert page.reissue(received=5, count=10) == (b"request a", b"request b")
    assert page.numbers == {"a": 11, "b": 12, "c": 6}


def test_a_request_without_a_frame_is_not_sent_again() -> None:
    shared = ToolLedger()
    page = PageCalls(shared)
    shared.shown["a"] = shown("a")
    page.numbers["a"] = 1
    assert page.reissue(received=5, count=10) == ()
    assert page.numbers == {}


def test_a_request_of_another_page_is_told_from_one_of_the_first() -> None:
    pending = shown("a", b"request")
    assert is_on_another_page(sent_to_another_page(pending))
    moved = sent_to_first_page(sent_to_another_page(pending), 7)
    assert (moved.number, is_on_another_page(moved)) == (8, False)
