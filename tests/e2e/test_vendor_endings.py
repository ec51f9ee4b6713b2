"""Each way in which the vendor ends a conversation: close code, advice to retry, and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize(
    ("fault", "code", "retry", "after", "line", "failure"),
    [
        ("missing_token", 4502, "reconnect", False, "upstream_refused", "missing_token"),
        ("invalid_token", 4502, "reconnect", False, "upstream_refused", "invalid_token"),
        ("not_enabled", 4502, "reconnect", False, "upstream_refused", "not_enabled"),
        ("origin_not_allowed", 4502, "reconnect", False, "upstream_refused", "origin_not_allowed"),
        ("concurrent_limit", 4503, "reconnect", True, "upstream_refused", "concurrent_limit"),
        ("drop_on_open", 4502, "reconnect", False, "upstream_lost", None),
    ],
)
async def test_a_refusal_has_its_code_its_advice_and_its_line(
    calm: Gateway,
    vendor: Emulator,
    fault: str,
    code: int,
    retry: str,
    after: bool,
    line: str,
    failure: str | None,
) -> None:
    await vendor.order(fault)
    async with browser(f"{calm.ws}/ws/echo?call_type=chat") as page:
        session = await page.started()
        await ended(calm, page, session, code, retry, line, failure, after=after)


@pytest.mark.parametrize(
    ("fault", "code", "retry", "line", "failure"),
    [
        ("failed_open", 4502, "reconnect", "upstream_refused", "failed_open"),
        ("too_large", 1009, "no", "upstream_refused", "too_large_message"),
        ("drop_on_initialize", 4502, "reconnect", "upstream_lost", None),
        ("drop", 4502, "reconnect", "upstream_lost", None),
    ],
)
async def test_an_end_of_a_conversation_has_its_code_its_advice_and_its_line(
    calm: Gateway, fault: str, code: int, retry: str, line: str, failure: str | None
) -> None:
    async with browser(f"{calm.ws}/ws/echo") as page:
        await page.wish(fault=fault, reason="No such number")
        session = await page.started()
        logged = await ended(calm, page, session, code, retry, line, failure)
    if fault == "failed_open":
        assert logged["said"] == "No such number"
        assert [one for one in page.frames if one.get("name") == "failedOpen"]


async def test_a_socket_without_a_close_frame_after_the_end_is_a_normal_end(
    calm: Gateway,
) -> None:
    async with browser(f"{calm.ws}/ws/echo") as page:
        await page.wish(fault="drop_after_closed")
        session = await page.connected()
        await page.say("bye")
        await page.frame("event", "closed")
        await until(lambda: calm.lines("session_ended", session=session, code=1000))
    assert not calm.lines("upstream_lost", session=session)


async def ended(
    calm: Gateway,
    page: Any,
    session: str,
    code: int,
    retry: str,
    line: str,
    failure: str | None,
    *,
    after: bool = False,
) -> dict[str, Any]:
    """Hold error frame, close code and log; returns the log's line."""
    error, closed = await page.refused()
    assert closed == error["code"] == code
    assert error["retry"] == retry
    assert ("retryAfter" in error) is after
    await until(lambda: calm.lines("session_ended", session=session, code=code))
    (logged,) = calm.lines(line, session=session)
    assert logged.get("failure") == failure
    assert logged["advice"]
    async with browser(f"{calm.ws}/ws/echo?call_type=chat") as next_page:
        await next_page.talks("served")  # five refusals in a row would open the agent's circuit
    return dict(logged)
