"""The counter: proves that nothing is lost, doubled or overtaken in either direction."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from app.emulator.call import Call

NUMBER: Final = re.compile(r"\d+")
SHOWN: Final = 20


@dataclass(slots=True)
class Counts:
    """What was seen of the user's numbers, which shall be 1, 2, 3 and on."""

    received: int = 0
    highest: int = 0
    seen: set[int] = field(default_factory=set)
    duplicates: list[int] = field(default_factory=list)
    out_of_order: list[int] = field(default_factory=list)
    unnumbered: int = 0

    def count(self, text: str) -> None:
        """Take the user's next text."""
        self.received += 1
        found = NUMBER.search(text)
        if found is None:
            self.unnumbered += 1
            return
        number = int(found[0])
        if number in self.seen:
            self.duplicates.append(number)
        elif number < self.highest:
            self.out_of_order.append(number)
        self.seen.add(number)
        self.highest = max(self.highest, number)

    def view(self) -> dict[str, Any]:
        """Say what was seen; `ok` if it is 1 to the highest, each once, in order."""
        gaps = sorted(set(range(1, min(self.highest, 1_000_000) + 1)) - self.seen)
        wrong = [*self.duplicates, *self.out_of_order, *gaps, *range(self.unnumbered)]
        return {
            "ok": not wrong,
            "received": self.received,
            "highest": self.highest,
            "gaps": gaps[:SHOWN],
            "duplicates": self.duplicates[:SHOWN],
            "outOfOrder": self.out_of_order[:SHOWN],
            "unnumbered": self.unnumbered,
        }


async def counter(call: Call) -> None:
    """Count from `#1` to `#count`, check that the user counts from 1 too, and report.

    Settings: `count` (100), `rate` (texts a second, 0: at once), `toolEvery` (0: never), `tool`
    (`check_order_status`), `size` (of a text, in bytes), `expect` (user texts to wait for, 0).
    The report is the conversationResult's `user`, `sent`, `toolCalls`, `toolErrors`.
    """
    counts = Counts()
    tools: dict[str, Any] = {"toolCalls": 0, "toolErrors": []}
    call.result |= {"sent": 0, "user": counts.view(), **tools}
    try:
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(_listen(call, counts), name="counter:listen")
            await _count(call, tasks, tools)
            expected = call.setting("expect", 0)
            await _until_heard(listening, expected)
    finally:
        call.result |= {"user": counts.view(), **tools}


async def _count(call: Call, tasks: asyncio.TaskGroup, tools: dict[str, Any]) -> None:
    """Send the numbered texts at the given rate, each `toolEvery`-th with a tool call beside it."""
    rate, every = call.setting("rate", 0.0), call.setting("toolEvery", 0)
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number in range(1, call.setting("count", 100) + 1):
        await call.say(f"#{number}".ljust(call.setting("size", 0), "."))
        call.result["sent"] = number
        if every and number % every == 0:
            tasks.create_task(_ask(call, number, tools), name="counter:ask")
        if rate:
            await asyncio.sleep(start + number / rate - loop.time())


async def _ask(call: Call, number: int, tools: dict[str, Any]) -> None:
    tools["toolCalls"] += 1
    name = call.setting("tool", "check_order_status")
    result = await call.tool(name, {"order_number": str(1000 + number)})
    if isinstance(result, dict) and "error" in result and len(tools["toolErrors"]) < SHOWN:
        tools["toolErrors"].append({"number": number, **result})


async def _listen(call: Call, counts: Counts) -> None:
    expected = call.setting("expect", 0)
    while not expected or len(counts.seen) < expected:
        counts.count(await call.hear())


async def _until_heard(listening: asyncio.Task[None], expected: int) -> None:
    """Wait for the expected texts, if any were; then hear no more."""
    if expected:
        await listening
    else:
        listening.cancel()
