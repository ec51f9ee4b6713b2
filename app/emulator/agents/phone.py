"""A phone call: rings, is picked up, is transcribed, ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.emulator.call import Call

DIALOGUE: Final = (
    ("assistant", "Good day, this is the delivery service. Am I speaking to the recipient?"),
    ("user", "Yes, speaking."),
    ("assistant", "Your parcel comes tomorrow between nine and eleven. Does that suit you?"),
    ("user", "It does, thank you."),
    ("assistant", "Thank you, and goodbye!"),
)


async def phone(call: Call) -> None:
    """Ring `endpoint`, be picked up, show both sides' words as transcripts, ring off.

    Settings: `ringSeconds` (0), `answer` (false: the call is not answered), `turns` (5, the
    dialogue goes round), `pieces` (2).
    """
    await call.event("ringing", {"endpoint": call.endpoint})
    await asyncio.sleep(call.setting("ringSeconds", 0.0))
    if not call.setting("answer", default=True):
        call.result |= {
            "status": "Failed",
            "errorMessage": "No answer",
            "finishReason": "noAnswer",
        }
        return
    await call.event("opened", {"endpoint": call.endpoint})
    for turn in range(call.setting("turns", len(DIALOGUE))):
        source, text = DIALOGUE[turn % len(DIALOGUE)]
        await call.pause()
        if source == "assistant":
            await call.say(text, 2)
        else:
            await call.transcribe(text)
    call.result["summary"] = "The recipient will be at home."
