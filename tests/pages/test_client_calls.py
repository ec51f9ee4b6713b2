"""Calls from their first moment to their last: cut anywhere, muted, without devices, without sound."""

# ruff: noqa: E501 - lines of the scripts that run in the page
from __future__ import annotations

import math
import struct
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.pages.browser import launched, voice_flags

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = (Path(__file__).parent / "agent.js").read_text()
RATE = 8000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def voice(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    samples = (int(12_000 * math.sin(2 * math.pi * 600 * at / RATE)) for at in range(RATE))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    async with launched(*voice_flags(path)) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def page(voice: Browser, gateway: StubGateway) -> AsyncIterator[Page]:
    context = await voice.new_context(permissions=["microphone"])
    page = await context.new_page()
    page.set_default_timeout(60_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(f"{gateway.url}/blank")
    await page.evaluate(AGENT)
    yield page
    await context.close()
    assert faults == []


async def run(page: Page, script: str, given: Any = None) -> Any:
    return await page.evaluate(f"async (given) => {{ {script} }}", given)


async def test_a_start_that_is_aborted_at_any_await_leaves_nothing_open(page: Page) -> None:
    got = await run(
        page,
        """
        const points = [];
        at = (name) => points.push(name);
        const whole = await RelayClient.call(quick);
        await whole.hangUp();
        const results = [await leftOpen()];
        for (const [index, name] of points.entries()) {
            const stop = new AbortController();
            let met = 0;
            at = () => { if (met++ === index) stop.abort(); };
            const code = await RelayClient.call({ ...quick, signal: stop.signal })
                .then((chat) => chat.closed).then(({ code }) => code, ({ code, message }) => code ?? message);
            results.push([name, code, await leftOpen()]);
        }
        return results;
    """,
    )
    assert got[0] == []
    names = [name for name, _, _ in got[1:]]
    assert {"before getUserMedia", "after getUserMedia", "before opening"} <= set(names)
    assert {"after setRemoteDescription", "after createAnswer", "after replaceTrack"} <= set(names)
    assert [(name, code, left) for name, code, left in got[1:] if (code, left) != (1000, [])] == []


async def test_a_hang_up_at_any_await_of_a_call_leaves_nothing_open(page: Page) -> None:
    got = await run(
        page,
        """
        let chat;
        const start = async () => {
            chat = new RelayClient({ ...quick, callType: 'webCall' });
            await chat.open();
            await chat.startCall();
        };
        const points = [];
        at = (name) => points.push(name);
        await start();
        await chat.hangUp();
        const results = [];
        for (const [index, name] of points.entries()) {
            let met = 0;
            at = () => { if (met++ === index) chat.hangUp(); };
            await start().catch(() => {});
            results.push([name, (await chat.closed).code, await leftOpen()]);
        }
        return results;
    """,
    )
    assert len(got) > 8
    assert [one for one in got if one[1:] != [1000, []]] == []


async def test_a_signal_that_is_aborted_before_opens_nothing(page: Page) -> None:
    got = await run(
        page,
        """
        const signal = AbortSignal.abort(new Error('the user left'));
        const told = async (start) => start.catch(({ code, cause }) => [code, cause.message]);
        return [
            await told(RelayClient.call({ ...quick, signal })),
            await told(RelayClient.connect({ ...quick, signal })),
            opened.tracks.length, opened.sockets.length,
        ];
    """,
    )
    assert got == [[1000, "the user left"], [1000, "the user left"], 0, 0]


@pytest.mark.parametrize("when", ["before the call", "while the microphone opens"])
async def test_a_call_is_muted_from_the_first_sample(page: Page, when: str) -> None:
    got = await run(
        page,
        """
        const enabled = [];
        const { replaceTrack } = RTCRtpSender.prototype;
        RTCRtpSender.prototype.replaceTrack = function (track) {
            enabled.push(track.enabled);
            return replaceTrack.call(this, track);
        };
        const chat = new RelayClient({ ...quick, callType: 'webCall' });
        await chat.open();
        if (given === 'before the call') chat.mute();
        else at = (name) => name === 'before getUserMedia' && chat.mute();
        const call = await chat.startCall();
        const muted = [call.muted, chat.muted, opened.tracks.map((one) => one.enabled)];
        await chat.setMicrophone(true);
        muted.push(opened.tracks.at(-1).enabled);
        chat.unmute();
        muted.push(opened.tracks.at(-1).enabled, call.muted);
        await chat.hangUp();
        return [enabled, muted];
    """,
        when,
    )
    assert got == [[False, False], [True, True, [False], False, True, False]]


async def test_no_digit_is_lost_however_quickly_keys_are_pressed(page: Page) -> None:
    got = await run(
        page,
        """
        const chat = await RelayClient.call(quick);
        const sender = chat.call.peer.getSenders().find((one) => one.dtmf);
        const tones = [];
        const done = new Promise((end) => {
            sender.dtmf.addEventListener('tonechange', ({ tone }) => (tone ? tones.push(tone) : tones.length > 8 && end()));
        });
        for (const key of '112') chat.dtmf(key, { duration: 70, gap: 50 });
        for (const key of '314#') {
            await new Promise((next) => setTimeout(next, 60));
            chat.dtmf(key, { duration: 70, gap: 50 });
        }
        chat.dtmf('9*', { duration: 70, gap: 50 });
        await done;
        await chat.hangUp();
        return tones.join('');
    """,
    )
    assert got == "112314#9*"


@pytest.mark.parametrize("broken", ["constructor", "microphone", "speaker"])
async def test_a_meter_that_fails_takes_no_call_with_it(page: Page, broken: str) -> None:
    got = await run(
        page,
        """
        const Real = AudioContext;
        let sources = 0;
        window.AudioContext = class extends Real {
            constructor() {
                if (given === 'constructor') throw new DOMException('too many', 'NotSupportedError');
                super();
            }
            createMediaStreamSource(stream) {
                sources += 1;
                if ((given === 'microphone') === (sources === 1)) throw new DOMException('', 'NotSupportedError');
                return super.createMediaStreamSource(stream);
            }
        };
        const chat = await RelayClient.call(quick);
        const got = [chat.call.state, typeof chat.levels().microphone, typeof chat.levels().speaker];
        await chat.hangUp();
        return got;
    """,
        broken,
    )
    assert got == ["connected", "number", "number"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"iceServers": [{"urls": "stun.example.com:3478"}]}, "not a valid"),
        ({"iceServers": [{"urls": "turn:127.0.0.1:3478"}]}, "credential"),
        ({"rtcConfiguration": {"iceServers": [{"urls": []}]}}, "Empty uri"),
    ],
)
async def test_wrong_ice_servers_are_named_before_anything_is_opened(
    page: Page, options: dict[str, Any], says: str
) -> None:
    got = await run(
        page,
        """
        const options = { ...quick, ...given, callType: 'webCall' };
        const told = ({ kind, message }) => [kind, message];
        const got = [await RelayClient.call(options).catch(told), await RelayClient.connect(options).catch(told)];
        return [...got, opened.tracks.length, opened.sockets.length];
    """,
        options,
    )
    assert [got[0][0], got[1][0], *got[2:]] == ["bad-ice-servers", "bad-ice-servers", 0, 0]
    assert says in got[0][1]


async def test_the_page_s_webrtc_configuration_is_passed_on(page: Page) -> None:
    got = await run(
        page,
        """
        const more = { iceTransportPolicy: 'relay', iceServers: null, rtcConfiguration: { bundlePolicy: 'max-bundle' } };
        const kind = await RelayClient.call({ ...quick, ...more, gatherTimeout: 0.2 }).catch((problem) => problem.kind);
        const { iceTransportPolicy, bundlePolicy } = opened.peers.at(-1).getConfiguration();
        return [kind, iceTransportPolicy, bundlePolicy, await leftOpen()];
    """,
    )
    assert got == ["no-candidates", "relay", "max-bundle", []]


async def test_an_offer_with_video_first_is_answered_with_the_microphone(page: Page) -> None:
    got = await run(
        page,
        """
        window.videoFirst = true;
        const chat = await RelayClient.call(quick);
        const [video, audio] = chat.call.peer.getTransceivers();
        const got = [video.receiver.track.kind, audio.sender.track?.kind, audio.currentDirection];
        await chat.setMicrophone(true);
        got.push(audio.sender.track === opened.tracks.at(-1));
        await chat.hangUp();
        return got;
    """,
    )
    assert got == ["video", "audio", "sendrecv", True]


async def test_a_call_that_is_lost_ends_the_conversation_and_its_invite_is_used_up(
    page: Page,
) -> None:
    got = await run(
        page,
        """
        const chat = await RelayClient.call(quick);
        const { call } = chat;
        const problems = [];
        chat.on('call', ({ problem }) => problem && problems.push(problem.kind));
        Object.defineProperty(call.peer, 'connectionState', { value: 'failed' });
        call.peer.onconnectionstatechange();
        const { code } = await chat.closed;
        const again = await chat.startCall().catch((error) => error.code);
        return [problems, code, again, opened.sockets[0].sent.at(-1), opened.tracks.length, await leftOpen()];
    """,
    )
    assert got == [["connection-lost"], 1000, 1000, "terminate", 1, []]


async def test_a_call_without_an_offer_ends_the_conversation(page: Page) -> None:
    got = await run(
        page,
        """
        window.noOffer = true;
        const kind = await RelayClient.call({ ...quick, inviteTimeout: 0.1 }).catch((problem) => problem.kind);
        return [kind, opened.sockets[0].sent.at(-1), await leftOpen()];
    """,
    )
    assert got == ["no-offer", "terminate", []]


async def test_a_saved_device_that_is_gone_gives_way_to_the_default_one(page: Page) -> None:
    got = await run(
        page,
        """
        const chat = new RelayClient({ ...quick, callType: 'webCall' });
        const told = [];
        chat.on('microphone-changed', ({ why, label }) => told.push([why, label.length > 0]));
        await chat.open();
        const call = await chat.startCall({ microphone: 'gone-device-id' });
        await chat.setMicrophone({ deviceId: { exact: 'gone-too' }, echoCancellation: false });
        const got = [call.state, told];
        await chat.hangUp();
        return got;
    """,
    )
    assert got == ["connected", [["not-found", True], ["not-found", True]]]


async def test_a_microphone_that_is_unplugged_is_replaced_or_told_of(page: Page) -> None:
    got = await run(
        page,
        """
        const chat = await RelayClient.call(quick);
        const told = [];
        chat.on('microphone-changed', ({ why }) => told.push(why));
        chat.on('microphone-lost', ({ kind }) => told.push(kind));
        const unplug = () => {
            const track = opened.tracks.at(-1);
            track.stop();
            track.dispatchEvent(new Event('ended'));
        };
        const until = async (count) => { while (told.length < count) await new Promise((next) => setTimeout(next, 10)); };
        unplug();
        await until(1);
        const sender = () => chat.call.peer.getSenders().find((one) => one.track?.kind === 'audio');
        const replaced = sender().track === opened.tracks.at(-1) && sender().track.readyState;
        let none = true;
        refusingOnce('NotFoundError', () => none);
        unplug();
        await until(2);
        none = false;
        navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
        await until(3);
        const back = sender().track.readyState;
        const { state } = chat.call;
        await chat.hangUp();
        return [told, replaced, back, state, await leftOpen()];
    """,
    )
    told = ["unplugged", "microphone-lost", "unplugged"]
    assert got == [told, "live", "live", "connected", []]


async def test_where_only_one_microphone_may_be_open_the_old_one_makes_way(page: Page) -> None:
    got = await run(
        page,
        """
        const chat = await RelayClient.call(quick);
        let never = false;
        refusingOnce('NotReadableError', ({ audio }) => (never && audio !== true) || opened.tracks.some((one) => one.readyState === 'live'));
        await chat.setMicrophone({ echoCancellation: false });
        const live = () => opened.tracks.filter((one) => one.readyState === 'live').length;
        const got = [live(), opened.tracks.length];
        await chat.setMicrophone(true);
        never = true;
        const kind = await chat.setMicrophone({ echoCancellation: true }).catch((problem) => problem.kind);
        got.push(kind, live(), chat.call.state);
        await chat.hangUp();
        return [...got, await leftOpen()];
    """,
    )
    assert got == [1, 2, "no-microphone", 1, "connected", []]


async def test_a_hang_up_while_another_microphone_opens_leaves_none_open(page: Page) -> None:
    got = await run(
        page,
        """
        const results = [];
        for (const point of ['before getUserMedia', 'after getUserMedia', 'before replaceTrack', 'after replaceTrack']) {
            at = () => {};
            const chat = await RelayClient.call(quick);
            at = (name) => name === point && chat.hangUp();
            results.push(await chat.setMicrophone(true).then(() => 'resolved', (error) => error.message), await leftOpen());
        }
        return results;
    """,
    )
    assert got == ["resolved", []] * 4


async def test_sound_that_is_blocked_starts_with_the_first_gesture_that_may(page: Page) -> None:
    got = await run(
        page,
        """
        let allowed = false;
        let tries = 0;
        const { play } = HTMLMediaElement.prototype;
        HTMLMediaElement.prototype.play = function () {
            tries += 1;
            return allowed ? play.call(this) : Promise.reject(new DOMException('', 'NotAllowedError'));
        };
        const told = [];
        const chat = new RelayClient({ ...quick, callType: 'webCall' });
        chat.on('sound-blocked', ({ play }) => told.push(typeof play));
        await chat.open();
        await chat.startCall();
        const gesture = async (type) => {
            window.dispatchEvent(new Event(type));
            await new Promise((next) => setTimeout(next, 20));
            return tries;
        };
        const got = [tries, await gesture('pointerup'), await gesture('touchend')];
        allowed = true;
        got.push(await gesture('click'), await gesture('keydown'), chat.call.audio.paused, told);
        await chat.hangUp();
        return got;
    """,
    )
    assert got == [1, 2, 3, 4, 4, False, ["function"]]
