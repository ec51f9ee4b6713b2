"""What the vendor says when a conversation cannot be: how the browser is closed, what is logged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.protocol.actions import AwaitUpstreamClose, End, Forward, ToBrowser, VendorRefused
from app.protocol.close_codes import (
    CLOSE_REASONS,
    ENDED,
    FRAME_TOO_LARGE,
    OVERLOADED,
    UPSTREAM_FAILED,
)
from app.protocol.phases import Phase
from app.protocol.vendor_failures import (
    ERRORS,
    FAILED_OPEN,
    MAX_SAID,
    advice_on_loss,
    failure_in,
    said_in,
)
from tests.protocol.rules import NOW, frame, live, opened


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Missing token", UPSTREAM_FAILED),
        ("Invalid token", UPSTREAM_FAILED),
        ("invalid token.", UPSTREAM_FAILED),
        ("Web integration is not enabled", UPSTREAM_FAILED),
        ("Origin not allowed", UPSTREAM_FAILED),
        ("Init message not received", UPSTREAM_FAILED),
        ("Multiple init messages received", UPSTREAM_FAILED),
        ("Concurrent limit exceeded", OVERLOADED),
        ("Too large message", FRAME_TOO_LARGE),
    ],
)
def test_a_known_error_decides_the_close_at_the_beginning_and_in_the_middle(
    message: str, reason: Any
) -> None:
    told = frame("error", data={"message": message})
    failure = failure_in(json.loads(told))
    assert failure is not None
    begun = opened()
    assert begun.from_upstream(told, NOW) == (VendorRefused(failure, message), End(reason))
    # An account that is full is no failure of the vendor: its circuit stays closed.
    assert (begun.phase is Phase.INITIALIZING) == (reason is not OVERLOADED)
    rules = live()
    assert rules.from_upstream(told, NOW) == (VendorRefused(failure, message), Forward())
    assert rules.upstream_lost(1000, NOW + 1) is reason
    # One that the conversation survived is not why it ends later.
    assert rules.upstream_lost(1006, NOW + 60) is UPSTREAM_FAILED
    rules.from_upstream(frame("conversationResult"), NOW)
    assert rules.upstream_lost(1006, NOW + 1) is ENDED


@pytest.mark.parametrize("begin", [opened, live])
@pytest.mark.parametrize("data", [{"reason": "Busy"}, {"message": "Busy"}, "Busy"])
def test_failed_open_is_shown_and_ends_the_conversation(begin: Any, data: Any) -> None:
    told = begin().from_upstream(frame("event", name="failedOpen", data=data), NOW)
    assert told == (VendorRefused(FAILED_OPEN, "Busy"), Forward(), End(UPSTREAM_FAILED))


def test_failed_open_without_a_reason_and_after_the_end() -> None:
    assert live().from_upstream(frame("event", name="failedOpen"), NOW) == (
        VendorRefused(FAILED_OPEN, ""),
        Forward(),
        End(UPSTREAM_FAILED),
    )
    rules = live()
    assert rules.from_upstream(frame("conversationResult"), NOW)[-1] == AwaitUpstreamClose()
    assert rules.from_upstream(frame("event", name="failedOpen"), NOW) == (Forward(),)


def test_an_unknown_error_in_mid_conversation_is_passed_and_ends_nothing() -> None:
    rules = live()
    told = frame("error", data={"message": "Something new"})
    assert rules.from_upstream(told, NOW) == (Forward(),)
    assert rules.upstream_lost(1000, NOW) is ENDED


def test_the_vendor_s_words_are_bounded_on_one_line_and_hold_no_credential() -> None:
    said = said_in({"data": {"message": "a\n\x1b[31mb\u2028" + "c" * 5000}}, ())
    assert said == f"a [31mb {'c' * (MAX_SAID - 8)}…"
    assert "canary" not in said_in({"data": {"message": "key canary+key"}}, [b"canary+key"])
    assert said_in({"data": {"message": ["no", "text"]}}, ()) == ""
    assert said_in({"data": {"message": "a\ud800b"}}, ()) == "a b"


def test_a_secret_in_a_reason_is_shown_to_nobody() -> None:
    told = live(secrets=frozenset({b"canary+key"})).from_upstream(
        frame("event", name="failedOpen", data={"reason": "key canary+key is revoked"}), NOW
    )
    assert "canary" not in repr(told[0])
    assert any(isinstance(action, VendorRefused) for action in told)
    assert not [one for one in told if isinstance(one, Forward)]
    assert all(b"canary" not in one.payload for one in told if isinstance(one, ToBrowser))


def test_each_failure_names_a_close_code_of_the_table_and_what_to_do() -> None:
    for failure in (*ERRORS.values(), FAILED_OPEN):
        assert failure.reason in CLOSE_REASONS
        assert len(failure.advice) > 20


@pytest.mark.parametrize("phase", [Phase.INITIALIZING, Phase.OPEN])
@pytest.mark.parametrize("code", [1006, 1000, 1007, 1009, 4321])
def test_a_lost_socket_has_advice_in_every_phase(phase: Phase, code: int) -> None:
    assert len(advice_on_loss(phase, code)) > 20
