"""client.js asks for each approval once, answers once, and again where the answer was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.waiting import until

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway
    from tests.pages.stub_agents import Conversation

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONNECT = """async () => {
    window.told = [];
    window.chat = new RelayClient({ url: '/ws/silent', backoff: { first: 0.05, most: 0.1 } });
    for (const type of ['approval', 'approval-settled']) {
        chat.on(type, (detail) => told.push([type, detail]));
    }
    await chat.open();
}"""
ARGS = {"order_number": "1001", "amount": 25}


async def ask(talk: Conversation, call_id: str = "c1") -> None:
    data = {"id": call_id, "tool": "refund_order", "args": ARGS, "deadline": "2026-01-01T00:00:20Z"}
    await talk.say({"type": "event", "name": "relay.approval_request", "data": data})


async def settle(talk: Conversation, *, approved: bool, call_id: str = "c1") -> None:
    data = {"id": call_id, "approved": approved}
    await talk.say({"type": "event", "name": "relay.approval_settled", "data": data})


async def told(page: Page, count: int) -> list[Any]:
    await page.wait_for_function(f"() => told.length >= {count}")
    found: list[Any] = await page.evaluate("() => told")
    return found


async def test_an_approval_is_told_with_its_arguments_and_answered_once(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate(CONNECT)
    (talk,) = gateway.conversations
    await ask(talk)
    (first,) = await told(page, 1)
    assert first[0] == "approval"
    assert (first[1]["tool"], first[1]["args"]) == ("refund_order", ARGS)
    assert await page.evaluate("() => chat.approvals.map(({ id }) => id)") == ["c1"]
    answers = "() => [chat.approve('c1', false), chat.approve('c1', true), chat.approve('c9')]"
    assert await page.evaluate(answers) == [True, False, False]
    await until(lambda: talk.approvals)
    (answer,) = talk.approvals
    assert (answer["id"], answer["approve"]) == ("c1", False)
    assert await page.evaluate("() => chat.approvals") == []
    await settle(talk, approved=False)
    assert (await told(page, 2))[1] == ["approval-settled", {"id": "c1", "approved": False}]


async def test_asked_again_after_a_resume_it_is_told_once_and_a_lost_answer_is_sent_again(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate(CONNECT)
    (talk,) = gateway.conversations
    await ask(talk, "c1")
    await ask(talk, "c2")
    await told(page, 2)
    await page.evaluate("() => chat.approve('c1')")
    await until(lambda: talk.approvals)
    await talk.close()
    await until(lambda: talk.resumes == 1 and talk.socket is not None)
    await ask(talk, "c1")  # its answer was lost with the connection
    await ask(talk, "c2")
    await until(lambda: len(talk.approvals) == 2)
    assert [(each["id"], each["approve"]) for each in talk.approvals] == [("c1", True)] * 2
    await settle(talk, approved=True, call_id="c1")
    assert [kind for kind, _ in await told(page, 3)] == ["approval", "approval", "approval-settled"]
    await page.evaluate("() => chat.hangUp()")
    ended = (await told(page, 4))[3]
    assert ended == ["approval-settled", {"id": "c2", "approved": False}]
    assert all(not str(frame["type"]).startswith("relay.") for frame in talk.arrived)
