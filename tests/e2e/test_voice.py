"""Calls between Chromium and the emulator's media, through the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.e2e.conftest import MICROPHONE_TONE
from tests.support import gateway as processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGENT_TONE = 440.0


def voice(**more: Any) -> dict[str, Any]:
    data = {"agent": "voice", "tone": AGENT_TONE, "reportSeconds": 0.3, **more}
    return {"call_types": ["webCall"], "initialize": {"additionalData": data}}


AGENTS = {
    "g711": voice(codec="g711", sdpField="invite"),
    "opus": voice(codec="opus", sdpField="sdpOffer"),
    "sip": voice(codec="g711", sdpProfile="RTP/SAVPF"),
    "no_fingerprint": voice(sdpSpoil="no_fingerprint"),
    "no_ice": voice(sdpSpoil="no_ice"),
    "no_rtcp_mux": voice(sdpSpoil="no_rtcp_mux"),
    "not_sdp": voice(sdpSpoil="not_sdp"),
    "deaf": voice(media=False, connectSeconds=60.0),
    "no_offer": {"call_types": ["webCall"], "initialize": {"additionalData": {"agent": "echo"}}},
    "chat": {"call_types": ["chat"], "initialize": {"additionalData": {"agent": "echo"}}},
}

# Microphone processing squashes a steady tone, so it is off where the tone is measured.
PLAIN = "{ echoCancellation: false, noiseSuppression: false, autoGainControl: false }"
SETUP = f"""async () => {{
    Object.assign(window, await import('/client.js'));
    window.heard = [];
    window.texts = [];
    window.events = [];
    window.calls = [];
    window.plain = {PLAIN};
    window.ring = async (agent, more = {{}}) => {{
        const chat = new RelayClient({{ url: `/ws/${{agent}}`, callType: 'webCall', turnGap: 0.2, ...more }});
        window.chat = chat;
        chat.on('text', ({{ text, turn }}) => texts.push(text));
        chat.on('event', ({{ name }}) => events.push(name));
        chat.on('call', ({{ state, problem }}) => calls.push(problem ? `${{state}}: ${{problem.kind}}` : state));
        await chat.open();
        await chat.startCall({{ microphone: plain, ...more }});
        return chat;
    }};
    window.frequency = async (stream) => {{
        const context = new AudioContext();
        const analyser = context.createAnalyser();
        analyser.fftSize = 8192;
        context.createMediaStreamSource(stream).connect(analyser);
        const bins = new Float32Array(analyser.frequencyBinCount);
        for (let tries = 0; tries < 100; tries += 1) {{
            await new Promise((done) => setTimeout(done, 100));
            analyser.getFloatFrequencyData(bins);
            const top = bins.indexOf(Math.max(...bins));
            if (bins[top] > -50) {{
                await context.close();
                return top * context.sampleRate / analyser.fftSize;
            }}
        }}
        return 0;
    }};
    window.codec = async () => {{
        const stats = [...(await chat.call.peer.getStats()).values()];
        const inbound = stats.find((one) => one.type === 'inbound-rtp');
        return stats.find((one) => one.id === inbound?.codecId)?.mimeType ?? null;
    }};
}}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with processes.gateway(emulator.url, agents=AGENTS, demo=True) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def page(voice_browser: Browser, gateway: Gateway) -> AsyncIterator[Page]:
    context = await voice_browser.new_context(permissions=["microphone"])
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(f"{gateway.base}/console")
    await page.evaluate(SETUP)
    yield page
    await context.close()
    assert faults == []


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
    ended = await page.evaluate("async () => { const { code } = await chat.hangUp(); return code; }")
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
        chat.call.peer.addEventListener('connectionstatechange', () => connections.push(chat.call.peer.connectionState));
        window.packets = async () => [...(await chat.call.peer.getStats()).values()]
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
    assert max(after - earlier for earlier, after in zip(levels, levels[1:], strict=False)) < 2
    assert await page.evaluate("() => connections") == []
    await page.evaluate("() => chat.dtmf('7')")
    await page.wait_for_function("() => texts.join(' ').includes('You pressed 7.')")
    assert await page.evaluate("async () => (await chat.hangUp()).code") == 1000


@pytest.mark.parametrize(
    ("agent", "kind", "says"),
    [
        ("no_fingerprint", "bad-offer", "lacks fingerprint"),
        ("no_ice", "bad-offer", "lacks ice-ufrag, ice-pwd"),
        ("no_rtcp_mux", "bad-offer", "lacks rtcp-mux"),
        ("not_sdp", "bad-offer", "lacks fingerprint"),
        ("no_offer", "no-offer", "offered no call"),
        ("chat", "not-a-call", "is a chat"),
        ("deaf", "no-answer", "does not answer"),
    ],
)
async def test_a_call_that_does_not_connect_says_which_way_it_failed(
    page: Page, agent: str, kind: str, says: str
) -> None:
    more = {"inviteTimeout": 1.5, "callTimeout": 6}
    if agent == "chat":
        more["callType"] = "chat"  # type: ignore[assignment]
    got = await page.evaluate(
        """([agent, more]) => ring(agent, more).then(() => null, (problem) => ({
            ours: problem instanceof CallProblem, kind: problem.kind, message: problem.message,
            advice: problem.advice, states: calls,
        }))""",
        [agent, more],
    )
    assert got["ours"] is True
    assert got["kind"] == kind
    assert says in got["message"]
    assert len(got["advice"]) > 10
    if kind != "not-a-call":
        assert got["states"][-1] == f"ended: {kind}"
    await page.evaluate("() => chat.hangUp()")


async def test_an_offer_that_was_changed_on_its_way_fails_at_dtls(page: Page) -> None:
    await page.evaluate("""() => {
        const real = RTCPeerConnection.prototype.setRemoteDescription;
        RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
            const other = sdp.replace(/^(a=fingerprint:\\S+ )(\\S+)/gm, (_, start, hash) => start + hash.replace(/[0-9A-F]{2}/gi, '5A'));
            return real.call(this, { type, sdp: other });
        };
    }""")
    got = await page.evaluate(
        "() => ring('g711', { callTimeout: 10 }).catch(({ kind, message }) => [kind, message])"
    )
    assert got == ["dtls-failed", "The audio could not be encrypted."]


# The cases that this machine's network cannot bring about are brought about in the browser's API.
FAKE_CANDIDATES = """(kept) => {
    const Real = RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
        constructor(options) { super(options); window.peerOptions = options; }
        set onicecandidate(listener) {
            super.onicecandidate = ({ candidate }) => {
                if (kept === null) return;
                if (candidate?.candidate) listener({ candidate });
            };
        }
    };
}"""


async def test_a_browser_without_candidates_says_so(page: Page) -> None:
    await page.evaluate(FAKE_CANDIDATES, None)
    got = await page.evaluate(
        "() => ring('g711', { gatherTimeout: 0.5 }).catch((problem) => problem.kind)"
    )
    assert got == "no-candidates"


async def test_a_relay_that_cannot_be_reached_is_named(page: Page) -> None:
    servers = [{"urls": "turn:127.0.0.1:9", "username": "u", "credential": "c"}]
    got = await page.evaluate(
        """(iceServers) => ring('deaf', { iceServers, gatherTimeout: 0.5, callTimeout: 2 })
            .catch((problem) => problem.kind)""",
        servers,
    )
    assert got == "relay-blocked"


async def test_an_agent_that_only_a_public_address_would_reach_is_told_from_silence(
    page: Page,
) -> None:
    await page.evaluate("""() => {
        // The agent's offer names a public address (TEST-NET-3), and we have host candidates alone.
        const real = RTCPeerConnection.prototype.setRemoteDescription;
        RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
            return real.call(this, { type, sdp: sdp.replaceAll(/127\\.0\\.0\\.1/g, '203.0.113.7') });
        };
    }""")
    got = await page.evaluate(
        "() => ring('deaf', { callTimeout: 2 }).catch((problem) => problem.kind)"
    )
    assert got == "host-only"


async def test_a_microphone_that_is_not_allowed_is_told_before_anybody_is_called(
    voice_browser: Browser, gateway: Gateway, emulator: Emulator
) -> None:
    before = len(await emulator.conversations())
    context = await voice_browser.new_context()
    page = await context.new_page()
    await page.goto(f"{gateway.base}/console")
    await page.evaluate(SETUP)
    await page.evaluate("""() => {
        navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); };
    }""")
    got = await page.evaluate("""() => RelayClient.call({ agent: 'g711' })
        .catch(({ kind, message, advice }) => [kind, message, advice])""")
    assert got == [
        "no-microphone",
        "The microphone is not allowed on this page.",
        "Allow it in the address bar, and call again.",
    ]
    assert len(await emulator.conversations()) == before
    await context.close()


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
    page: Page, gateway: Gateway, emulator: Emulator
) -> None:
    await page.goto(f"{gateway.base}/demo?agent=g711")
    await page.get_by_role("button", name="Start a call").click()
    await expect(page.locator("#time")).to_contain_text("In a call")
    await expect(page.locator(".assistant .bubble").first).to_contain_text("You hear a tone")
    await page.get_by_role("button", name="Keypad").click()
    await page.get_by_role("button", name="Key 9").click()
    await expect(page.locator(".assistant .bubble").filter(has_text="You pressed 9.")).to_have_count(1)
    await page.get_by_role("button", name="Mute the microphone").click()
    await expect(page.locator("#time")).to_contain_text("Muted")
    await page.get_by_role("button", name="Unmute the microphone").click()
    await page.get_by_role("button", name="Microphone and speaker").click()
    await expect(page.get_by_label("Microphone", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Hang up").click()
    await expect(page.get_by_text("The conversation has ended.").first).to_be_visible()
    await expect(page.locator("#call")).to_be_hidden()
    assert (await result(emulator))["digits"] == "9"
