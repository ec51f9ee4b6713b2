"""The echo: for tests of order and completeness."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.emulator.call import Call


async def echo(call: Call) -> None:
    """Repeat every text verbatim, with its number in `content.number`; end on `bye`.

    Settings: `echoUser` (the vendor's own echo of user texts, on), `pieces` (1), `greeting`,
    `toolOn` (a text on which it calls `tool` with that text as `reason`, and says the result).
    """
    tool_on, tool = call.setting("toolOn", ""), call.setting("tool", "request_human")
    greeting = call.setting("greeting", "")
    if greeting:
        await call.say(greeting)
    number, text = 0, ""
    while text != "bye":
        text = await call.hear()
        number += 1
        if text == tool_on:
            await call.say(json.dumps(await call.tool(tool, {"reason": text})))
        await call.say(text, number=number)
    call.result["messages"] = number
