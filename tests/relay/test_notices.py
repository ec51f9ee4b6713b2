"""What a browser is told before and beside its conversation: ignored wishes, calls not answered."""

from __future__ import annotations

import json
from time import monotonic
from typing import Any

import pytest

from app.protocol.close_codes import BAD_FRAMES, FORBIDDEN, IDLE
from app.protocol.principal import CallType
from tests.protocol.rules import chat, frame
from tests.relay.stage import Stage
from tests.support.waiting import until

OFFER = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"


def initialize(**request: Any) -> bytes:
    return frame("initialize", request={"callType": "chat", **request})


@pytest.mark.parametrize("native", [True, False])
async def test_ignored_keys_are_told_once_and_to_native_browsers_alone(*, native: bool) -> None:
    allowed = {"client_data_keys": frozenset({"plan"})}
    async with Stage(native=native, wait=5.0, profile=allowed) as stage:
        stage.browser.say(initialize(additionalData={"plan": "pro", "cart": 1, "x" * 500: 2}))
        await stage.live()
        told = [one for one in stage.browser.frames if one.get("name") == "relay.warning"]
        if not native:
            assert told == []
            return
        (warning,) = told
        assert warning["data"]["code"] == "client_data_ignored"
        assert warning["data"]["keys"] == ["cart", "x" * 64]
        assert stage.relay.session.outgoing.count == 1  # it has no number: the vendor's has


async def test_a_profile_may_let_a_browser_set_every_key() -> None:
    data = {"cart": {"items": [1]}, "plan": "pro"}
    async with Stage(wait=5.0, profile={"all_client_data": True}) as stage:
        stage.browser.say(initialize(additionalData=data))
        await stage.live()
        assert json.loads(stage.vendor.sent[0])["devRequest"]["additionalData"] == data
        assert not [one for one in stage.browser.frames if one.get("name") == "relay.warning"]


async def test_a_message_before_initialize_is_answered_once_and_waits() -> None:
    async with Stage(native=False, wait=5.0, demanded=True) as stage:
        stage.browser.say(chat("one"))
        stage.browser.say(chat("two"))
        await until(lambda: stage.browser.sent)
        stage.browser.say(chat("three"))
        (told,) = stage.browser.frames
        assert told["data"]["code"] == BAD_FRAMES.code
        assert told["data"]["message"].startswith("Init message not received")
        stage.browser.say(initialize())
        await stage.live()
        assert stage.vendor.sent[1:] == [chat("one"), chat("two"), chat("three")]


async def test_a_call_that_the_page_does_not_answer_ends_with_the_reason() -> None:
    async with Stage(call_timeout=0.05) as stage:
        await stage.live()
        stage.vendor.say(frame("sdpInvite", data={"invite": OFFER}))
        await until(lambda: stage.browser.code is not None)
        assert stage.browser.code == IDLE.code
        assert "microphone" in stage.browser.frames[-1]["data"]["message"]


async def test_a_call_that_is_answered_goes_on() -> None:
    async with Stage(call_timeout=0.05) as stage:
        await stage.live()
        stage.vendor.say(frame("sdpInvite", data={"invite": OFFER}))
        stage.browser.say(frame("sdpAnswer", channelId=None, data={"sdpAnswer": OFFER}))
        stage.vendor.say(frame("sdpInvite", data={"invite": OFFER}))  # a second offer
        over = monotonic() + 0.1
        await until(lambda: monotonic() > over)
        assert stage.browser.code is None


@pytest.mark.parametrize("sent", [{"invite": OFFER}, {"sdpOffer": OFFER, "n": 2**70}])
async def test_an_offer_goes_out_under_both_names_only_where_the_profile_says_so(
    sent: dict[str, Any],
) -> None:
    invite = frame("sdpInvite", data=sent, channelId="c")
    async with Stage() as stage:
        await stage.live()
        stage.vendor.say(invite)
        assert stage.browser.sent[-1] == invite
    async with Stage(profile={"both_sdp_fields": True}) as stage:
        await stage.live()
        stage.vendor.say(invite)
        got = json.loads(stage.browser.sent[-1])
        assert got == {
            **json.loads(invite),
            "data": {"invite": OFFER, "sdpOffer": OFFER, **sent},
        }
        whole = frame("sdpInvite", data={"invite": OFFER, "sdpOffer": OFFER})
        empty = frame("sdpInvite", data={})
        stage.vendor.say(whole, empty)
        assert stage.browser.sent[-2:] == [whole, empty]


async def test_a_call_type_that_the_credential_overrides_is_told_by_an_error() -> None:
    for native in (True, False):
        async with Stage(native=native, wait=5.0, call_type=CallType.CHAT) as stage:
            stage.browser.say(initialize(callType="webCall"))
            await stage.live()
            (told,) = [one for one in stage.browser.frames if one["type"] == "error"]
            assert told["data"]["code"] == FORBIDDEN.code
            assert told["data"]["message"] == (
                "The credential decides the call type: this conversation is chat, not webCall."
            )
            assert stage.browser.code is None
