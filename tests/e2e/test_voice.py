"""Calls between Chromium and the emulator's media, through the gateway."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.e2e.calls import AGENT_TONE
from tests.e2e.conftest import MICROPHONE_TONE
from tests.pages.looks import assert_accessible, assert_fits, keep

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def page(voice_page: Page) -> Page:
    return voice_page


async def result(emulator: Emulator) -> dict[str, Any]:
    """What the newest conversation's agent reported at its end."""
    found: dict[str, Any] = (await emulator.last())["result"]
    return found


@pytest.mark.parametrize(
    ("agent", "codec"), [("g711", "audio/PCM"), ("opus", "audio/opus"), ("sip", "audio/PCM")]
)
async def test_a_call_is_heard_both_ways_and_ends_with_1000(
    page: Page, emulator: Emulator, agent: str, codec: str
) -> None:
    await page.evaluate("async (agent) => { await ring(agent); }", agent)
    assert await page.evaluate("() => calls.at(-1)") == "connected"
    heard = await page.evaluate("() => frequency(chat.call.stream)")
    assert abs(heard - AGENT_TONE) < 15
    await page.wait_for_function("() => chat.levels().speaker > 0.02")
    await page.wait_for_function("() => chat.levels().microphone > 0.02")
    assert (await page.evaluate("() => codec()")).startswith(codec)
    # What the agent hears is in its transcript, and the key too.
    await page.wait_for_function("() => texts.join(' ').includes('I can hear you.')")
    await page.evaluate("() => chat.dtmf('5#')")
    await page.wait_for_function("() => texts.join(' ').includes('You pressed #.')")
    ended = await page.evaluate(
        "async () => { const { code } = await chat.hangUp(); return code; }"
    )
    assert ended == 1000
    assert await page.evaluate("() => [chat.state, calls.at(-1)]") == ["ended", "ended"]
    told = await result(emulator)
    assert told["digits"] == "5#"
    assert abs(told["heard"]["loudestFrequency"] - MICROPHONE_TONE) < 20
    assert told["heard"]["loudestLevel"] > -40


async def test_an_agent_that_rings_off_without_a_close_frame_is_a_normal_end(
    page: Page, emulator: Emulator
) -> None:
    await page.evaluate("async () => { await ring('g711'); }")
    await page.evaluate("() => chat.sendFrame({ type: 'terminate' })")
    assert await page.evaluate("async () => (await chat.closed).code") == 1000
    assert "closed" in await page.evaluate("() => events")
    assert (await emulator.last())["state"] == "ended"


async def test_muting_is_heard_by_the_agent_as_silence(page: Page) -> None:
    await page.evaluate("""async () => {
        window.levels = [];
        await ring('g711');
        chat.on('event', ({ name, data }) => name === 'heard' && levels.push(data.level));
    }""")
    await page.wait_for_function("() => levels.some((level) => level > -45)")
    await page.evaluate("() => chat.mute()")
    assert await page.evaluate("() => [chat.call.muted, chat.levels().microphone]") == [True, 0]
    await page.wait_for_function("() => levels.at(-1) < -60")
    await page.evaluate("() => chat.unmute()")
    await page.wait_for_function("() => levels.at(-1) > -45")
    await page.evaluate("() => chat.hangUp()")


async def test_the_line_cut_for_five_seconds_does_not_stop_the_media(page: Page) -> None:
    await page.evaluate("""async () => {
        window.levels = [];
        await ring('opus');
        chat.on('event', ({ name, data }) => name === 'heard' && levels.push(data.seconds));
        window.connections = [];
        const { peer } = chat.call;
        peer.onconnectionstatechange = () => connections.push(peer.connectionState);
        window.packets = async () => [...(await peer.getStats()).values()]
            .find((one) => one.type === 'inbound-rtp').packetsReceived;
    }""")
    await page.wait_for_function("() => levels.length > 1")
    await page.context.set_offline(True)
    await page.wait_for_function("() => chat.state === 'resuming'")
    before, told = await page.evaluate("async () => [await packets(), levels.length]")
    await page.wait_for_timeout(5000)
    assert await page.evaluate("() => chat.state") == "resuming"
    during = await page.evaluate("() => packets()")
    assert during - before > 100, "the agent is heard while the line is cut"
    assert await page.evaluate("() => levels.length") == told
    await page.context.set_offline(False)
    await page.wait_for_function("() => chat.state === 'live'")
    # Every report of the time in between comes late, and in order: the agent heard us throughout.
    await page.wait_for_function("(told) => levels.length > told + 10", arg=told)
    levels = await page.evaluate("() => levels")
    assert levels == sorted(levels)
    assert max(after - earlier for earlier, after in pairwise(levels)) < 2
    assert await page.evaluate("() => connections") == []
    await page.evaluate("() => chat.dtmf('7')")
    await page.wait_for_function("() => texts.join(' ').includes('You pressed 7.')")
    assert await page.evaluate("async () => (await chat.hangUp()).code") == 1000


async def test_microphone_and_speaker_can_be_chosen_in_a_call(page: Page) -> None:
    await page.evaluate("async () => { await ring('g711'); }")
    devices = await page.evaluate("""async () => {
        const { microphones, speakers } = await RelayClient.devices();
        await chat.setMicrophone(microphones.at(-1).deviceId);
        await chat.setSpeaker(speakers.at(-1)?.deviceId ?? '');
        return [microphones.length, chat.call.audio.sinkId === (speakers.at(-1)?.deviceId ?? '')];
    }""")
    assert devices[0] >= 1
    assert devices[1] is True
    assert await page.evaluate("() => chat.call.state") == "connected"
    await page.wait_for_function("() => chat.levels().microphone > 0.02")
    await page.evaluate("() => chat.hangUp()")


async def test_the_widget_calls_mutes_presses_keys_and_hangs_up(
    page: Page, voice_gateway: Gateway, emulator: Emulator
) -> None:
    await page.goto(f"{voice_gateway.base}/demo?agent=g711")
    await page.get_by_role("button", name="Start a call").click()
    await expect(page.locator("#time")).to_contain_text("In a call")
    await expect(page.locator(".assistant .bubble").first).to_contain_text("You hear a tone")
    await page.get_by_role("button", name="Keypad").click()
    await page.get_by_role("button", name="Key 9").click()
    await expect(
        page.locator(".assistant .bubble").filter(has_text="You pressed 9.")
    ).to_have_count(1)
    await page.get_by_role("button", name="Mute the microphone").click()
    await expect(page.locator("#time")).to_contain_text("Muted")
    await page.get_by_role("button", name="Unmute the microphone").click()
    await page.get_by_role("button", name="Microphone and speaker").click()
    await expect(page.get_by_role("combobox", name="Microphone")).to_be_visible()
    for width in (320, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        await assert_accessible(page)
        await assert_fits(page, width)
        await keep(page, f"call-{width}")
    await page.get_by_role("button", name="Hang up").click()
    await expect(page.get_by_text("The conversation has ended.").first).to_be_visible()
    await expect(page.locator("#call")).to_be_hidden()
    assert (await result(emulator))["digits"] == "9"
