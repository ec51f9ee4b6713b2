"""A voice call over WebRTC, with sound where aiortc is installed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.emulator.media import open_peer
from app.emulator.media.sdp import prepared

if TYPE_CHECKING:
    from app.emulator.call import Call
    from app.emulator.media import MediaPeer

AUDIBLE: Final = -45.0
CONNECT: Final = 15.0


async def voice(call: Call) -> None:
    """Offer a call, play a tone, hear the caller, answer DTMF, ring off.

    Settings: `codec` (g711 or opus), `sdpField` (invite or sdpOffer), `tone` (440.0 Hz), `echo`
    (after a second the caller hears itself), `seconds` (0: until hung up), `media` (true; false:
    an offer without sound), `sdpProfile` (RTP/SAVPF …), `sdpSpoil` (see `media.sdp.SPOILT`).
    The result holds `digits` and `heard`; then the socket is dropped without a close frame (L).
    """
    call.drop_at_end = True
    echo = call.setting("echo", default=False)
    peer = open_peer(
        call.setting("codec", "g711"),
        tone=call.setting("tone", 440.0),
        tone_seconds=1.0 if echo else 0.0,
        echo=echo,
        real=call.setting("media", default=True),
    )
    try:
        await _connect(call, peer)
        await _converse(call, peer)
    except (ValueError, ConnectionError) as exc:
        call.result |= {"status": "Failed", "errorMessage": str(exc), "finishReason": "noMedia"}
    finally:
        call.result["heard"] = peer.heard().view()
        await peer.close()


async def _connect(call: Call, peer: MediaPeer) -> None:
    call.result["digits"] = ""
    profile, spoil = call.setting("sdpProfile", ""), call.setting("sdpSpoil", "")
    await peer.accept(await call.invite(prepared(await peer.offer(), profile, spoil)))
    await call.event("opened", {"endpoint": call.endpoint})
    try:
        async with asyncio.timeout(call.setting("connectSeconds", CONNECT)):
            await peer.connected()
    except TimeoutError:
        raise ConnectionError("the media did not connect in time") from None


async def _converse(call: Call, peer: MediaPeer) -> None:
    await call.say("Hello! You hear a tone; press a key, or say something.", 2)
    try:
        async with asyncio.timeout(call.setting("seconds", 0.0) or None):
            async with asyncio.TaskGroup() as tasks:
                chores = [
                    tasks.create_task(chore(call, peer), name=f"voice:{chore.__name__}")
                    for chore in (_answer_keys, _listen, _read)
                ]
                await peer.gone()
                call.result["finishReason"] = "callerGone"
                for chore in chores:
                    chore.cancel()
    except TimeoutError:
        await call.say("Time is up. Goodbye!")


async def _answer_keys(call: Call, peer: MediaPeer) -> None:
    while True:
        digit = await peer.digits.get()
        call.result["digits"] += digit
        await call.say(f"You pressed {digit}.")


async def _listen(call: Call, peer: MediaPeer) -> None:
    """Say once that the caller is heard, and each second what."""
    greeted = False
    while True:
        await asyncio.sleep(call.setting("reportSeconds", 1.0))
        heard = peer.heard()
        if heard.seconds:
            await call.event("heard", heard.view())
        if heard.loudest_level > AUDIBLE and not greeted:
            greeted = True
            await call.transcribe("(the caller can be heard)")
            await call.say("I can hear you.")


async def _read(call: Call, _: MediaPeer) -> None:
    while True:
        await call.say(f"You wrote: {await call.hear()}")
