"""Every close code, its meaning, and whether to try again: the contract's table."""

from __future__ import annotations

import pytest

from app.protocol.close_codes import CLOSE_REASONS, CloseReason, Retry

CONTRACT = {
    1000: "no",
    1001: "reconnect",
    1007: "no",
    1009: "no",
    1011: "reconnect",
    4400: "no",
    4401: "no",
    4403: "no",
    4404: "no",
    4408: "reconnect",
    4409: "no",
    4410: "reconnect",
    4429: "reconnect",
    4440: "no",
    4502: "reconnect",
    4503: "reconnect",
    4504: "reconnect",
    4508: "resume",
}


def test_codes_and_retries_are_the_contract_s() -> None:
    assert {reason.code: reason.retry.value for reason in CLOSE_REASONS} == CONTRACT


@pytest.mark.parametrize("reason", CLOSE_REASONS, ids=lambda reason: reason.name)
def test_reason_fits_a_close_frame_and_an_answer(reason: CloseReason) -> None:
    assert len(reason.name.encode()) <= 123
    assert 200 <= reason.http < 600
    assert reason.message.endswith(".")


def test_names_and_codes_are_unique() -> None:
    assert len({reason.name for reason in CLOSE_REASONS}) == len(CLOSE_REASONS)
    assert len({reason.code for reason in CLOSE_REASONS}) == len(CLOSE_REASONS)


def test_those_that_say_when_to_come_back_say_to_come_back() -> None:
    waiting = [reason for reason in CLOSE_REASONS if reason.retry_after]
    assert {reason.code for reason in waiting} == {4429, 4503}
    assert all(reason.retry is Retry.RECONNECT for reason in waiting)
