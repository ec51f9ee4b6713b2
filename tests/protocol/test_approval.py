"""Approval of tool calls: the first decision by whom it is for stands, and is remembered."""

from __future__ import annotations

from typing import Any

from app.protocol.approval import (
    EXPIRED,
    MAX_ARGS,
    MAX_REMEMBERED,
    ApprovalLedger,
    ApprovalRequest,
    Decider,
    Decision,
    Verdict,
    decision_of_operator,
    decision_of_user,
    request_from_json,
)
from blackbox_relay import exact_json

YES, NO = decision_of_operator("eve", approve=True), decision_of_operator("eve", approve=False)


def request(call_id: str = "1", decider: str = "operator") -> ApprovalRequest:
    return ApprovalRequest("s-1", call_id, "support", "refund", {"n": 1}, decider, 1.0, 21.0)


def asked(*requests: ApprovalRequest) -> ApprovalLedger:
    return ApprovalLedger({each.id: each for each in requests})


def test_the_first_decision_stands() -> None:
    ledger = asked(request())
    assert ledger.decide("1", NO, Decider.OPERATOR) is Verdict.TAKEN
    assert ledger.decide("1", YES, Decider.OPERATOR) is Verdict.DECIDED_BEFORE
    assert ledger.decide("1", NO, Decider.OPERATOR) is Verdict.REPEATED
    assert ledger.decided["1"] == NO
    assert ledger.pending == {}


def test_only_whom_it_is_for_decides() -> None:
    ledger = asked(request("1", "user"), request("2", "operator"))
    assert ledger.decide("1", YES, Decider.OPERATOR) is Verdict.NOT_THEIRS
    assert ledger.decide("2", decision_of_user(approve=True), Decider.USER) is Verdict.NOT_THEIRS
    assert ledger.pending.keys() == {"1", "2"}
    assert ledger.decide("3", YES, Decider.OPERATOR) is Verdict.ABSENT


def test_what_expired_is_decided() -> None:
    ledger = asked(request())
    ledger.settle("1", EXPIRED)
    assert ledger.decide("1", YES, Decider.OPERATOR) is Verdict.DECIDED_BEFORE


def test_decisions_are_remembered_within_a_bound() -> None:
    ledger = ApprovalLedger()
    for number in range(MAX_REMEMBERED + 1):
        ledger.settle(str(number), NO)
    assert len(ledger.decided) == MAX_REMEMBERED
    assert ledger.decide("0", NO, Decider.OPERATOR) is Verdict.ABSENT


def test_a_request_passes_between_replicas_with_every_digit() -> None:
    written = exact_json.dumps(request().to_json() | {"args": {"n": 2**70}, "of_a_later": 1})
    read = request_from_json(exact_json.loads_all(written))
    assert read is not None
    assert read.args == {"n": 2**70}
    others: tuple[Any, ...] = (None, [], {}, {"session_id": "s"})
    for other in others:
        assert request_from_json(other) is None


def test_arguments_are_shown_up_to_64_kib() -> None:
    assert MAX_ARGS == 65_536


def test_a_decision_says_what_became_of_the_call() -> None:
    assert Decision(approve=True, by="ada").state == "approved"
    assert Decision(approve=False).state == "declined"
    assert Decision(approve=False, cause="expired").state == "expired"
