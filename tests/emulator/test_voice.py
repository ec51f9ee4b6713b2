"""The voice agent: a real call by aiortc on both ends, and the signalling without sound."""

from __future__ import annotations

import importlib.util
import logging
from typing import TYPE_CHECKING, Any

import pytest

import app.emulator.media
from app.emulator.media.sdp import SPOILT
from tests.emulator.caller import Caller
from tests.emulator.peer import Peer

if TYPE_CHECKING:
    from app.emulator import Emulator

ANSWER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"


async def ring(peer: Peer, **settings: Any) -> str:
    """Start a call; the offer."""
    await peer.initialize("voice", "webCall", carries="request", **settings)
    data = (await peer.until("sdpInvite"))["data"]
    return str(data.get("invite") or data["sdpOffer"])


async def call(peer: Peer, caller: Caller, **settings: Any) -> str:
    """Start a call and pick it up; the offer."""
    offer = await ring(peer, **settings)
    await peer.send("sdpAnswer", data={"sdpAnswer": await caller.answer(offer)})
    await peer.until("event", name="opened")
    return offer


@pytest.mark.parametrize("codec", ["g711", "opus"])
async def test_a_call_has_audio_both_ways_and_digits(emulator: Emulator, codec: str) -> None:
    async with Peer.dial(emulator, "webCall") as peer, Caller(tone=1000.0) as caller:
        await call(peer, caller, codec=codec, tone=440.0, reportSeconds=0.2)
        first = {"g711": "pcmu/8000", "opus": "opus/48000/2"}[codec]
        assert caller.codecs[0] == first
        assert "telephone-event/8000" in caller.codecs
        await peer.heard_until("press a key")
        heard = await caller.hears(lambda h: abs(h.frequency - 440) < 5 and h.level > -30)
        assert heard.seconds > 0
        caller.press("159#")
        # Two tasks of the agent say these: a busy machine swaps them.
        await peer.heard_until("You pressed #.", "I can hear you.")
        await peer.send("terminate")
        assert (await peer.closed())[0] == 1006
    assert peer.names()[-2:] == ["conversationResult", "closed"]
    result = peer.of("conversationResult")[0]["result"]
    assert result["digits"] == "159#"
    assert abs(result["heard"]["loudestFrequency"] - 1000) < 10
    assert result["heard"]["loudestLevel"] > -30
    assert "heard" in peer.names()
    (record,) = await emulator.call_log.ended()
    assert (record.close_sent, record.ended_by, record.violations) == (None, "client", [])


async def test_sound_goes_on_after_digits(emulator: Emulator) -> None:
    async with Peer.dial(emulator, "webCall") as peer, Caller(tone=700.0) as caller:
        await call(peer, caller, reportSeconds=0.2)
        for digit in "123":
            caller.press(digit, packets=40)
            await peer.heard_until(f"You pressed {digit}.")
        before = (await peer.until("event", name="heard"))["data"]["seconds"]
        while True:
            data = (await peer.until("event", name="heard"))["data"]
            if data["seconds"] > before + 1 and abs(data["frequency"] - 700) < 10:
                break


async def test_a_press_of_three_end_packets_is_one_digit(emulator: Emulator) -> None:
    async with Peer.dial(emulator, "webCall") as peer, Caller() as caller:
        await call(peer, caller, codec="opus")
        caller.press("77", packets=3)
        await peer.heard_until("You pressed 7.")
        await peer.heard_until("You pressed 7.")
        caller.press("8")
        await peer.heard_until("You pressed 8.")
        await peer.send("terminate")
        await peer.closed()
    assert peer.of("conversationResult")[0]["result"]["digits"] == "778"


async def test_the_caller_hears_itself_when_echo_is_on(emulator: Emulator) -> None:
    async with Peer.dial(emulator, "webCall") as peer, Caller(tone=1500.0) as caller:
        await call(peer, caller, echo=True)
        await caller.hears(lambda h: abs(h.frequency - 440) < 5)
        await caller.hears(lambda h: abs(h.frequency - 1500) < 5 and h.level > -30)


async def test_the_agent_hangs_up_after_its_seconds(emulator: Emulator) -> None:
    async with Peer.dial(emulator, "webCall") as peer, Caller() as caller:
        await call(peer, caller, seconds=0.5)
        await peer.heard_until("Time is up.")
        assert (await peer.closed())[0] == 1006
    assert peer.of("conversationResult")[0]["result"]["finishReason"] == "agentHangup"


async def test_a_caller_that_hangs_up_its_media_ends_the_call(emulator: Emulator) -> None:
    async with Peer.dial(emulator, "webCall") as peer, Caller() as caller:
        await call(peer, caller)
        await caller.hears(lambda h: abs(h.frequency - 440) < 5)
        await caller.connection.close()
        assert (await peer.closed())[0] == 1006
    assert peer.of("conversationResult")[0]["result"]["finishReason"] == "callerGone"


async def test_texts_can_be_written_during_a_call(emulator: Emulator) -> None:
    async with Peer.dial(emulator, "webCall") as peer, Caller() as caller:
        await call(peer, caller)
        await peer.say("my email is a@b.c")
        await peer.heard_until("You wrote: my email is a@b.c")


@pytest.mark.parametrize("media", [True, False])
async def test_the_offer_is_whole_and_looks_like_a_sip_stacks(
    emulator: Emulator,
    media: bool,
) -> None:
    async with Peer.dial(emulator, "webCall") as peer:
        offer = await ring(peer, media=media)
    lines = offer.splitlines()
    assert offer.startswith("v=0\r\n")
    assert "a=rtpmap:0 PCMU/8000" in lines
    assert "a=rtpmap:8 PCMA/8000" in lines
    assert "a=rtpmap:101 telephone-event/8000" in lines
    assert "a=fmtp:101 0-15" in lines
    assert "a=rtcp-mux" in lines
    assert not any("opus" in line.lower() for line in lines)
    for start in ("a=candidate:", "a=fingerprint:sha-256 ", "a=ice-ufrag:", "a=ice-pwd:"):
        assert any(line.startswith(start) for line in lines), start
    assert any(" 127.0.0.1 " in line for line in lines if line.startswith("a=candidate:"))


async def test_the_canned_offer_can_be_answered(emulator: Emulator) -> None:
    async with Peer.dial(emulator, "webCall") as peer, Caller() as caller:
        await call(peer, caller, media=False, codec="opus")
        assert caller.codecs[0] == "opus/48000/2"


async def test_the_sdp_field_varies_and_can_be_chosen(emulator: Emulator) -> None:
    fields = set()
    for _ in range(2):
        async with Peer.dial(emulator, "webCall") as peer:
            await ring(peer, media=False)
            fields |= peer.frames[-1]["data"].keys()
    assert fields == {"invite", "sdpOffer"}
    for field in sorted(fields) * 2:
        async with Peer.dial(emulator, "webCall") as peer:
            await ring(peer, media=False, sdpField=field)
            assert list(peer.frames[-1]["data"]) == [field]


async def test_a_canned_call_runs_through_without_sound(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize(None, "webCall", media=False, seconds=0.3, reportSeconds=0.1)
        await peer.until("sdpInvite")
        await peer.send("sdpAnswer", data={"sdpAnswer": ANSWER})
        await peer.send("sdpAnswer", data={"sdpAnswer": ANSWER})
        await peer.heard_until("Time is up.")
        assert (await peer.closed())[0] == 1006
    result = peer.of("conversationResult")[0]["result"]
    assert result["status"] == "Completed"
    assert result["heard"]["seconds"] == 0
    (record,) = await emulator.call_log.ended()
    assert record.violations == ["sdpInvite answered twice"]


@pytest.mark.parametrize("media", [True, False])
async def test_an_answer_that_is_no_sdp_fails_the_call(
    emulator: Emulator,
    media: bool,
) -> None:
    async with Peer.dial(emulator, "webCall") as peer:
        await ring(peer, media=media)
        await peer.send("sdpAnswer", data={"sdpAnswer": "nonsense"})
        assert (await peer.closed())[0] == 1006
    assert peer.of("conversationResult")[0]["result"]["status"] == "Failed"


async def test_media_that_never_connects_fails_the_call(emulator: Emulator) -> None:
    async with Peer.dial(emulator, "webCall") as peer, Caller() as caller:
        offer = await ring(peer, connectSeconds=0.3)
        answer = await caller.answer(offer)
        lines = answer.splitlines(keepends=True)
        deaf = [line for line in lines if not line.startswith("a=candidate:")]
        await peer.send("sdpAnswer", data={"sdpAnswer": "".join(deaf)})
        await caller.connection.close()
        assert (await peer.closed())[0] == 1006
    assert "not connect" in peer.of("conversationResult")[0]["result"]["errorMessage"]


@pytest.mark.parametrize("spoil", sorted(SPOILT))
async def test_offers_can_be_spoilt(emulator: Emulator, spoil: str) -> None:
    gone = {
        "no_fingerprint": "a=fingerprint:",
        "no_ice": "a=ice-",
        "no_rtcp_mux": "a=rtcp-mux",
        "no_candidates": "a=candidate:",
        "not_sdp": "v=0",
        "wrong_fingerprint": "",
    }[spoil]
    async with Peer.dial(emulator, "webCall") as peer:
        offer = await ring(peer, sdpSpoil=spoil)
    if spoil == "wrong_fingerprint":
        assert "00:00:00:00" in offer
    else:
        assert gone not in offer


async def test_offers_can_name_another_profile(emulator: Emulator) -> None:
    async with Peer.dial(emulator, "webCall") as peer, Caller() as caller:
        offer = await call(peer, caller, sdpProfile="RTP/SAVPF")
        assert " RTP/SAVPF 0 8 101" in offer
        await caller.hears(lambda h: abs(h.frequency - 440) < 5)


async def test_without_aiortc_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, emulator: Emulator
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "aiortc" else find(name, *a)
    )
    app.emulator.media._aiortc_is_installed.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                async with Peer.dial(emulator, "webCall") as peer:
                    assert "PCMU" in await ring(peer)
    finally:
        app.emulator.media._aiortc_is_installed.cache_clear()
    assert [r.message for r in caplog.records if "aiortc" in r.message] == [
        "aiortc is missing: calls have signalling but no sound (extra: voice)"
    ]
