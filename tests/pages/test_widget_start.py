"""<blackbox-relay-chat> starts one conversation at a time, and ends all that a start began."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.pages.hosts import ELEMENT, host

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

VOICE = ELEMENT.replace("echo", "silent").replace(
    "<blackbox-relay-chat ", '<blackbox-relay-chat call-types="chat webCall" '
)
# The browser's prompt, answered by the test: `allow()` or `deny()`; every track that was opened.
PROMPT = """() => {
    window.tracks = [];
    window.prompts = 0;
    navigator.mediaDevices.getUserMedia = () => {
        prompts += 1;
        return new Promise((resolve, reject) => {
            window.allow = () => {
                const { stream } = new AudioContext().createMediaStreamDestination();
                tracks.push(...stream.getTracks());
                resolve(stream);
            };
            window.deny = () => reject(new DOMException('', 'NotAllowedError'));
        });
    };
}"""
LIVE_TRACKS = "() => tracks.filter((track) => track.readyState === 'live').length"


async def prompting(page: Page, gateway: StubGateway) -> None:
    await host(page, gateway, VOICE)
    await page.evaluate(PROMPT)


async def answer(page: Page, how: str = "allow") -> None:
    await page.wait_for_function("(how) => window[how]", arg=how)
    await page.evaluate("(how) => window[how]()", how)


async def settle(page: Page) -> None:
    """What hangs on promises and on the grace of a removed element has happened."""
    await page.evaluate("() => new Promise((done) => setTimeout(done, 400))")


def live(gateway: StubGateway) -> int:
    return sum(not talk.ended for talk in gateway.conversations)


async def test_a_double_click_starts_one_call(page: Page, gateway: StubGateway) -> None:
    await prompting(page, gateway)
    await page.get_by_role("button", name="Start a call").dblclick()
    await expect(page.get_by_role("status")).to_have_text("Connecting…")
    await expect(page.get_by_role("button", name="Start a call")).to_be_hidden()
    await expect(page.get_by_role("button", name="Start a chat")).to_be_hidden()
    await page.evaluate("() => { chat.start('webCall'); chat.start('webCall'); }")
    assert await page.evaluate("() => prompts") == 1
    await answer(page)
    await expect(page.get_by_role("status")).to_have_text("Online")
    await settle(page)
    assert len(gateway.conversations) == 1
    assert await page.evaluate(LIVE_TRACKS) == 1


async def test_starts_in_a_row_over_a_live_conversation_leave_one(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway)
    await page.evaluate("() => chat.start('chat')")
    await page.evaluate("() => Promise.all([1, 2, 3].map(() => chat.start('chat')))")
    await expect(page.get_by_role("status")).to_have_text("Online")
    await settle(page)
    assert len(gateway.conversations) == 2
    assert live(gateway) == 1
    await expect(page.locator(".bubble")).to_have_count(1)


async def test_a_start_of_another_kind_takes_the_place_of_the_first(
    page: Page, gateway: StubGateway
) -> None:
    await prompting(page, gateway)
    await page.get_by_role("button", name="Start a call").click()
    await page.evaluate("() => chat.start('chat')")
    await answer(page)
    await settle(page)
    assert [talk.query["call_type"] for talk in gateway.conversations] == ["chat"]
    assert await page.evaluate(LIVE_TRACKS) == 0
    await expect(page.get_by_role("status")).to_have_text("Online")


WAYS_OUT = {
    "removed": "() => chat.remove()",
    "ended": "() => { chat.end(); }",
}


@pytest.mark.parametrize("way", WAYS_OUT)
async def test_a_start_that_is_given_up_at_the_prompt_begins_nothing(
    page: Page, gateway: StubGateway, way: str
) -> None:
    await prompting(page, gateway)
    await page.get_by_role("button", name="Start a call").click()
    await page.wait_for_function("() => window.allow")
    await page.evaluate(WAYS_OUT[way])
    await answer(page)
    await settle(page)
    assert gateway.dials == []
    assert await page.evaluate(LIVE_TRACKS) == 0
    await page.evaluate("() => chat.isConnected || document.body.append(chat)")
    await expect(page.get_by_role("button", name="Start a call")).to_be_visible()
    await expect(page.get_by_role("status")).to_have_text("Not connected")


@pytest.mark.parametrize("way", WAYS_OUT)
async def test_a_start_that_is_given_up_at_its_credential_begins_nothing(
    page: Page, gateway: StubGateway, way: str
) -> None:
    await prompting(page, gateway)
    await page.evaluate(
        "() => { chat.credential = () => new Promise((done) => (window.grant = () => done('t'))); }"
    )
    await page.get_by_role("button", name="Start a call").click()
    await answer(page)
    await page.wait_for_function("() => window.grant")
    await page.evaluate(WAYS_OUT[way])
    await settle(page)
    await page.evaluate("() => grant()")
    await settle(page)
    assert gateway.dials == []
    assert await page.evaluate(LIVE_TRACKS) == 0


@pytest.mark.parametrize("way", WAYS_OUT)
async def test_a_call_that_is_given_up_while_it_rings_ends(
    page: Page, gateway: StubGateway, way: str
) -> None:
    await prompting(page, gateway)
    await page.get_by_role("button", name="Start a call").click()
    await answer(page)
    await expect(page.get_by_text("Calling…")).to_be_visible()
    await page.evaluate(WAYS_OUT[way])
    await page.wait_for_function("() => chat.client.state === 'ended'")
    assert await page.evaluate(LIVE_TRACKS) == 0
    assert gateway.conversations[0].arrived[-1]["type"] == "terminate"
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_an_element_put_back_at_the_prompt_goes_on(page: Page, gateway: StubGateway) -> None:
    await prompting(page, gateway)
    await page.get_by_role("button", name="Start a call").click()
    await page.wait_for_function("() => window.allow")
    await page.evaluate("""async () => {
        chat.remove();
        allow();
        await new Promise((done) => setTimeout(done, 20));
        document.body.append(chat);
    }""")
    await expect(page.get_by_role("status")).to_have_text("Online")
    assert len(gateway.conversations) == 1


async def test_an_element_taken_off_and_put_back_a_task_later_keeps_its_conversation(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway)
    await page.evaluate("() => chat.start('chat')")
    await page.evaluate("""async () => {
        for (let turn = 0; turn < 3; turn += 1) {
            chat.remove();
            await new Promise((done) => setTimeout(done, 30));
            document.body.append(chat);
        }
    }""")
    await settle(page)
    assert await page.evaluate("() => chat.client.state") == "live"
    assert len(gateway.conversations) == 1


async def test_a_denied_microphone_leaves_the_ended_chat_in_view(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway, VOICE.replace("silent", "echo"))
    await page.evaluate(PROMPT)
    await page.get_by_role("button", name="Start a chat").click()
    await page.get_by_label("Your message").fill("to be kept")
    await page.keyboard.press("Enter")
    await expect(page.locator(".assistant .bubble").last).to_have_text("to be kept")
    await page.get_by_role("button", name="End the conversation").click()
    await expect(page.get_by_role("status")).to_have_text("Ended")
    await page.get_by_role("button", name="Start a call").click()
    await answer(page, "deny")
    await expect(page.get_by_role("alert")).to_contain_text("not allowed on this page")
    await expect(page.locator(".user .bubble")).to_have_text(["to be kept"])
    await expect(page.get_by_role("button", name="Start a call")).to_be_visible()
    await page.evaluate("() => chat.start('chat')")
    await expect(page.locator(".user .bubble")).to_have_count(0)
    await expect(page.get_by_role("alert")).to_have_count(0)


FAULTS = {
    "no sound here": "globalThis.Audio = class {"
    " constructor() { throw new Error('no sound here'); } };",
    "odd option": "chat.options = { get WebSocket() { throw new Error('odd option'); } };",
    "could not be started": "chat.addEventListener('relay-client', ({ detail }) => {"
    " detail.startCall = async () => { throw null; }; });",
}


@pytest.mark.parametrize("told", FAULTS)
async def test_every_error_of_a_start_is_shown_and_ends_it(
    page: Page, gateway: StubGateway, told: str
) -> None:
    await prompting(page, gateway)
    await page.evaluate(f"() => {{ {FAULTS[told]} }}")
    await page.evaluate("() => { chat.start('webCall'); }")
    await answer(page)
    await expect(page.get_by_role("alert")).to_contain_text(told)
    await expect(page.get_by_role("button", name="Start a call")).to_be_visible()
    await settle(page)
    assert await page.evaluate(LIVE_TRACKS) == 0
    assert live(gateway) == 0


async def test_an_end_is_seen_at_once_although_the_socket_is_silent(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway)
    await page.get_by_role("button", name="Start a chat").click()
    await expect(page.locator(".bubble")).to_have_count(1)
    await page.evaluate("() => { WebSocket.prototype.send = () => {}; }")
    await page.get_by_role("button", name="End the conversation").click()
    await expect(page.get_by_role("status")).to_have_text("Ending…", timeout=2000)
    await expect(page.get_by_label("Your message")).to_be_hidden()
    await expect(page.get_by_role("button", name="End the conversation")).to_be_hidden()
    assert await page.evaluate("() => chat.client.state") != "ended"
    await expect(page.get_by_role("status")).to_have_text("Ended", timeout=20_000)
    await expect(page.get_by_role("button", name="Start again")).to_be_visible()


async def test_a_call_whose_audio_is_lost_is_ended(page: Page, gateway: StubGateway) -> None:
    await prompting(page, gateway)
    await page.evaluate("() => { chat.start('webCall'); }")
    await answer(page)
    await expect(page.get_by_text("Calling…")).to_be_visible()
    await page.evaluate("""async () => {
        const { CallProblem } = await import('/client.js');
        const { client } = chat;
        client.call.stop(new CallProblem('connection-lost'));
    }""")
    await expect(page.get_by_role("alert")).to_contain_text("audio was lost")
    await page.wait_for_function("() => chat.client.state === 'ended'")
    assert gateway.conversations[0].arrived[-1]["type"] == "terminate"
    await expect(page.get_by_role("alert")).to_have_count(1)


async def test_sound_that_the_browser_holds_back_is_offered_by_a_button(
    page: Page, gateway: StubGateway
) -> None:
    await prompting(page, gateway)
    await page.evaluate("() => { chat.start('webCall'); }")
    await answer(page)
    await expect(page.get_by_text("Calling…")).to_be_visible()
    hear = page.get_by_role("button", name="Tap to hear the agent")
    await expect(hear).to_be_hidden()
    await page.evaluate("""() => {
        window.played = 0;
        chat.client.call.audio.play = async () => { played += 1; };
        chat.client.dispatchEvent(new CustomEvent('sound-blocked'));
    }""")
    await hear.click()
    await expect(hear).to_be_hidden()
    assert await page.evaluate("() => played") == 1


async def test_a_lost_microphone_is_said(page: Page, gateway: StubGateway) -> None:
    await prompting(page, gateway)
    await page.evaluate("() => { chat.start('webCall'); }")
    await answer(page)
    await expect(page.get_by_text("Calling…")).to_be_visible()
    await page.evaluate("() => chat.client.dispatchEvent(new CustomEvent('microphone-lost'))")
    await expect(page.get_by_role("alert")).to_contain_text("The microphone was lost.")
