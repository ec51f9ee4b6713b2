"""client.js while the gateway has no upstream session free: `relay.queued`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.support.waiting import until

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway
    from tests.pages.stub_agents import Conversation

pytestmark = pytest.mark.asyncio(loop_scope="session")

COLLECT = (Path(__file__).parent / "collect.js").read_text()
OPEN = """(options) => {
    const chat = watch(new RelayClient({ agent: 'silent', turnGap: 0.1, backoff: { first: 0.05 }, ...options }));
    Object.assign(window, { queues: [], opened: null });
    chat.on('queued', (queue) => queues.push([queue.position, queue.of]));
    chat.open().then(() => { opened = 'open'; }, ({ code }) => { opened = code; });
}"""  # noqa: E501 - a script that runs in the page
DRAINING = {"code": 1001, "message": "This server goes away.", "retry": "reconnect"}


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def busy(page: Page, gateway: StubGateway) -> None:
    """Each session waits."""
    gateway.session_fields = {"queued": True}
    await page.evaluate(COLLECT)


async def waiting(page: Page, gateway: StubGateway, **options: Any) -> Conversation:
    """A client that was told that it is second of three."""
    known = len(gateway.conversations)
    await page.evaluate(OPEN, options)
    await until(lambda: len(gateway.conversations) > known)
    talk = gateway.conversations[-1]
    await told(page, talk, 2, 3)
    return talk


async def told(page: Page, talk: Conversation, position: int, of: int, turn: str = "t") -> None:
    await talk.queued(position, of, turn)
    await page.wait_for_function(
        "([position, of]) => chat.queue?.position === position && chat.queue.of === of",
        arg=[position, of],
    )


async def drain(talk: Conversation) -> None:
    await talk.say({"type": "error", "data": DRAINING})
    await talk.close(1001)


async def states(page: Page) -> list[str]:
    found: list[str] = await page.evaluate("() => seen.states.map(({ state }) => state)")
    return found


def said(talk: Conversation) -> list[str]:
    return [one["content"] for one in talk.arrived if one["type"] == "incomingChatMessage"]


async def test_client_is_queued_until_the_agent_speaks(page: Page, gateway: StubGateway) -> None:
    talk = await waiting(page, gateway)
    assert await page.evaluate("() => [chat.state, opened]") == ["queued", None]
    await talk.say({"type": "event", "name": "relay.draining", "data": {"deadline": "later"}})
    await told(page, talk, 1, 2)
    assert await page.evaluate("() => [chat.state, opened]") == ["queued", None]
    await talk.text("Hello!")
    await page.wait_for_function("() => opened === 'open'")
    assert await page.evaluate("() => [chat.state, chat.queue, queues]") == [
        "live",
        None,
        [[2, 3], [1, 2]],
    ]
    assert await states(page) == ["queued", "live"]
    await page.wait_for_function("() => seen.turns.length === 1")


async def test_lost_line_is_resumed_and_the_client_waits_on(
    page: Page, gateway: StubGateway
) -> None:
    talk = await waiting(page, gateway)
    await talk.close()
    await until(lambda: talk.resumes == 1 and talk.socket is not None)
    await told(page, talk, 1, 3)
    assert await states(page) == ["queued", "resuming", "queued"]
    assert await page.evaluate("() => opened") is None
    await talk.close()
    await talk.text("Said while the line was lost.")
    await page.wait_for_function("() => opened === 'open'")
    assert await page.evaluate("() => chat.queue") is None
    assert [("turn" in dial, "resume" in dial) for dial in gateway.dials] == [
        (False, False),
        (False, True),
        (False, True),
    ]


async def test_hang_up_while_queued_ends_at_once(page: Page, gateway: StubGateway) -> None:
    talk = await waiting(page, gateway)
    # The gateway's close is waited for 5 s at most: this is not the end by that timer.
    took = await page.evaluate("""async () => {
        const began = performance.now();
        const { code } = await chat.hangUp();
        return { code, soon: performance.now() - began < 4000, queue: chat.queue };
    }""")
    assert took == {"code": 1000, "soon": True, "queue": None}
    assert await states(page) == ["queued", "ending", "ended"]
    assert await page.evaluate("() => opened") == 1000
    assert [one["type"] for one in talk.arrived] == ["initialize", "terminate"]
    assert len(gateway.dials) == 1


async def test_hang_up_while_a_queued_client_has_no_line_ends_at_once(
    page: Page, gateway: StubGateway
) -> None:
    talk = await waiting(page, gateway, backoff={"first": 30})
    gateway.refusals = [{"abort": True}] * 3
    await talk.close()
    await page.wait_for_function("() => chat.state === 'resuming'")
    await page.evaluate("() => { chat.hangUp(); }")
    assert await page.evaluate("() => [chat.state, chat.queue]") == ["ended", None]


async def test_draining_keeps_the_position_and_what_was_said(
    page: Page, gateway: StubGateway
) -> None:
    first = await waiting(page, gateway, heartbeat=0.05)
    await page.evaluate("() => chat.send('acknowledged')")
    await until(lambda: len(first.arrived) == 2)
    answered = first.pings
    await until(lambda: first.pings >= answered + 2)  # its pong has said that the message arrived
    await told(page, first, 1, 3, "turn of the last position")
    await drain(first)
    await until(lambda: len(gateway.conversations) == 2)
    second = gateway.conversations[1]
    assert gateway.dials[1]["turn"] == "turn of the last position"
    assert "resume" not in gateway.dials[1]
    await until(lambda: len(second.arrived) == 2)
    assert said(second) == ["acknowledged"]
    await told(page, second, 1, 3, "another")
    assert await page.evaluate("() => [chat.state, opened]") == ["queued", None]
    # An agent has it now: a third conversation is not told it again, and has no position to keep.
    gateway.session_fields = {}
    await second.text("Hello!")
    await page.wait_for_function("() => opened === 'open'")
    await page.evaluate("async () => { await chat.hangUp(); }")
    assert await states(page) == ["queued", "connecting", "queued", "live", "ending", "ended"]


async def test_position_of_an_earlier_wait_is_not_sent_by_a_renewed_conversation(
    page: Page, gateway: StubGateway
) -> None:
    first = await waiting(page, gateway, renew=True)
    gateway.session_fields = {}
    await drain(first)
    await page.wait_for_function("() => opened === 'open'")
    second = gateway.conversations[1]
    await second.say({"type": "error", "data": {**DRAINING, "code": 4502}})
    await second.close(4502)
    await until(lambda: len(gateway.conversations) == 3)
    assert [dial.get("turn") for dial in gateway.dials] == [None, "t", None]


async def test_reloaded_page_of_a_queued_chat_waits_on(page: Page, gateway: StubGateway) -> None:
    talk = await waiting(page, gateway, keep=True)
    await page.reload()
    await page.evaluate("async () => Object.assign(window, await import('/client.js'))")
    await page.evaluate(COLLECT)
    await page.evaluate(OPEN, {"keep": True})
    await until(lambda: talk.resumes == 1 and talk.socket is not None)
    await told(page, talk, 1, 3)
    assert await page.evaluate("() => [chat.state, opened]") == ["queued", None]
    await talk.text("Hello!")
    await page.wait_for_function("() => opened === 'open'")
    assert await states(page) == ["queued", "live"]


async def test_queued_chat_that_is_kept_is_joined_where_it_cannot_be_resumed(
    page: Page, gateway: StubGateway
) -> None:
    gateway.session_fields = {"queued": True, "keep": 60}
    first = await waiting(page, gateway)
    gateway.by_token.clear()
    await first.close()
    await until(lambda: len(gateway.conversations) == 2)
    second = gateway.conversations[1]
    assert second.query.get("session") == first.id
    await told(page, second, 1, 1)
    assert await page.evaluate("() => [chat.state, opened]") == ["queued", None]
    await second.text("Hello!")
    await page.wait_for_function("() => opened === 'open'")


async def test_queued_chat_that_is_not_kept_begins_anew_where_it_cannot_be_resumed(
    page: Page, gateway: StubGateway
) -> None:
    first = await waiting(page, gateway)
    gateway.by_token.clear()
    await first.close()
    await until(lambda: len(gateway.conversations) == 2)
    assert gateway.conversations[1].query.get("turn") == "t"
    await page.wait_for_function("() => chat.state === 'queued'")


async def test_page_that_joins_a_queued_chat_waits_and_begins_no_other(
    page: Page, gateway: StubGateway
) -> None:
    gateway.session_fields = {"queued": True, "keep": 60}
    await page.evaluate(OPEN, {"join": "chat-1"})
    await page.wait_for_function("() => chat.state === 'queued'")
    assert await page.evaluate("() => [chat.queue, chat.turns.length, opened]") == [
        {"position": None, "of": None},
        0,
        None,
    ]
    (talk,) = gateway.conversations
    await drain(talk)
    await page.wait_for_function("() => seen.ended")
    assert await page.evaluate("() => [seen.ended.code, opened]") == [1001, 1001]
    assert len(gateway.dials) == 1
