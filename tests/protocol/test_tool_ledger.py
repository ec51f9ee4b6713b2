"""Each request id is answered once, and always alike."""

from __future__ import annotations

from app.protocol.tool import ToolCall
from app.protocol.tool_ledger import (
    MAX_REMEMBERED,
    MAX_REMEMBERED_BYTES,
    MAX_RUNNING,
    Pending,
    ToolLedger,
)


def pending(call_id: str, number: int = 0, payload: bytes | None = None) -> Pending:
    return Pending(ToolCall(call_id, f"tool_{call_id}", {}), None, payload, number)


def test_answer_is_remembered_and_the_call_is_no_longer_pending() -> None:
    ledger = ToolLedger()
    ledger.running["a"] = pending("a")
    assert ledger.knows("a")
    assert ledger.name_of("a") == "tool_a"
    assert ledger.answer_to("a") is None
    ledger.answered("a", b"answer")
    assert not ledger.knows("a")
    assert ledger.answer_to("a") == b"answer"
    assert ledger.name_of("a") == ""


def test_browser_s_calls_are_pending_too() -> None:
    ledger = ToolLedger()
    ledger.shown["b"] = pending("b", 1, b"request")
    assert ledger.knows("b")
    assert ledger.name_of("b") == "tool_b"
    ledger.answered("b", b"answer")
    assert not ledger.shown


def test_ledger_is_full_at_its_bound() -> None:
    ledger = ToolLedger()
    for at in range(MAX_RUNNING // 2):
        ledger.running[f"r{at}"] = pending(f"r{at}")
        assert not ledger.is_full
        ledger.shown[f"s{at}"] = pending(f"s{at}")
    assert ledger.is_full


def test_oldest_answers_are_forgotten_past_the_count() -> None:
    ledger = ToolLedger()
    for at in range(MAX_REMEMBERED + 1):
        ledger.answered(str(at), b"x")
    assert ledger.answer_to("0") is None
    assert ledger.answer_to("1") == b"x"


def test_oldest_answers_are_forgotten_past_the_bytes() -> None:
    ledger = ToolLedger()
    ledger.answered("a", b"x" * (MAX_REMEMBERED_BYTES // 2))
    ledger.answered("b", b"x" * (MAX_REMEMBERED_BYTES // 2))
    assert ledger.answer_to("a") is not None
    ledger.answered("c", b"x")
    assert ledger.answer_to("a") is None
    assert ledger.answer_to("b") is not None


def test_newest_answer_is_remembered_however_large() -> None:
    ledger = ToolLedger()
    ledger.answered("a", b"x")
    ledger.answered("b", b"x" * (MAX_REMEMBERED_BYTES + 1))
    assert ledger.answer_to("a") is None
    assert ledger.answer_to("b") is not None


def test_requests_that_were_had_and_not_answered_are_asked_again() -> None:
    ledger = ToolLedger()
    for at, name in enumerate("abc", 1):
        ledger.shown[name] = pending(name, at * 10, name.encode())
    assert ledger.reissue(20, 30) == (b"a", b"b")
    assert ledger.reissue(9, 30) == ()


def test_requests_that_were_asked_again_count_by_their_new_number() -> None:
    ledger = ToolLedger()
    ledger.shown["a"] = pending("a", 1, b"a")
    assert ledger.reissue(5, 5) == (b"a",)
    assert ledger.reissue(5, 6) == ()  # it is among the frames that are replayed
    assert ledger.reissue(6, 6) == (b"a",)
