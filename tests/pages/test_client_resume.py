"""What client.js does when the network goes: nothing is lost, nothing comes twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pages.cutter import Cutter
from tests.support.waiting import until

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXACT = (Path(__file__).parent / "exact.js").read_text()


async def prove_exact(
    page: Page, gateway: StubGateway, seed: int, *, frames: int, messages: int, cuts: int
) -> None:
    def said() -> list[int]:
        """Numbers of the messages that reached the conversation that counts."""
        talks = [one for one in gateway.conversations if one.sent >= frames]
        return [
            int(frame["content"].split(":")[0])
            for talk in talks
            for frame in talk.arrived
            if frame["type"] == "incomingChatMessage"
        ]

    async with Cutter(gateway.port, seed, most=8000).serving() as cutter:
        size = {"port": cutter.port, "frames": frames, "messages": messages}
        await page.evaluate(EXACT, size)
        await page.wait_for_function("() => heardAll()", timeout=900_000)
        await until(lambda: len(said()) >= messages, within=900)
        cutter.cutting = False
        got = await page.evaluate("() => finish()")
    assert got["ended"] == "1000 The conversation has ended."
    assert got["heard"] == list(range(1, frames + 1))
    assert said() == list(range(1, messages + 1))
    assert cutter.cuts >= cuts
    assert got["resumes"] >= cuts / 2
    assert got["again"] > 0


async def test_cuts_at_random_bytes_lose_nothing_and_repeat_nothing(
    page: Page, gateway: StubGateway
) -> None:
    await prove_exact(page, gateway, 1, frames=500, messages=160, cuts=50)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(2, 8))
async def test_hundreds_of_cuts_lose_nothing_and_repeat_nothing(
    page: Page, gateway: StubGateway, seed: int
) -> None:
    await prove_exact(page, gateway, seed, frames=3000, messages=800, cuts=250)


OPEN = """async (options) => {
    await watch(new RelayClient({ turnGap: 0.1, ...options })).open();
}"""
COLLECT = (Path(__file__).parent / "collect.js").read_text()


async def test_offline_for_five_seconds_loses_nothing_and_the_page_says_so(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate(COLLECT)
    await page.evaluate(OPEN, {"agent": "echo"})
    await page.wait_for_function("() => seen.turns.length === 1")
    await page.context.set_offline(True)
    await page.wait_for_function("() => chat.state === 'resuming'")
    await page.evaluate("() => chat.send('said while offline')")
    (talk,) = gateway.conversations
    await talk.text("said to one who is offline")
    await page.wait_for_timeout(5000)
    assert await page.evaluate("() => chat.state") == "resuming"
    await page.context.set_offline(False)
    await page.wait_for_function("() => seen.turns.length >= 4")
    seen = await page.evaluate("() => seen")
    assert [change["state"] for change in seen["states"]][:2] == ["live", "resuming"]
    assert seen["states"][-1]["state"] == "live"
    assert seen["turns"] == [
        "assistant: Hello! I repeat what you say.",
        "assistant: said to one who is offline",
        "user: said while offline",
        "assistant: said while offline",
    ]
    sent = [frame["type"] for frame in talk.arrived]
    assert sent == ["initialize", "incomingChatMessage"]


async def test_what_arrives_is_confirmed_now_and_then(page: Page, gateway: StubGateway) -> None:
    await page.evaluate(COLLECT)
    await page.evaluate(OPEN, {"url": "/ws?frames=40", "agent": "count"})
    await page.wait_for_function("() => seen.turns.length === 40")
    (talk,) = gateway.conversations
    await until(lambda: talk.confirmations[-1] == 40)
    assert talk.confirmations[:2] == [16, 32]
    assert talk.kept == []


async def test_a_page_that_is_hidden_confirms_at_once(page: Page, gateway: StubGateway) -> None:
    await page.evaluate(COLLECT)
    await page.evaluate(OPEN, {"url": "/ws?frames=3", "agent": "count"})
    await page.wait_for_function("() => seen.turns.length === 3")
    (talk,) = gateway.conversations
    await page.evaluate("""() => {
        Object.defineProperty(document, 'hidden', { value: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    await until(lambda: talk.confirmations)
    assert talk.confirmations == [3]


@pytest.mark.parametrize("renew", [False, True])
async def test_a_conversation_that_cannot_be_resumed_begins_anew_only_if_asked(
    page: Page, gateway: StubGateway, renew: bool
) -> None:
    await page.evaluate(COLLECT)
    await page.evaluate(
        """async (renew) => {
            const backoff = { first: 0.1 };
            await watch(new RelayClient({ agent: 'echo', turnGap: 0.1, renew, backoff })).open();
            chat.send('from the first life');
        }""",
        renew,
    )
    await page.wait_for_function("() => seen.turns.length === 3")
    first = gateway.conversations[0]
    gateway.by_token.clear()
    await first.close(4508)
    if renew:
        await page.wait_for_function("() => seen.turns.length === 4")
        assert len(gateway.conversations) == 2
        assert [frame["type"] for frame in gateway.conversations[1].arrived] == ["initialize"]
        assert await page.evaluate("() => chat.state") == "live"
    else:
        await page.wait_for_function("() => seen.ended")
        assert (await page.evaluate("() => seen.ended"))["code"] == 4410
        assert len(gateway.conversations) == 1


async def test_a_conversation_that_was_not_offered_a_resume_ends(
    page: Page, gateway: StubGateway
) -> None:
    gateway.offer_resume = False
    await page.evaluate(COLLECT)
    await page.evaluate(OPEN, {"agent": "echo"})
    await page.wait_for_function("() => seen.turns.length === 1")
    (talk,) = gateway.conversations
    await talk.close(4502)
    await page.wait_for_function("() => seen.ended")
    ended = await page.evaluate("() => seen.ended")
    assert (ended["code"], ended["retry"]) == (4502, "reconnect")
    assert talk.confirmations == []


async def test_a_busy_gateway_is_asked_again_while_a_resume_goes_on(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate(COLLECT)
    await page.evaluate(OPEN, {"agent": "echo", "backoff": {"first": 0.1}})
    await page.wait_for_function("() => seen.turns.length === 1")
    gateway.refusals = [
        {"code": 4503, "message": "Busy.", "retry": "reconnect", "retryAfter": 0.5},
        {"abort": True},
    ]
    (talk,) = gateway.conversations
    await talk.close()
    await page.wait_for_function("() => seen.states.length > 4")
    states = (await page.evaluate("() => seen.states"))[1:]
    assert [(one["state"], one["code"], one["attempt"]) for one in states] == [
        ("resuming", 1011, 1),
        ("resuming", 4503, 2),
        ("resuming", 1006, 3),
        ("live", None, 0),
    ]
    assert states[1]["delay"] >= 0.5


async def test_a_conversation_resumed_in_another_window_ends_here(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate(COLLECT)
    await page.evaluate(OPEN, {"agent": "echo"})
    (talk,) = gateway.conversations
    await talk.close(4409)
    await page.wait_for_function("() => seen.ended")
    assert await page.evaluate("() => seen.ended") == {
        "code": 4409,
        "name": "resumed_elsewhere",
        "message": "The conversation goes on in another window.",
        "retry": "no",
    }


async def test_a_hang_up_while_the_line_is_cut_still_reaches_the_agent(
    page: Page, gateway: StubGateway
) -> None:
    await page.evaluate(COLLECT)
    await page.evaluate(OPEN, {"agent": "echo", "backoff": {"first": 0.2}})
    await page.wait_for_function("() => seen.turns.length === 1")
    (talk,) = gateway.conversations
    await talk.close()
    await page.wait_for_function("() => chat.state === 'resuming'")
    code = await page.evaluate("async () => (await chat.hangUp()).code")
    assert code == 1000
    assert talk.arrived[-1]["type"] == "terminate"
