"""The chatterbox: load for benchmarks, with the time of sending in every text."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.emulator.call import Call


async def chatty(call: Call) -> None:
    """Talk unasked, `rate` texts a second of `size` bytes, and answer each text.

    `content.sentAt` is the sender's monotonic clock in nanoseconds, good on the same machine.
    Settings: `rate` (1.0), `size` (120), `seconds` (0: until terminated), `replies` (1 to a text).
    """
    async with asyncio.TaskGroup() as tasks:
        answering = tasks.create_task(_answer(call), name="chatty:answer")
        await _talk(call)
        answering.cancel()


async def _talk(call: Call) -> None:
    rate, seconds = call.setting("rate", 1.0), call.setting("seconds", 0.0)
    text = "la " * (call.setting("size", 120) // 3)
    loop = asyncio.get_running_loop()
    start, number = loop.time(), 0
    while not seconds or loop.time() - start < seconds:
        if rate <= 0:
            await asyncio.sleep(seconds or 3600)
            continue
        number += 1
        await call.say(text, number=number, sentAt=time.monotonic_ns())
        call.result["sent"] = number
        await asyncio.sleep(start + number / rate - loop.time())


async def _answer(call: Call) -> None:
    replies = call.setting("replies", 1)
    while True:
        text = await call.hear()
        for _ in range(replies):
            await call.say(text, sentAt=time.monotonic_ns())
